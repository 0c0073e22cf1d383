// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `search-entries`: paths that match, in the chosen versions or in all.

use duplicati_programs_common::ExitCode;

use super::{list, path_choice::PathChoice};
use crate::{
    connection::Target,
    failure::Outcome,
    invocation::Invocation,
    versions::{self, Otherwise},
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    let all = versions::list(invocation, &connection.repository).await?;
    let chosen = versions::choose(invocation, &all, Otherwise::All)?;
    let choice = PathChoice::new(invocation, invocation.arguments_from(1))?;
    let found = list::print(invocation, &connection, &chosen, &choice).await?;
    list::finish(invocation, &connection, found)
}
