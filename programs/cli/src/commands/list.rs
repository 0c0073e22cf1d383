// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `list` and `find`: versions without a filter, paths with one. `find` looks into all versions, `list` into the newest.

use duplicati_actors::events::ProgressSnapshot;
use duplicati_engine::format::{path_text::PathText, tree::TreeEntry};
use duplicati_programs_common::ExitCode;
use jiff::Timestamp;

use super::{
    list_filesets,
    matching::{VersionWalk, file_size},
    path_choice::PathChoice,
};
use crate::{
    connection::{Connection, Target},
    failure::Outcome,
    invocation::Invocation,
    output::{
        json::{EntryLine, entry_word},
        text,
    },
    results::CommandResult,
    versions::{self, Otherwise, Version},
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    let arguments = invocation.arguments_from(1);
    let options = &invocation.options;
    let chooses_version = ["version", "time", "all-versions"]
        .iter()
        .any(|option| options.is_given(option));
    let lists_versions = arguments.is_empty() && options.filters().is_empty() && !chooses_version;
    if lists_versions || options.bool("list-sets-only") {
        return list_filesets::print(invocation, &connection).await;
    }
    let all = versions::list(invocation, &connection.repository).await?;
    let as_version = match arguments {
        [argument] => argument
            .to_str()
            .and_then(|text| versions::named(invocation, &all, text)),
        _ => None,
    };
    let (chosen, choice) = match as_version {
        Some(version) => (vec![version?], PathChoice::new(invocation, &[])?),
        None => {
            let otherwise = if invocation.spec.name == "find" {
                Otherwise::All
            } else {
                Otherwise::Newest
            };
            (
                versions::choose(invocation, &all, otherwise)?,
                PathChoice::new(invocation, arguments)?,
            )
        }
    };
    let found = print(invocation, &connection, &chosen, &choice).await?;
    let may_widen = found == 0 && !chooses_version && chosen.len() < all.len() && !choice.takes_everything();
    let found = if may_widen {
        invocation
            .console
            .row("No file matched, looking in all versions")?;
        print(invocation, &connection, &all, &choice).await?
    } else {
        found
    };
    if found == 0 {
        invocation.console.row("No file matched")?;
    }
    finish(invocation, &connection, found)
}

/// Ends a command that listed entries.
pub fn finish(invocation: &Invocation, connection: &Connection, found: u64) -> Outcome<ExitCode> {
    CommandResult::new(invocation).with("EntryCount", found).finish(
        invocation,
        Some(connection),
        &ProgressSnapshot::default(),
        ExitCode::Success,
    )
}

/// Prints the matching paths of one or several versions and returns their number.
pub async fn print(
    invocation: &Invocation,
    connection: &Connection,
    versions: &[Version],
    choice: &PathChoice,
) -> Outcome<u64> {
    let trees = connection.trees(invocation).await?;
    let mut walk = VersionWalk::begin(invocation, &trees, versions, choice.clone()).await?;
    if let [version] = versions {
        let time = text::local_time(version.time);
        invocation
            .console
            .row(format!("Listing contents {} ({time}):", version.number))?;
    } else {
        invocation.console.row("Listing files and versions:")?;
    }
    let mut found = 0;
    while let Some(matched) = walk.next().await? {
        found += 1;
        print_path(invocation, versions, &matched.path, &matched.entries)?;
    }
    Ok(found)
}

/// Prints one path: with its size when there is one version, else with a line for each.
pub fn print_path(
    invocation: &Invocation,
    versions: &[Version],
    path: &[u8],
    entries: &[Option<TreeEntry>],
) -> Outcome<()> {
    let shown = text::display_path(path);
    if let ([_], [Some(entry)]) = (versions, entries) {
        match file_size(entry) {
            Some(size) => invocation
                .console
                .row(format!("{shown} ({})", text::size(size)))?,
            None => invocation.console.row(&shown)?,
        }
    } else {
        invocation.console.row(&shown)?;
        for (version, entry) in versions.iter().zip(entries) {
            let size = match entry.as_ref().map(file_size) {
                None => "-".to_owned(),
                Some(Some(size)) => text::size(size),
                Some(None) => "present".to_owned(),
            };
            let time = text::local_time(version.time);
            invocation
                .console
                .row(format!("{}\t: {time} {size}", version.number))?;
        }
        invocation.console.row("")?;
    }
    if invocation.console.is_json() {
        for (version, entry) in versions.iter().zip(entries) {
            if let Some(entry) = entry {
                invocation.console.json(&entry_line(version, path, entry))?;
            }
        }
    }
    Ok(())
}

fn entry_line(version: &Version, path: &[u8], entry: &TreeEntry) -> EntryLine {
    let modified = Timestamp::new(entry.mtime.seconds, entry.mtime.nanoseconds as i32).ok();
    EntryLine {
        kind: "entry",
        version: version.number,
        path: PathText(path.to_vec()),
        entry: entry_word(&entry.body),
        size: file_size(entry),
        modified: modified
            .filter(|_| !entry.no_metadata)
            .map(|time| time.to_string()),
    }
}
