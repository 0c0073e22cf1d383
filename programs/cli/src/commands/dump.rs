// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `dump`: the content of one stored file on standard output.

use std::os::unix::ffi::OsStrExt;

use duplicati_engine::format::{pack::PackClass, tree::EntryBody};
use duplicati_programs_common::{ExitCode, error_id::ids};

use crate::{
    connection::Target,
    failure::{Outcome, failed},
    invocation::Invocation,
    output::text,
    versions::{self, Otherwise},
};

/// Zeros of a hole are written in pieces of this size, bytes.
const ZEROS_BYTES: usize = 64 << 10;

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    let all = versions::list(invocation, &connection.repository).await?;
    let chosen = versions::choose(invocation, &all, Otherwise::Newest)?;
    let version = &chosen[0];
    let path = invocation.argument(1).map(OsStrExt::as_bytes).unwrap_or_default();
    let trees = connection.trees(invocation).await?;
    let entry = trees.entry_at(&version.root(), path).await?;
    let Some(EntryBody::File { size, content, holes }) = entry.map(|entry| entry.body) else {
        return Err(failed(
            ids::FILE_NOT_FOUND,
            format!(
                "there is no file {} in version {}",
                text::display_path(path),
                version.number
            ),
        ));
    };
    // Holes are gaps between stretches of data; each lies this far behind the end of the one before.
    let mut holes = holes.into_iter();
    let mut hole = holes.next();
    let mut until_hole = hole.as_ref().map_or(u64::MAX, |hole| hole.gap);
    let mut written = 0;
    let mut leaves = trees.leaves(&content);
    loop {
        while until_hole == 0
            && let Some(present) = hole
        {
            write_zeros(invocation, present.length)?;
            written += present.length;
            hole = holes.next();
            until_hole = hole.as_ref().map_or(u64::MAX, |hole| hole.gap);
        }
        let Some(id) = leaves.next().await? else { break };
        let chunk = trees.chunk(PackClass::Data, &id).await?;
        let mut rest: &[u8] = &chunk;
        while !rest.is_empty() {
            let take = usize::try_from(until_hole).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at(take);
            invocation.console.raw(now)?;
            written += now.len() as u64;
            until_hole -= now.len() as u64;
            rest = later;
            while until_hole == 0
                && !rest.is_empty()
                && let Some(present) = hole
            {
                write_zeros(invocation, present.length)?;
                written += present.length;
                hole = holes.next();
                until_hole = hole.as_ref().map_or(u64::MAX, |hole| hole.gap);
            }
        }
    }
    invocation.console.flush()?;
    if written != size {
        return Err(failed(
            ids::REMOTE_OBJECT_DAMAGED,
            format!(
                "{} should have {size} bytes and {written} were found; run the command test",
                text::display_path(path)
            ),
        ));
    }
    Ok(ExitCode::Success)
}

fn write_zeros(invocation: &Invocation, mut length: u64) -> Outcome<()> {
    let zeros = vec![0; ZEROS_BYTES];
    while length > 0 {
        let now = usize::try_from(length).unwrap_or(ZEROS_BYTES).min(ZEROS_BYTES);
        invocation.console.raw(&zeros[..now])?;
        length -= now as u64;
    }
    Ok(())
}
