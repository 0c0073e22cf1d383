// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `changelog`: the help topic of that name.

use duplicati_programs_common::{ExitCode, help};

use crate::{failure::Outcome, invocation::Invocation};

pub fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let text = help::topic("changelog").unwrap_or_else(|missing| missing);
    invocation.console.line(text.trim_end())?;
    Ok(ExitCode::Success)
}
