// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The commands of `duplicati-cli`: one command, carried out here and now. The program of that name runs one and ends; a server runs many,
//! through [`embedded`].
//!
//! Reading order: [`app`] (arguments → command → exit code), `invocation` (what every command gets), `connection` and `passphrase`
//! (the way to a repository), `commands` (one file each), `benchmark`, `scripts` and `reports` (what happens around a command), `output` and `logging`
//! (everything that is printed), [`embedded`].
//!
//! What is absent: option names, value formats and help live in `programs/common`; the work itself in `engine` and `actors`.

mod app;
mod benchmark;
mod commands;
mod connection;
pub mod embedded;
mod failure;
mod holdings;
mod invocation;
mod logging;
mod machine;
mod os_snapshot;
mod output;
mod passphrase;
mod reports;
mod results;
mod retention;
mod scripts;
mod signals;
mod trust;
mod unsupported;
mod versions;

pub use app::run;
