// SPDX-License-Identifier: Apache-2.0 OR MIT
//! House checks that no compiler makes: who may depend on whom, drawings and lists against the code, what stands in
//! every source file. Each module is one check; there is nothing here but tests.
//!
//! Reading order: [`tree`] (the files of the repository), then any check.

#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod arrows;
mod drawings;
mod lists;
mod places;
mod sources;
mod tree;
