// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Versions as users count them: 0 is the newest.

use duplicati_engine::{
    format::{chunk_list::ChunkList, manifest::Manifest},
    id::SnapshotId,
    repository::{Repository, RepositoryError, SnapshotListing},
};
use duplicati_programs_common::error_id::ids;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    failure::{Outcome, failed},
    invocation::Invocation,
    output::text,
    retention::CLOCK_SKEW_SECONDS_MAX,
};

/// One version.
#[derive(Debug, Clone)]
pub struct Version {
    pub number: u32,
    pub id: SnapshotId,
    pub time: Timestamp,
    pub manifest: Manifest,
}

/// `{"type": "version", …}`.
#[derive(Serialize)]
pub struct VersionLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    version: u32,
    id: String,
    time: &'a str,
    partial: bool,
    files: u64,
    folders: u64,
    size: u64,
    name: &'a str,
    host: &'a str,
    user: &'a str,
    sources: &'a [duplicati_engine::format::path_text::PathText],
}

impl Version {
    /// `0\t: <time> (<n> files, <size>)`, with a remark on partial ones.
    pub fn row(&self) -> String {
        let partial = if self.manifest.complete { "" } else { ", partial" };
        format!(
            "{}\t: {} ({}, {}{partial})",
            self.number,
            text::local_time(self.time),
            text::count(self.manifest.totals.files, "file", "files"),
            text::size(self.manifest.totals.bytes)
        )
    }

    /// The same for programs.
    pub fn line(&self) -> VersionLine<'_> {
        VersionLine {
            kind: "version",
            version: self.number,
            id: self.id.to_string(),
            time: &self.manifest.time,
            partial: !self.manifest.complete,
            files: self.manifest.totals.files,
            folders: self.manifest.totals.directories,
            size: self.manifest.totals.bytes,
            name: &self.manifest.name,
            host: &self.manifest.host,
            user: &self.manifest.user,
            sources: &self.manifest.sources,
        }
    }

    /// The root of its tree.
    pub fn root(&self) -> ChunkList {
        self.manifest.root.clone().into()
    }
}

/// Which versions a command looks at when no option says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    Newest,
    All,
}

/// All versions, newest first. Damaged ones are warned about, and left out.
pub async fn list(invocation: &Invocation, repository: &Repository) -> Outcome<Vec<Version>> {
    if !repository.data.can_open() {
        // To this key every version looks unreadable, and nobody shall let one go for that.
        let operation = "looking at versions";
        return Err(RepositoryError::WriteOnlyKey { operation }.into());
    }
    let listing = repository.list_snapshots().await?;
    for (id, error) in &listing.unreadable {
        invocation.log.warning(
            "VersionUnreadable",
            &format!(
                "Version {id} cannot be read: {error}; bring the file snapshots/{id} back from a copy, or let the version go with delete --give-up={id}"
            ),
        );
    }
    warn_of_the_future(invocation, &listing);
    let newest_first = listing.snapshots.into_iter().rev();
    Ok(newest_first
        .zip(0..)
        .map(|((id, manifest), number)| Version {
            number,
            id,
            time: manifest.time.parse().unwrap_or(Timestamp::UNIX_EPOCH),
            manifest,
        })
        .collect())
}

/// A version from a clock that was wrong stands in front of all that came after it, so "the newest" is not what it seems.
fn warn_of_the_future(invocation: &Invocation, listing: &SnapshotListing) {
    if invocation.spec.name == "delete" {
        // The way out itself; its retention has a warning of its own.
        return;
    }
    let now = invocation.now().timestamp().as_second();
    let newest = listing.snapshots.last().map(|(_, manifest)| &manifest.time);
    let Some(time) = newest.and_then(|time| time.parse::<Timestamp>().ok()) else {
        return;
    };
    if time.as_second() > now + CLOCK_SKEW_SECONDS_MAX {
        invocation.log.warning(
            "NewestVersionFromTheFuture",
            &format!(
                "version 0 is dated {}, which is to come, and hides every version that was made since; choose one by --version or --time, or remove it with delete --version=0",
                text::local_time(time)
            ),
        );
    }
}

/// The versions that the options choose.
pub fn choose(invocation: &Invocation, versions: &[Version], otherwise: Otherwise) -> Outcome<Vec<Version>> {
    let options = &invocation.options;
    if versions.is_empty() {
        return Err(failed(
            ids::NO_FILESETS_FOUND,
            "there is no version at the destination; run a backup first",
        ));
    }
    if options.bool("all-versions") {
        return Ok(versions.to_vec());
    }
    if let Some(wanted) = options.versions("version") {
        let chosen: Vec<Version> = versions
            .iter()
            .filter(|version| wanted.contains(version.number))
            .cloned()
            .collect();
        if chosen.is_empty() {
            return Err(failed(
                ids::NO_FILESET_FOUND_FOR_TIME_OR_VERSION,
                format!(
                    "none of the chosen versions exists; the versions are 0 (newest) to {} (oldest)",
                    versions.len() - 1
                ),
            ));
        }
        return Ok(chosen);
    }
    if let Some(time) = options.time_point("time") {
        return at(versions, time).map(|version| vec![version]);
    }
    Ok(match otherwise {
        Otherwise::Newest => versions[..1].to_vec(),
        Otherwise::All => versions.to_vec(),
    })
}

/// The newest version that is not newer than a time.
pub fn at(versions: &[Version], time: Timestamp) -> Outcome<Version> {
    versions
        .iter()
        .find(|version| version.time <= time)
        .cloned()
        .ok_or_else(|| {
            failed(
                ids::NO_BACKUP_AT_DATE,
                format!(
                    "there is no version of {} or before; list-filesets shows all versions",
                    text::local_time(time)
                ),
            )
        })
}

/// The version with a number.
pub fn numbered(versions: &[Version], number: u32) -> Outcome<Version> {
    versions.get(number as usize).cloned().ok_or_else(|| {
        failed(
            ids::NO_FILESET_FOUND_FOR_TIME_OR_VERSION,
            format!(
                "there is no version {number}; there are {} versions, counted from 0",
                versions.len()
            ),
        )
    })
}

/// The version that an argument names: a number, or a time of which the newest version before is meant.
pub fn named(invocation: &Invocation, versions: &[Version], text: &str) -> Option<Outcome<Version>> {
    if let Ok(number) = text.parse::<u32>() {
        return Some(numbered(versions, number));
    }
    let time = duplicati_programs_common::value::parse_time_point(text, &invocation.begin).ok()?;
    Some(at(versions, time))
}
