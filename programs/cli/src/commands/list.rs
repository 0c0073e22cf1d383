// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `list` and `find`: versions without a filter, paths with one. `find` looks into all versions, `list` into the newest.

use std::ffi::OsString;

use duplicati_actors::events::ProgressSnapshot;
use duplicati_engine::{
    format::{path_text::PathText, tree::TreeEntry},
    source::filter::{RuleKind, SourceFilter},
};
use duplicati_programs_common::ExitCode;
use jiff::Timestamp;

use super::{
    list_filesets,
    matching::{VersionWalk, file_size},
};
use crate::{
    connection::{Connection, Target},
    failure::{Outcome, wrong_arguments},
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
    let (chosen, filter) = match as_version {
        Some(version) => (vec![version?], invocation.source_filter()?),
        None => {
            let otherwise = if invocation.spec.name == "find" {
                Otherwise::All
            } else {
                Otherwise::Newest
            };
            (
                versions::choose(invocation, &all, otherwise)?,
                filter_of_arguments(invocation, arguments)?,
            )
        }
    };
    let found = print(invocation, &connection, &chosen, &filter).await?;
    let may_widen = found == 0 && !chooses_version && chosen.len() < all.len() && !filter.is_empty();
    let found = if may_widen {
        invocation
            .console
            .row("No file matched, looking in all versions")?;
        print(invocation, &connection, &all, &filter).await?
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

/// The filter that arguments and options make. A bare name means any path that ends with it.
pub fn filter_of_arguments(invocation: &Invocation, arguments: &[OsString]) -> Outcome<SourceFilter> {
    let mut texts = Vec::new();
    for argument in arguments {
        let text = argument.to_str().ok_or_else(|| {
            wrong_arguments("an argument is not valid UTF-8; write a ? for each byte that is not")
        })?;
        texts.extend(expressions(text));
    }
    let given = invocation.options.filters().iter().map(|rule| {
        let kind = if rule.include {
            RuleKind::Include
        } else {
            RuleKind::Exclude
        };
        (kind, rule.expression.as_str())
    });
    // Excludes must be seen before the arguments that include.
    let rules = given.chain(texts.iter().map(|text| (RuleKind::Include, text.as_str())));
    invocation.filter_of(rules)
}

/// What an argument means as filter expressions.
fn expressions(argument: &str) -> Vec<String> {
    let is_bare = !argument.contains(['/', '*', '?', '[', '{']) && !argument.starts_with('@');
    if is_bare {
        return vec![format!("*/{argument}"), format!("*/{argument}/")];
    }
    if argument.ends_with('/') && !argument.contains(['*', '?', '[', '{']) {
        return vec![argument.to_owned(), format!("{argument}*")];
    }
    vec![argument.to_owned()]
}

/// Prints the matching paths of one or several versions and returns their number.
pub async fn print(
    invocation: &Invocation,
    connection: &Connection,
    versions: &[Version],
    filter: &SourceFilter,
) -> Outcome<u64> {
    let trees = connection.trees(invocation).await?;
    let mut walk = VersionWalk::begin(invocation, &trees, versions, filter.clone()).await?;
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
    fn bare_names_mean_any_folder_and_folders_mean_their_content() {
        assert_eq!(expressions("x.txt"), ["*/x.txt", "*/x.txt/"]);
        assert_eq!(expressions("/a/b/"), ["/a/b/", "/a/b/*"]);
        assert_eq!(expressions("@x.txt"), ["@x.txt"]);
        assert_eq!(expressions("*.txt"), ["*.txt"]);
    }
}
