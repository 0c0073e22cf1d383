// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every parser of bytes from outside as a function that takes any bytes: it may refuse them and must not panic, loop,
//! or take more memory than its input and the limits of the format allow.
//!
//! Reading order: [`target`] (what a target is), [`stored`] (the stored format), [`typed`] (what users type and
//! configure), [`mutate`] (bytes close to valid ones), [`memory`] (what a parse allocates). The tests give every target
//! a short fixed pass; `cargo run -p duplicati-parsers -- TARGET SECONDS` goes on for longer, and `tests/fuzz` drives the
//! same functions by coverage.

#![allow(clippy::unwrap_used, reason = "this crate is a test: a panic is the report")]

pub mod memory;
pub mod mutate;
pub mod stored;
pub mod target;
pub mod typed;

pub use target::{Target, all, find};

#[cfg(test)]
mod tests;
