// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `set-locks` and `read-lock-info`: dates until which the destination itself refuses to delete stored files.
//!
//! No kind of destination of this version can do that, so both end with the reason, after the command line was checked.

use duplicati_programs_common::{ExitCode, UserError, error_id::ids};

use crate::{
    connection::Target,
    failure::{Failure, Outcome, failed},
    invocation::Invocation,
    versions::{self, Otherwise},
};

/// The shortest lock that is worth setting, seconds.
const DURATION_SECONDS_MIN: i64 = 1;

pub async fn set(invocation: &Invocation) -> Outcome<ExitCode> {
    let options = &invocation.options;
    let Some(duration) = options.timespan("remote-file-lock-duration") else {
        return Err(Failure::User(UserError::failed(
            ids::MISSING_LOCK_DURATION,
            "say how long the stored files are to be locked, for example --remote-file-lock-duration=30D",
        )));
    };
    if duration.total_seconds() < DURATION_SECONDS_MIN {
        return Err(failed(
            ids::LOCK_DURATION_TOO_SHORT,
            "the value of --remote-file-lock-duration must be at least one second",
        ));
    }
    refuse(invocation).await
}

pub async fn read(invocation: &Invocation) -> Outcome<ExitCode> {
    refuse(invocation).await
}

async fn refuse(invocation: &Invocation) -> Outcome<ExitCode> {
    let target = Target::of(invocation)?;
    let scheme = target.destination.scheme.clone();
    let connection = target.open_to_read(invocation).await?;
    let all = versions::list(invocation, &connection.repository).await?;
    if all.is_empty() {
        return Err(failed(
            ids::NO_VERSION_FOR_LOCK_OPERATION,
            "there is no version at the destination, so there is nothing to lock",
        ));
    }
    versions::choose(invocation, &all, Otherwise::All)?;
    Err(failed(
        ids::BACKEND_DOES_NOT_SUPPORT_LOCKING,
        format!(
            "destinations of kind {scheme} cannot lock stored files against deletion; use a file system or a bucket \
             whose owner is somebody else, or a write-only key (help key)"
        ),
    ))
}
