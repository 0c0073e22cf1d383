// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The contract between a user's command line and the programs: options and their values, commands, help,
//! destinations, the data folder, exit codes and error ids.
//!
//! Reading order: [`value`] (formats), [`options`] (table, parser), [`commands`] (table), [`help`],
//! [`question`], [`destination`] and [`target`], [`data_folder`] and [`dbconfig`], [`exit_code`] and [`error_id`]; then what surrounds an operation: [`secrets`],
//! [`scripts`], [`reports`].
//!
//! Nothing here runs a backup or prints; programs do.

pub mod aes_crypt;
pub mod allocator;
pub mod commands;
pub mod data_folder;
pub mod dbconfig;
pub mod destination;
pub mod environment;
pub mod error_id;
pub mod exit_code;
pub mod help;
pub mod open_files;
pub mod options;
pub mod process_lock;
pub mod question;
pub mod reports;
pub mod scripts;
pub mod secrets;
pub mod target;
pub mod value;

pub use environment::Environment;
pub use error_id::UserError;
pub use exit_code::ExitCode;
pub use options::{Options, ParseContext};
pub use question::{Question, question};
