// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `duplicati-cli`: the program around the commands of the library beside it.

fn main() -> std::process::ExitCode {
    duplicati_cli::app::run().into()
}
