// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `duplicati-server-util`: controls a running server over its HTTP API.
//!
//! Reading order: [`arguments`] (what was typed), [`client`] (requests and signing in), [`session`] (what is remembered), [`commands`],
//! [`report`] (what is printed).

mod arguments;
mod client;
mod commands;
mod report;
mod session;

use std::process::ExitCode;

use arguments::Arguments;
use report::Report;

fn main() -> ExitCode {
    let given = std::env::args_os().skip(1);
    let environment = duplicati_programs_common::Environment::from_process();
    let arguments = match Arguments::read(given, &environment) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            report::print(&arguments::help());
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            report::print_error(&message);
            return ExitCode::FAILURE;
        }
    };
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::print_error(&format!("failed to start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let mut report = Report::new(&arguments);
    let outcome = runtime.block_on(commands::run(&arguments, &mut report));
    ExitCode::from(report.finish(outcome))
}
