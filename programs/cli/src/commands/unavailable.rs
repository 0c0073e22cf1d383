// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands that have a name and no work yet say so instead of doing something else.

use duplicati_programs_common::ExitCode;

use crate::{failure::Outcome, invocation::Invocation};

pub fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    Err(invocation.not_available())
}
