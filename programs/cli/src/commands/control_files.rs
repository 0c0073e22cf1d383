// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files kept beside the tree of a version (`--control-files`): which they are, and getting them back.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io::Write,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use duplicati_actors::events::ProgressSnapshot;
use duplicati_engine::{
    format::{
        chunk_list::{ChunkList, DEPTH_MAX},
        manifest::ControlFile,
        pack::PackClass,
    },
    snapshot::TreeReader,
};
use duplicati_programs_common::{ExitCode, error_id::ids};
use serde_json::json;

use crate::{
    connection::Connection,
    failure::{Outcome, failed},
    invocation::Invocation,
    logging::Level,
    output::text,
    results::CommandResult,
    versions::Version,
};

/// The most files that one version keeps beside its tree: they stand in its manifest.
const FILES_MAX: usize = 100;

/// The files that a backup is asked to keep.
pub fn to_keep(invocation: &Invocation) -> Outcome<Vec<Vec<u8>>> {
    let paths = invocation.options.path_list("control-files");
    if paths.len() > FILES_MAX {
        return Err(failed(
            ids::INVALID_OPTION_VALUE,
            format!(
                "--control-files names {} files, and the most are {FILES_MAX}",
                paths.len()
            ),
        ));
    }
    let mut names = BTreeSet::new();
    let mut absolute = Vec::new();
    for path in paths {
        let path = invocation.absolute(path.as_os_str());
        let name = path
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
            .to_vec();
        if !names.insert(name) {
            return Err(failed(
                ids::INVALID_OPTION_VALUE,
                format!(
                    "--control-files names two files {:?}; they are kept without their folders, so names must differ",
                    path.rsplit(|byte| *byte == b'/')
                        .next()
                        .map(|name| text::display_path(name).to_string())
                        .unwrap_or_default()
                ),
            ));
        }
        absolute.push(path);
    }
    Ok(absolute)
}

/// Lists them.
pub fn list(invocation: &Invocation, connection: &Connection, versions: &[Version]) -> Outcome<ExitCode> {
    let mut found = 0_u64;
    for version in versions {
        let time = text::local_time(version.time);
        invocation
            .console
            .row(format!("Control files of version {} ({time}):", version.number))?;
        for file in &version.manifest.control_files {
            found += 1;
            let name = text::display_path(&file.name.0);
            invocation
                .console
                .row(format!("{name} ({})", text::size(file.size)))?;
            invocation.console.json(&json!({
                "type": "control-file", "version": version.number, "name": file.name, "size": file.size,
            }))?;
        }
    }
    if found == 0 {
        invocation.console.row("There are no control files")?;
    }
    CommandResult::new(invocation).with("EntryCount", found).finish(
        invocation,
        Some(connection),
        &ProgressSnapshot::default(),
        ExitCode::Success,
    )
}

/// Writes them to the folder of `--restore-path`, or the present one.
pub async fn restore(
    invocation: &Invocation,
    connection: &Connection,
    version: &Version,
) -> Outcome<ExitCode> {
    let folder = match invocation.options.path("restore-path") {
        Some(path) => invocation.environment.current_folder.join(path),
        None => invocation.environment.current_folder.clone(),
    };
    let trees = connection.trees(invocation).await?;
    let wanted: Vec<&[u8]> = invocation
        .arguments_from(1)
        .iter()
        .map(|name| name.as_bytes())
        .collect();
    let mut restored = Vec::new();
    let mut failures = 0;
    let is_wanted = |file: &&ControlFile| wanted.is_empty() || wanted.contains(&file.name.0.as_slice());
    for file in version.manifest.control_files.iter().filter(is_wanted) {
        match restore_one(invocation, &trees, file, &folder).await {
            Ok(path) => {
                invocation.console.row(format!("Restored {}", path.display()))?;
                restored.push(path.display().to_string());
            }
            Err(reason) => {
                failures += 1;
                let message = format!("the control file was not restored: {reason}");
                invocation
                    .log
                    .write(Level::Error, "ControlFileNotRestored", &file.name.0, &message);
            }
        }
    }
    if restored.is_empty() && failures == 0 {
        invocation.log.warning(
            "NoFilesRestored",
            "The version has no such control files, so nothing was restored",
        );
    }
    invocation.console.line(format!(
        "Restored {}",
        text::count(restored.len() as u64, "control file", "control files")
    ))?;
    CommandResult::new(invocation)
        .with("Files", restored)
        .errors(failures > 0)
        .finish(
            invocation,
            Some(connection),
            &ProgressSnapshot::default(),
            ExitCode::Success,
        )
}

async fn restore_one(
    invocation: &Invocation,
    trees: &TreeReader,
    file: &ControlFile,
    folder: &Path,
) -> Result<PathBuf, String> {
    let name = file.name.0.as_slice();
    // What the repository says is not trusted with a place outside of the folder.
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
        return Err("its name is not that of a file".to_owned());
    }
    if file.depth > DEPTH_MAX {
        return Err("its list of chunks is damaged".to_owned());
    }
    let path = folder.join(OsStr::from_bytes(name));
    if path.symlink_metadata().is_ok() && !invocation.options.bool("overwrite") {
        return Err(format!("{} exists; --overwrite replaces it", path.display()));
    }
    if invocation.is_dry_run() {
        return Ok(path);
    }
    let beside = folder.join(format!(".duplicati-control-{}", std::process::id()));
    let written = write(trees, file, folder, &beside).await;
    let outcome = written.and_then(|()| std::fs::rename(&beside, &path).map_err(|error| error.to_string()));
    if outcome.is_err() {
        let _gone_or_not = std::fs::remove_file(&beside);
    }
    outcome.map(|()| path)
}

async fn write(trees: &TreeReader, file: &ControlFile, folder: &Path, place: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let mut output = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(place)
        .map_err(|error| error.to_string())?;
    let list = ChunkList {
        depth: file.depth,
        ids: file.ids.clone(),
    };
    let mut leaves = trees.leaves(&list);
    let mut written = 0;
    while let Some(id) = leaves.next().await.map_err(|error| error.to_string())? {
        let chunk = trees
            .chunk(PackClass::Data, &id)
            .await
            .map_err(|error| error.to_string())?;
        output.write_all(&chunk).map_err(|error| error.to_string())?;
        written += chunk.len() as u64;
    }
    if written != file.size {
        return Err(format!(
            "it should have {} bytes and {written} were found",
            file.size
        ));
    }
    output.sync_all().map_err(|error| error.to_string())
}
