// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `list-folder-content`: what lies directly in a folder.

use std::os::unix::ffi::OsStrExt;

use duplicati_engine::{
    format::{chunk_list::ChunkList, tree::EntryBody},
    snapshot::TreeReader,
};
use duplicati_programs_common::{ExitCode, error_id::ids};

use super::{list, matching::is_folder};
use crate::{
    connection::Target,
    failure::{Outcome, failed},
    invocation::Invocation,
    output::text,
    versions::{self, Otherwise, Version},
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    let all = versions::list(invocation, &connection.repository).await?;
    let chosen = versions::choose(invocation, &all, Otherwise::Newest)?;
    let trees = connection.trees(invocation).await?;
    let folder = invocation.argument(1).map_or(&b"/"[..], OsStrExt::as_bytes);
    let mut found = 0;
    for version in &chosen {
        if chosen.len() > 1 {
            let time = text::local_time(version.time);
            invocation
                .console
                .row(format!("Version {} ({time}):", version.number))?;
        }
        found += print_folder(invocation, &trees, version, folder).await?;
    }
    list::finish(invocation, &connection, found)
}

async fn print_folder(
    invocation: &Invocation,
    trees: &TreeReader,
    version: &Version,
    folder: &[u8],
) -> Outcome<u64> {
    let content = folder_at(trees, version, folder).await?;
    let mut base = folder.to_vec();
    if base.last() != Some(&b'/') {
        base.push(b'/');
    }
    if base.first() != Some(&b'/') {
        base.insert(0, b'/');
    }
    let mut directory = trees.directory(&content);
    let mut found = 0;
    while let Some(entry) = directory.next().await? {
        let mut path = base.clone();
        path.extend_from_slice(&entry.name);
        if is_folder(&entry) {
            path.push(b'/');
        }
        list::print_path(invocation, std::slice::from_ref(version), &path, &[Some(entry)])?;
        found += 1;
    }
    Ok(found)
}

async fn folder_at(trees: &TreeReader, version: &Version, folder: &[u8]) -> Outcome<ChunkList> {
    if folder.iter().all(|byte| *byte == b'/') {
        return Ok(version.root());
    }
    let entry = trees.entry_at(&version.root(), folder).await?;
    match entry.map(|entry| entry.body) {
        Some(EntryBody::Directory { content, .. }) => Ok(content),
        other => {
            let problem = if other.is_some() {
                "is not a folder"
            } else {
                "does not exist"
            };
            Err(failed(
                ids::FILE_NOT_FOUND,
                format!(
                    "{} {problem} in version {}",
                    text::display_path(folder),
                    version.number
                ),
            ))
        }
    }
}
