// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `help` with options around it; the plain form is answered before options are read.

use duplicati_programs_common::{ExitCode, help};

use crate::{failure::Outcome, invocation::Invocation};

pub fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let text = match invocation.argument(0) {
        Some(topic) => help::topic(&topic.to_string_lossy()).unwrap_or_else(|missing| missing),
        None => help::overview(env!("CARGO_PKG_VERSION")),
    };
    invocation.console.line(text.trim_end())?;
    Ok(ExitCode::Success)
}
