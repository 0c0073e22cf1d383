// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `duplicati-server` as a program of its own; everything is in the library beside it.

fn main() -> std::process::ExitCode {
    duplicati_server::run(std::env::args_os().skip(1).collect())
}
