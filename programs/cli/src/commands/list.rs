// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `list` and `find`: versions without a filter, paths with one. `find` looks into all versions, `list` into the newest.

use duplicati_actors::events::ProgressSnapshot;
use duplicati_engine::format::{path_text::PathText, tree::TreeEntry};
use duplicati_programs_common::ExitCode;
use jiff::Timestamp;

use super::{
    control_files, list_filesets, list_folder_content,
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
    if invocation.options.bool("list-folder-contents") && invocation.arguments_from(1).len() == 1 {
        return list_folder_content::run(invocation).await;
    }
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    let arguments = invocation.arguments_from(1);
    let options = &invocation.options;
    let chooses_version = ["version", "time", "all-versions"]
        .iter()
        .any(|option| options.is_given(option));
    let lists_versions = arguments.is_empty()
        && options.filters().is_empty()
        && !chooses_version
        && !options.is_given("control-files")
        && !options.bool("list-prefix-only");
    if lists_versions || options.bool("list-sets-only") {
        return list_filesets::print(invocation, &connection).await;
    }
    let all = versions::list(invocation, &connection.repository).await?;
    if options.is_given("control-files") {
        let chosen = versions::choose(invocation, &all, Otherwise::Newest)?;
        return control_files::list(invocation, &connection, &chosen);
    }
    if options.bool("list-prefix-only") {
        return print_prefix(
            invocation,
            &connection,
            &versions::choose(invocation, &all, Otherwise::Newest)?,
        );
    }
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

/// Prints the longest folder that all sources of the versions lie in.
fn print_prefix(invocation: &Invocation, connection: &Connection, versions: &[Version]) -> Outcome<ExitCode> {
    let sources = versions.iter().flat_map(|version| &version.manifest.sources);
    let prefix = common_folder(sources.map(|source| source.0.as_slice()));
    invocation.console.row(text::display_path(&prefix))?;
    CommandResult::new(invocation)
        .with(
            "Prefix",
            serde_json::to_value(PathText(prefix)).unwrap_or_default(),
        )
        .finish(
            invocation,
            Some(connection),
            &ProgressSnapshot::default(),
            ExitCode::Success,
        )
}

/// The longest folder that holds all paths, with a `/` at its end. A single path is taken for a folder itself.
fn common_folder<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut common: Option<Vec<&[u8]>> = None;
    for path in paths {
        let names: Vec<&[u8]> = path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .collect();
        common = Some(match common {
            None => names,
            Some(known) => known
                .into_iter()
                .zip(names)
                .take_while(|(left, right)| left == right)
                .map(|(left, _)| left)
                .collect(),
        });
    }
    let mut prefix = vec![b'/'];
    for name in common.unwrap_or_default() {
        prefix.extend_from_slice(name);
        prefix.push(b'/');
    }
    prefix
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_folder_of_sources_ends_at_a_name() {
        let common = |paths: &[&str]| {
            let folder = common_folder(paths.iter().map(|path| path.as_bytes()));
            String::from_utf8_lossy(&folder).into_owned()
        };
        assert_eq!(common(&["/home/me", "/home/me2/x"]), "/home/");
        assert_eq!(common(&["/etc"]), "/etc/");
        assert_eq!(common(&["/a", "/b"]), "/");
        assert_eq!(common(&[]), "/");
    }
}
