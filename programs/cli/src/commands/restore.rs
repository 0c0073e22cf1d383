// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `restore`: files of a version, back to their places or below another folder.

use std::{path::Path, sync::Arc};

use duplicati_actors::{
    error::RunError,
    events::Monitor,
    restore::{RestoreRequest, restore},
};
use duplicati_engine::{
    format::path_text::PathText,
    id::PackId,
    index::ChunkIndex,
    restore::{RestoreOptions, RestoreReport},
    storage::{ObjectKind, ObjectName},
};
use duplicati_programs_common::{ExitCode, error_id::ids};
use serde_json::{Value, json};

use super::{backup_options::workers, control_files, path_choice::PathChoice};
use crate::{
    connection::{Connection, Target},
    failure::{Failure, Outcome, failed},
    invocation::Invocation,
    logging::Level,
    output::{
        progress::{ProgressDisplay, Work},
        text,
    },
    results::CommandResult,
    versions::{self, Otherwise, Version},
};

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let options = restore_options(invocation)?;
    let each_version = restores_each_version(invocation, &options)?;
    let connection = Target::of(invocation)?.open_to_read(invocation).await?;
    let all = versions::list(invocation, &connection.repository).await?;
    let otherwise = if each_version {
        Otherwise::All
    } else {
        Otherwise::Newest
    };
    let mut chosen = versions::choose(invocation, &all, otherwise)?;
    if !each_version {
        chosen.truncate(1);
    }
    if invocation.options.is_given("control-files") {
        return control_files::restore(invocation, &connection, &chosen[0]).await;
    }
    let index = Arc::new(connection.load_index(invocation).await?);
    let monitor = invocation.monitor();
    let mut total = RestoreReport::default();
    for version in &chosen {
        let mut options = options.clone();
        if each_version && let Some(target) = &mut options.target {
            target.push(
                version
                    .time
                    .to_zoned(invocation.begin.time_zone().clone())
                    .strftime("%Y%m%d-%H%M%S")
                    .to_string(),
            );
        }
        // Not before now: a wrong passphrase must leave no folder behind.
        if let Some(target) = &options.target {
            make_folder(invocation, target)?;
        }
        let report = restore_version(invocation, &connection, &index, version, options, &monitor).await?;
        add(&mut total, report);
    }
    note_broken(invocation, &connection, &total)?;
    for object in &total.broken_remote_files {
        let message =
            format!("The stored file {object} is missing or damaged; run repair, and restore again");
        invocation
            .log
            .write(Level::Error, "RemoteFileBroken", b"", &message);
    }
    let touched =
        total.restored_files + total.restored_folders + total.restored_symlinks + total.restored_others;
    if touched + total.unmodified_files + total.failed_entries == 0 && !invocation.is_dry_run() {
        invocation.log.warning(
            "NoFilesRestored",
            "Nothing in the version matched, so nothing was restored",
        );
    }
    print_summary(invocation, &total)?;
    CommandResult::new(invocation)
        .with_all(values(&total, invocation.is_dry_run()))
        .errors(total.failed_entries > 0)
        .finish(
            invocation,
            Some(&connection),
            &monitor.progress.snapshot(),
            ExitCode::Success,
        )
}

/// Remembers which packs were damaged: the next restore here reads around them where it can, and the next backup does not rely on them.
fn note_broken(invocation: &Invocation, connection: &Connection, report: &RestoreReport) -> Outcome<()> {
    let packs: Vec<PackId> = report
        .broken_remote_files
        .iter()
        .filter_map(|name| name.parse::<ObjectName>().ok())
        .filter(|name| name.kind() == ObjectKind::Pack)
        .map(|name| PackId(name.id()))
        .collect();
    if packs.is_empty() {
        return Ok(());
    }
    if let Some(mut local) = connection.local_to_read(invocation)?
        && let Err(error) = local.note_read_packs(&packs, &[])
    {
        // The files are restored; that must not be lost over a note.
        invocation
            .log
            .warning("LocalDatabaseUnusable", &error.to_string());
    }
    Ok(())
}

async fn restore_version(
    invocation: &Invocation,
    connection: &Connection,
    index: &Arc<ChunkIndex>,
    version: &Version,
    options: RestoreOptions,
    monitor: &Monitor,
) -> Outcome<RestoreReport> {
    invocation.console.line(format!(
        "Restoring version {} of {}",
        version.number,
        text::local_time(version.time)
    ))?;
    let mut request = RestoreRequest::new(
        Arc::clone(&connection.repository),
        Arc::clone(index),
        &version.manifest,
        options,
    );
    request.writers = workers(&invocation.options);
    let display = ProgressDisplay::start(&invocation.console, monitor, Work::Restore);
    let outcome = restore(request, monitor.clone(), invocation.control.clone()).await;
    drop(display);
    outcome.map_err(|error| match error {
        RunError::Refused(message) => failed(ids::INVALID_RESTORE_DESTINATION, message),
        error => Failure::from(error),
    })
}

fn restore_options(invocation: &Invocation) -> Outcome<RestoreOptions> {
    let options = &invocation.options;
    let target = match options.path("restore-path") {
        Some(path) if path.to_string_lossy().starts_with('@') => {
            return Err(failed(
                ids::INVALID_RESTORE_DESTINATION,
                "restoring to another destination is not part of this version; name a folder",
            ));
        }
        Some(path) => Some(invocation.environment.current_folder.join(path)),
        None => None,
    };
    let choice = PathChoice::new(invocation, invocation.arguments_from(1))?;
    Ok(RestoreOptions {
        target,
        overwrite: options.bool("overwrite"),
        restore_permissions: options.bool("restore-permissions"),
        restore_symlink_metadata: options.bool("restore-symlink-metadata"),
        skip_verification: options.bool("skip-restore-verification"),
        keep_full_paths: options.bool("dont-compress-restore-paths"),
        allow_outside_target: options.bool("allow-restore-outside-target-directory"),
        filter: (!choice.takes_everything()).then(|| Arc::new(move |path: &[u8]| choice.select(path)) as _),
        dry_run: invocation.is_dry_run(),
        skip_metadata: options.bool("skip-metadata"),
        size_limit: options.size("skip-files-larger-than"),
        ..RestoreOptions::default()
    })
}

fn restores_each_version(invocation: &Invocation, options: &RestoreOptions) -> Outcome<bool> {
    match invocation.options.string("restore-all-files") {
        Some("False") | None => Ok(false),
        Some("Unique") => Err(failed(
            ids::OPTION_NOT_SUPPORTED,
            "--restore-all-files=Unique is not part of this version; True restores every version whole",
        )),
        Some(_) if options.target.is_none() => Err(failed(
            ids::RESTORE_ALL_FILES_REQUIRES_RESTORE_PATH,
            "--restore-all-files puts every version into a folder of its own and needs --restore-path",
        )),
        Some(_) => Ok(true),
    }
}

fn make_folder(invocation: &Invocation, path: &Path) -> Outcome<()> {
    if invocation.is_dry_run() {
        return Ok(());
    }
    std::fs::create_dir_all(path).map_err(|error| {
        failed(
            ids::INVALID_RESTORE_DESTINATION,
            format!("failed to make the folder {}: {error}", path.display()),
        )
    })
}

/// Lists of broken files in a result, and no more.
const LISTED_MAX: usize = 20;

fn add(total: &mut RestoreReport, report: RestoreReport) {
    total.restored_files += report.restored_files;
    total.restored_files_bytes += report.restored_files_bytes;
    total.restored_data_bytes += report.restored_data_bytes;
    total.restored_folders += report.restored_folders;
    total.restored_symlinks += report.restored_symlinks;
    total.restored_others += report.restored_others;
    total.patched_files += report.patched_files;
    total.deleted_files += report.deleted_files;
    total.deleted_symlinks += report.deleted_symlinks;
    total.unmodified_files += report.unmodified_files;
    total.unmodified_files_bytes += report.unmodified_files_bytes;
    total.too_large_files += report.too_large_files;
    total.failed_entries += report.failed_entries;
    total.broken_local_files.extend(report.broken_local_files);
    total.broken_local_files.truncate(LISTED_MAX);
    total.broken_remote_files.extend(report.broken_remote_files);
    total.broken_remote_files.truncate(LISTED_MAX);
    total.target = report.target;
}

fn values(report: &RestoreReport, is_dry_run: bool) -> Value {
    let broken: Vec<PathText> = report.broken_local_files.iter().cloned().map(PathText).collect();
    json!({
        "RestoredFiles": report.restored_files,
        "SizeOfRestoredFiles": report.restored_files_bytes,
        "SizeOfRestoredData": report.restored_data_bytes,
        "RestoredFolders": report.restored_folders,
        "RestoredSymlinks": report.restored_symlinks,
        "PatchedFiles": report.patched_files,
        "DeletedFiles": report.deleted_files,
        "DeletedFolders": 0,
        "DeletedSymlinks": report.deleted_symlinks,
        "UnmodifiedFiles": report.unmodified_files,
        "SizeOfUnmodifiedFiles": report.unmodified_files_bytes,
        "RestorePath": report.target.display().to_string(),
        "BrokenLocalFiles": broken,
        "BrokenRemoteFiles": report.broken_remote_files,
        "FailedEntries": report.failed_entries,
        "RecreateDatabaseResults": null,
        "Dryrun": is_dry_run,
    })
}

fn print_summary(invocation: &Invocation, report: &RestoreReport) -> Outcome<()> {
    let console = &invocation.console;
    let duration = invocation.now().duration_since(&invocation.begin).unsigned_abs();
    let files = |count, bytes| format!("{} ({})", text::count(count, "file", "files"), text::size(bytes));
    console.row(format!("  Duration of restore: {}", text::duration(duration)))?;
    console.row(format!("  Restored to: {}", report.target.display()))?;
    console.row(format!(
        "  Restored: {}",
        files(report.restored_files, report.restored_files_bytes)
    ))?;
    console.row(format!(
        "  Already right: {}",
        files(report.unmodified_files, report.unmodified_files_bytes)
    ))?;
    if report.failed_entries > 0 {
        console.row(format!("  Not restored: {}", report.failed_entries))?;
    }
    let end = if invocation.is_dry_run() {
        "Dry run completed; nothing was written"
    } else if report.failed_entries > 0 {
        "Restore completed with errors"
    } else {
        "Restore completed"
    };
    console.line(end)?;
    Ok(())
}
