// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `duplicati-configure` as a program of its own; everything is in the library beside it.

fn main() -> std::process::ExitCode {
    duplicati_configure::run(std::env::args_os().skip(1).collect())
}
