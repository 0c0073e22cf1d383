// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `vacuum`: shrinks the local database.

use duplicati_actors::events::ProgressSnapshot;
use duplicati_programs_common::{ExitCode, error_id::ids};

use crate::{
    connection::Target,
    failure::{Outcome, failed},
    invocation::Invocation,
    output::text,
    results::CommandResult,
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let connection = Target::of(invocation)?.open_to_write(invocation).await?;
    let Some(path) = connection.database.clone().filter(|path| path.exists()) else {
        return Err(failed(
            ids::DATABASE_DOES_NOT_EXIST,
            "there is no local database for this destination yet",
        ));
    };
    let size = || std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let before = size();
    connection.local()?.vacuum()?;
    let after = size();
    let line = if after < before {
        format!(
            "The local database shrank from {} to {}",
            text::size(before),
            text::size(after)
        )
    } else {
        format!(
            "The local database has nothing to give back; it takes {}",
            text::size(after)
        )
    };
    invocation.console.line(line)?;
    CommandResult::new(invocation)
        .with("SizeBefore", before)
        .with("SizeAfter", after)
        .finish(
            invocation,
            Some(&connection),
            &ProgressSnapshot::default(),
            ExitCode::Success,
        )
}
