// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `test-filters`: which paths a backup with these options would take.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use duplicati_actors::{backup::SymlinkPolicy, events::ProgressSnapshot};
use duplicati_engine::source::{
    EntryKind, EntryStat, ListingBuffer, SourceDirectory, SourceError, is_hidden,
};
use duplicati_programs_common::ExitCode;
use serde_json::json;

use super::backup_options::backup_options;
use crate::{failure::Outcome, invocation::Invocation, logging::Level, output::text, results::CommandResult};

/// What was found so far.
struct Walk<'a> {
    invocation: &'a Invocation,
    options: duplicati_actors::backup::BackupOptions,
    /// Folders still to be listed, with their trailing `/`.
    folders: Vec<Vec<u8>>,
    files: u64,
    bytes: u64,
}

pub fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let mut options = backup_options(invocation)?;
    let mut walk = Walk {
        invocation,
        folders: Vec::new(),
        files: 0,
        bytes: 0,
        options: duplicati_actors::backup::BackupOptions {
            sources: std::mem::take(&mut options.sources),
            ..options
        },
    };
    let mut buffer = ListingBuffer::new();
    for source in std::mem::take(&mut walk.options.sources) {
        // A source itself is never filtered out.
        if std::fs::symlink_metadata(OsStr::from_bytes(&source)).is_ok_and(|metadata| metadata.is_dir()) {
            walk.include(&with_slash(&source), None);
            walk.folders.push(with_slash(&source));
        } else {
            let size = std::fs::symlink_metadata(OsStr::from_bytes(&source)).map_or(0, |found| found.len());
            walk.include(&source, Some(size));
        }
        while let Some(folder) = walk.folders.pop() {
            if let Err(error) = walk.folder(&folder, &mut buffer) {
                let message = error.below(&folder).to_string();
                invocation
                    .log
                    .write(Level::Warning, "FolderUnreadable", &folder, &message);
            }
        }
    }
    invocation.console.line(format!(
        "Matched {} ({})",
        text::count(walk.files, "file", "files"),
        text::size(walk.bytes)
    ))?;
    CommandResult::new(invocation)
        .with_all(json!({"FileCount": walk.files, "FileSize": walk.bytes}))
        .finish(invocation, None, &ProgressSnapshot::default(), ExitCode::Success)
}

fn with_slash(path: &[u8]) -> Vec<u8> {
    let mut folder = path.to_vec();
    if folder.last() != Some(&b'/') {
        folder.push(b'/');
    }
    folder
}

impl Walk<'_> {
    fn folder(&mut self, path: &[u8], buffer: &mut ListingBuffer) -> Result<(), SourceError> {
        let directory = SourceDirectory::open(Path::new(OsStr::from_bytes(path)))?;
        let listing = directory.list(buffer)?;
        if let Some(marker) = self.options.ignore_names.found_in(&listing) {
            let reason = format!("the folder contains {}", text::display_path(marker));
            self.exclude(path, &reason);
            return Ok(());
        }
        let mut below = Vec::new();
        for entry in listing.iter() {
            let mut entry_path = path.to_vec();
            entry_path.extend_from_slice(entry.name);
            let is_link = directory
                .stat(entry.name)
                .map(|stat| stat.kind == EntryKind::Symlink);
            let stat = match (&is_link, self.options.symlink_policy) {
                (Ok(true), SymlinkPolicy::Follow) => directory.stat_followed(entry.name),
                _ => directory.stat(entry.name),
            };
            let stat = match stat {
                Ok(stat) => stat,
                Err(error) => {
                    let message = error.below(path).to_string();
                    self.invocation
                        .log
                        .write(Level::Warning, "EntryUnreadable", &entry_path, &message);
                    continue;
                }
            };
            if stat.kind == EntryKind::Directory {
                entry_path.push(b'/');
            }
            if let Some(reason) = self.reason_to_leave(entry.name, &stat) {
                self.exclude(&entry_path, reason);
                continue;
            }
            let decision = self.options.filter.decide(&entry_path);
            if stat.kind == EntryKind::Directory && decision.may_enter() {
                below.push(entry_path.clone());
            }
            if decision.is_included() {
                self.include(&entry_path, (stat.kind == EntryKind::File).then_some(stat.size));
            } else {
                self.exclude(&entry_path, "a filter");
            }
        }
        // The last one pushed comes first.
        self.folders.extend(below.into_iter().rev());
        Ok(())
    }

    fn reason_to_leave(&self, name: &[u8], stat: &EntryStat) -> Option<&'static str> {
        let options = &self.options;
        match stat.kind {
            EntryKind::Symlink if options.symlink_policy == SymlinkPolicy::Ignore => {
                return Some("symbolic links are ignored");
            }
            EntryKind::File if options.size_limit.is_some_and(|limit| stat.size > limit) => {
                return Some("it is larger than skip-files-larger-than");
            }
            _ => {}
        }
        if options.exclude_hidden && is_hidden(name) {
            return Some("hidden files are excluded");
        }
        (options.honour_nodump && stat.nodump).then_some("the no-dump flag")
    }

    fn include(&mut self, path: &[u8], file_size: Option<u64>) {
        if let Some(size) = file_size {
            self.files += 1;
            self.bytes += size;
        }
        let message = format!("Including path: {}", text::display_path(path));
        self.invocation
            .log
            .write(Level::Verbose, "IncludingPath", path, &message);
    }

    fn exclude(&self, path: &[u8], reason: &str) {
        let message = format!("Excluding path because of {reason}: {}", text::display_path(path));
        self.invocation
            .log
            .write(Level::Verbose, "ExcludingPath", path, &message);
    }
}
