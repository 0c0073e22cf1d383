// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `list-filesets`: all versions.

use duplicati_actors::events::ProgressSnapshot;
use duplicati_programs_common::ExitCode;

use crate::{
    connection::{Connection, Target},
    failure::{Outcome, wrong_arguments},
    invocation::Invocation,
    results::CommandResult,
    versions,
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    for option in ["time", "version"] {
        if invocation.options.is_given(option) {
            return Err(wrong_arguments(format!(
                "list-filesets shows all versions and takes no --{option}"
            )));
        }
    }
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    print(invocation, &connection).await
}

/// Prints all versions, newest first.
pub async fn print(invocation: &Invocation, connection: &Connection) -> Outcome<ExitCode> {
    let versions = versions::list(invocation, &connection.repository).await?;
    if versions.is_empty() {
        invocation.console.row("There is no version yet")?;
    } else {
        invocation.console.row("Listing versions:")?;
    }
    for version in &versions {
        invocation.console.row(version.row())?;
        invocation.console.json(&version.line())?;
    }
    CommandResult::new(invocation)
        .with("VersionCount", versions.len())
        .finish(
            invocation,
            Some(connection),
            &ProgressSnapshot::default(),
            ExitCode::Success,
        )
}
