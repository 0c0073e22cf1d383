// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `duplicati-programs`: all programs in one file. It runs the program whose name it is started by, so that packages hold the code that
//! the programs share once, and a link for each name.
//!
//! Reading order: [`programs`] (the table), [`start`] (from names to a program), [`own`] (what it says under its own name).

mod own;
mod programs;
mod start;

use std::{ffi::OsString, process::ExitCode};

use start::Start;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let name = words.next();
    let arguments: Vec<OsString> = words.collect();
    match start::choose(name.as_deref(), &start::executed_file()) {
        Start::Program(program) => (program.run)(arguments),
        Start::Own => own::run(arguments),
        Start::Unnamed => own::refuse("the program was started without a name"),
        Start::Unknown(name) => own::refuse(&format!(
            "there is no program {name:?} in this file, which runs the program that it is named after"
        )),
    }
}
