// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `compare`: what was added, modified and deleted between two versions.

use duplicati_actors::events::ProgressSnapshot;
use duplicati_engine::format::{
    path_text::PathText,
    tree::{EntryBody, TreeEntry},
};
use duplicati_programs_common::{ExitCode, error_id::ids};
use serde_json::json;

use super::{
    matching::{VersionWalk, file_size},
    path_choice::PathChoice,
};
use crate::{
    connection::Target,
    failure::{Outcome, failed, wrong_arguments},
    invocation::Invocation,
    output::{json::entry_word, text},
    results::CommandResult,
    versions::{self, Version},
};

/// Paths of each kind that are shown unless all are asked for.
const SHOWN_MAX: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    const ALL: [Self; 3] = [Self::Added, Self::Modified, Self::Deleted];

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Added => ("+", "added"),
            Self::Modified => ("~", "modified"),
            Self::Deleted => ("-", "deleted"),
        }
    }
}

/// What was found of one kind of change.
#[derive(Default)]
struct Found {
    files: u64,
    folders: u64,
    others: u64,
    bytes: u64,
    shown: Vec<String>,
}

impl Found {
    fn count(&self) -> u64 {
        self.files + self.folders + self.others
    }
}

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    let all = versions::list(invocation, &connection.repository).await?;
    if all.len() < 2 {
        return Err(failed(
            ids::NEED_TWO_BACKUPS_TO_START_DIFF,
            format!(
                "there must be two versions to compare, and there are {}",
                all.len()
            ),
        ));
    }
    let base = argument(invocation, &all, 1, 1)?;
    let compared = argument(invocation, &all, 2, 0)?;
    for (title, version) in [("Base", &base), ("Compared with", &compared)] {
        invocation.console.row(format!("{title}: {}", version.row()))?;
    }
    let trees = connection.trees(invocation).await?;
    let pair = [base, compared];
    let mut walk = VersionWalk::begin(invocation, &trees, &pair, PathChoice::new(invocation, &[])?)
        .await?
        .skipping_equal();
    let mut found = [Found::default(), Found::default(), Found::default()];
    while let Some(matched) = walk.next().await? {
        let [before, after] = &matched.entries[..] else {
            continue;
        };
        let (change, entry) = match (before, after) {
            (None, Some(entry)) => (Change::Added, entry),
            (Some(entry), None) => (Change::Deleted, entry),
            (Some(before), Some(after)) if differ(before, after) => (Change::Modified, after),
            _ => continue,
        };
        note(
            invocation,
            &mut found[change as usize],
            change,
            &matched.path,
            entry,
        )?;
    }
    print_summary(invocation, &found)?;
    let counts = |select: fn(&Found) -> u64| found.each_ref().map(select);
    let ([added_files, modified_files, deleted_files], [added_bytes, modified_bytes, deleted_bytes]) =
        (counts(|found| found.files), counts(|found| found.bytes));
    CommandResult::new(invocation)
        .with_all(json!({
            "AddedFiles": added_files, "ModifiedFiles": modified_files, "DeletedFiles": deleted_files,
            "AddedSize": added_bytes, "ModifiedSize": modified_bytes, "DeletedSize": deleted_bytes,
            "AddedFolders": found[0].folders, "ModifiedFolders": found[1].folders, "DeletedFolders": found[2].folders,
        }))
        .finish(invocation, Some(&connection), &ProgressSnapshot::default(), ExitCode::Success)
}

fn argument(invocation: &Invocation, all: &[Version], position: usize, otherwise: u32) -> Outcome<Version> {
    match invocation
        .argument(position)
        .map(|argument| argument.to_string_lossy())
    {
        None => versions::numbered(all, otherwise),
        Some(text) => versions::named(invocation, all, &text)
            .ok_or_else(|| wrong_arguments(format!("{text:?} is neither a version number nor a time")))?,
    }
}

/// Whether an entry changed; what is below a folder does not count.
fn differ(before: &TreeEntry, after: &TreeEntry) -> bool {
    let same_body = match (&before.body, &after.body) {
        (EntryBody::Directory { .. }, EntryBody::Directory { .. }) => true,
        (before, after) => before == after,
    };
    !same_body
        || before.mode != after.mode
        || before.owner != after.owner
        || before.mtime != after.mtime
        || before.xattrs != after.xattrs
}

fn note(
    invocation: &Invocation,
    found: &mut Found,
    change: Change,
    path: &[u8],
    entry: &TreeEntry,
) -> Outcome<()> {
    match &entry.body {
        EntryBody::File { size, .. } => {
            found.files += 1;
            found.bytes += size;
        }
        EntryBody::Directory { .. } => found.folders += 1,
        _ => found.others += 1,
    }
    let (sign, word) = change.words();
    invocation.console.json(&json!({
        "type": "difference", "change": word, "path": PathText(path.to_vec()),
        "entry": entry_word(&entry.body), "size": file_size(entry),
    }))?;
    let row = format!("{sign} {}", text::display_path(path));
    if invocation.options.bool("full-result") {
        invocation.console.row(row)?;
    } else if found.shown.len() < SHOWN_MAX && !invocation.console.is_json() {
        found.shown.push(row);
    }
    Ok(())
}

fn print_summary(invocation: &Invocation, found: &[Found; 3]) -> Outcome<()> {
    if found.iter().all(|found| found.count() == 0) {
        invocation.console.row("There are no differences")?;
        return Ok(());
    }
    for (change, found) in Change::ALL.into_iter().zip(found) {
        if found.count() == 0 {
            continue;
        }
        let (_, word) = change.words();
        invocation.console.row(format!(
            "{} {word} ({}), {} {word}, {} {word}",
            text::count(found.files, "file", "files"),
            text::size(found.bytes),
            text::count(found.folders, "folder", "folders"),
            text::count(found.others, "other entry", "other entries"),
        ))?;
        for row in &found.shown {
            invocation.console.row(format!("  {row}"))?;
        }
        let hidden = found.count().saturating_sub(found.shown.len() as u64);
        if hidden > 0 && !invocation.options.bool("full-result") {
            invocation
                .console
                .row(format!("  … and {hidden} more; --full-result shows all"))?;
        }
    }
    Ok(())
}
