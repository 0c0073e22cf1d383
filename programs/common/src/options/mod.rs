// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Options: one table that declares them, one parser that reads them, typed access to the result.
//!
//! Start with [`spec`] (what can be said about an option), then `table` (every option), then [`parse`].

pub mod options_value;
pub mod parameters_file;
pub mod parse;
pub mod spec;
pub mod suggestion;
pub mod table;

#[cfg(test)]
mod tests;

pub use options_value::{FilterRule, GivenText, Options};
pub use parse::ParseContext;
pub use spec::{Group, Handling, Kind, OptionSpec};
