// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When all content is written: further names of hard links, and the metadata of folders, deepest first, because writing into a
//! folder changes its times and a folder may be read-only. The tree is read again rather than remembered.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use duplicati_engine::{
    format::tree::{EntryBody, TreeEntry},
    restore::{
        Selection,
        metadata::MetadataWriter,
        selection::{alternate_name, below_prefix, is_at_or_below, parent},
        target::{Target, look},
    },
    snapshot::WalkStep,
};
use rustix::{
    fs::{AtFlags, FileType},
    io::Errno,
};

use super::{
    batches::AllWritten,
    context::{Context, lock},
};
use crate::{
    error::RunError,
    events::{Phase, Progress},
    inlet::Outlet,
};

pub fn run(
    context: &Arc<Context>,
    runtime: &tokio::runtime::Handle,
    outlet: &Outlet<AllWritten>,
) -> Result<(), RunError> {
    if let Some(never) = outlet.receive_blocking()? {
        match never {}
    }
    let Some(target) = &context.target else {
        return Ok(());
    };
    if context.options.skip_metadata && lock(&context.hard_links).first.is_empty() {
        return Ok(());
    }
    context.monitor.progress.set_phase(Phase::Committing);
    context.control.block_on(runtime, walk(context, target))?
}

async fn walk(context: &Context, target: &Target) -> Result<(), RunError> {
    let mut metadata = MetadataWriter::new(&context.options);
    let mut walk = context.tree.walk(&context.root);
    loop {
        context.control.check()?;
        let step = match walk.next().await {
            Ok(Some(step)) => step,
            Ok(None) => return Ok(()),
            // The planner has reported it.
            Err(error) if error.is_damage() => continue,
            Err(error) => return Err(error.into()),
        };
        let (entry, is_leaving) = match &step {
            WalkStep::Entry(entry) => (entry, false),
            WalkStep::Leave(entry) => (entry, true),
        };
        let is_folder = matches!(entry.body, EntryBody::Directory { .. });
        match context.selector.select(walk.path(), is_folder) {
            Selection::Leave => walk.skip(),
            Selection::Take if is_at_or_below(walk.path(), &context.prefix) => {
                if is_leaving {
                    folder(context, target, &mut metadata, walk.path(), entry)?;
                } else if !is_folder {
                    hard_link(context, target, walk.path(), entry)?;
                }
            }
            _ => {}
        }
    }
}

fn folder(
    context: &Context,
    target: &Target,
    metadata: &mut MetadataWriter,
    path: &[u8],
    entry: &TreeEntry,
) -> Result<(), RunError> {
    let below = below_prefix(path, &context.prefix);
    if below.is_empty() {
        // The target itself is the user's folder.
        return Ok(());
    }
    match target.open_folder(below) {
        Ok(open) => metadata.apply_open(open.as_fd(), entry, |message| {
            context.metadata_problem(path, message)
        }),
        // A folder that could not be made was reported then.
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
        Err(error) => context.metadata_problem(path, std::io::Error::from(error).to_string()),
    }
    Ok(())
}

fn hard_link(context: &Context, target: &Target, path: &[u8], entry: &TreeEntry) -> Result<(), RunError> {
    let Some(group) = Context::link_group(entry) else {
        return Ok(());
    };
    let Some((first, first_path)) = lock(&context.hard_links).first.get(&group).cloned() else {
        return Ok(());
    };
    if first_path == path {
        return Ok(());
    }
    let below = below_prefix(path, &context.prefix);
    match link(context, target, &first, parent(below), &entry.name) {
        Ok(is_new) => {
            let size = match entry.body {
                EntryBody::File { size, .. } => size,
                _ => 0,
            };
            if is_new {
                Progress::add(&context.monitor.progress.restored_files, 1);
                let mut report = context.report();
                report.restored_files += 1;
                report.restored_files_bytes += size;
            } else {
                context.unmodified(size);
            }
            Ok(())
        }
        Err(error) => context.refused(path, error),
    }
}

/// Gives a file one more name; false when it has it already.
fn link(context: &Context, target: &Target, first: &[u8], below: &[u8], name: &[u8]) -> Result<bool, Errno> {
    let first_folder = target.open_folder(parent(first))?;
    let first_name = first.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let stat = look(first_folder.as_fd(), first_name)?.ok_or(Errno::NOENT)?;
    let folder = open_or_make(target, below)?;
    let wanted = name;
    let mut name = name.to_vec();
    let mut attempts = std::iter::once(None).chain((0..100).map(Some));
    while let Some(found) = look(folder.as_fd(), &name)? {
        if (found.st_dev, found.st_ino) == (stat.st_dev, stat.st_ino) {
            return Ok(false);
        }
        if context.options.overwrite {
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                return Err(Errno::ISDIR);
            }
            rustix::fs::unlinkat(&folder, name.as_slice(), AtFlags::empty())?;
            context.report().deleted_files += 1;
            break;
        }
        let attempt = attempts.next().ok_or(Errno::EXIST)?;
        name = alternate_name(wanted, &context.date, attempt);
    }
    rustix::fs::linkat(
        &first_folder,
        first_name,
        &folder,
        name.as_slice(),
        AtFlags::empty(),
    )?;
    Ok(true)
}

/// A folder that holds nothing but further names may not exist yet, when it was not selected itself.
fn open_or_make(target: &Target, below: &[u8]) -> Result<OwnedFd, Errno> {
    match target.open_folder(below) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let mut at = target.open_folder(b"")?;
    for name in below.split(|byte| *byte == b'/') {
        at = target.make_folder(at.as_fd(), name, 0o777)?.0;
    }
    Ok(at)
}
