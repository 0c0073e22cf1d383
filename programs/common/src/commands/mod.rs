// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The commands of `duplicati-cli`, declared once for dispatch, checks and help.

pub mod table;

pub use table::{CommandGroup, CommandSpec, check_arguments, find, is_help_word};
