// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One module per scheme: how its address becomes a store, and what that kind of target can do.

pub mod file;
