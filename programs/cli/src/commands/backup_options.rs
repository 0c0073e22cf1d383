// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From the command line to what a backup is asked to do: options, and the sources that exist.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use duplicati_actors::backup::{
    BackupOptions, ChangeDetection, HardlinkPolicy, PACK_SIZE_BYTES_DEFAULT, Selection, SymlinkPolicy,
};
use duplicati_engine::source::{display_path, exclusion::MarkerNames};
use duplicati_programs_common::{Options, destination::Destination, error_id::ids, options::table};

use super::control_files;
use crate::{
    failure::{Outcome, failed, wrong_arguments},
    invocation::Invocation,
};

/// Uploads at once when the user sets no limit.
const UPLOADS_WITHOUT_LIMIT: usize = 16;
/// Average chunk of a new repository unless chosen, bytes.
const CHUNK_SIZE_BYTES_AVERAGE: u64 = 128 << 10;
/// Smallest pack that a user may ask for, bytes.
const PACK_SIZE_BYTES_MIN: u64 = 1 << 20;
/// Largest pack that a user may ask for, bytes: three of them are in memory at a time.
const PACK_SIZE_BYTES_MAX: u64 = 1 << 30;
/// Most workers that a user may ask for; more only cost memory and threads.
const WORKERS_MAX: usize = 256;
/// Pack size for a folder unless chosen, bytes.
const PACK_SIZE_BYTES_FOLDER: u64 = 8 << 20;

/// Reads the options of a backup.
pub fn backup_options(invocation: &Invocation) -> Outcome<BackupOptions> {
    let options = &invocation.options;
    let stdin = options.bool("stdin").then(|| stdin_name(options)).transpose()?;
    if stdin.is_some() && invocation.argument(1).is_some() {
        return Err(wrong_arguments(
            "--stdin stores standard input and nothing else; leave out the source folders, or back them up by a run of their own",
        ));
    }
    let (sources, missing_sources) = match &stdin {
        Some(_) => (Vec::new(), 0),
        None => sources(invocation)?,
    };
    let mut backup = BackupOptions {
        sources,
        missing_sources,
        filter: invocation.source_filter()?,
        zstd_level: options.zstd_level(),
        workers: workers(options),
        uploads: uploads(options),
        verify_packs: !options.bool("skip-pack-verification"),
        symlink_policy: match options.string("symlink-policy") {
            Some("Follow") => SymlinkPolicy::Follow,
            Some("Ignore") => SymlinkPolicy::Ignore,
            _ => SymlinkPolicy::Store,
        },
        hardlink_policy: match options.string("hardlink-policy") {
            Some("First") => HardlinkPolicy::First,
            Some("None") => HardlinkPolicy::None,
            _ => HardlinkPolicy::All,
        },
        ignore_names: MarkerNames::parse(&options.list("ignore-filenames").join(":")),
        exclude_empty_folders: options.bool("exclude-empty-folders"),
        exclude_hidden: has_attribute(options, "Hidden"),
        exclude_read_only: has_attribute(options, "ReadOnly"),
        size_limit: options.size("skip-files-larger-than"),
        honour_locks: !options.bool("ignore-advisory-locking"),
        honour_nodump: options.bool("respect-nodump"),
        honour_exclusion_xattr: !options.bool("disable-backup-exclusion-xattr"),
        one_file_system: options.bool("one-file-system"),
        change_detection: if options.bool("disable-filetime-check") {
            ChangeDetection::None
        } else if options.bool("check-filetime-only") {
            ChangeDetection::TimeOnly
        } else {
            ChangeDetection::Full
        },
        skip_metadata: options.bool("skip-metadata"),
        commit_unchanged: options.bool("upload-unchanged-backups"),
        name: options.string("backup-name").unwrap_or_default().to_owned(),
        host: host_name(options),
        user: user_name(invocation),
        program: program(),
        dry_run: invocation.is_dry_run(),
        stdin,
        control_files: control_files::to_keep(invocation)?,
        selection: selection(invocation),
        ..BackupOptions::default()
    };
    backup.pack_size_bytes = pack_size_bytes(invocation)?;
    Ok(backup)
}

/// The options that decide how fast a backup is, for a benchmark of its own data.
pub fn benchmark_options(invocation: &Invocation) -> Outcome<BackupOptions> {
    let options = &invocation.options;
    Ok(BackupOptions {
        filter: invocation.source_filter()?,
        zstd_level: options.zstd_level(),
        workers: workers(options),
        uploads: uploads(options),
        verify_packs: !options.bool("skip-pack-verification"),
        pack_size_bytes: pack_size_bytes(invocation)?,
        host: host_name(options),
        program: program(),
        ..BackupOptions::default()
    })
}

/// Average chunk of a new repository, bytes.
pub fn chunk_size_bytes(options: &Options) -> u64 {
    options.size("blocksize").unwrap_or(CHUNK_SIZE_BYTES_AVERAGE)
}

/// Which paths to look at, when the user knows what has changed.
fn selection(invocation: &Invocation) -> Option<Selection> {
    let options = &invocation.options;
    let paths = |name: &str| -> Vec<Vec<u8>> {
        options
            .path_list(name)
            .iter()
            .map(|path| invocation.absolute(path.as_os_str()))
            .collect()
    };
    let (changed, deleted) = (paths("changed-files"), paths("deleted-files"));
    if changed.is_empty() && deleted.is_empty() {
        return None;
    }
    Some(Selection::new(
        changed.iter().map(Vec::as_slice),
        deleted.iter().map(Vec::as_slice),
    ))
}

/// The pack size that the user asks for, or the one that suits the destination.
pub fn pack_size_bytes(invocation: &Invocation) -> Outcome<u64> {
    let options = &invocation.options;
    if !options.is_given("dblock-size") {
        return Ok(default_pack_size_bytes(invocation));
    }
    match options.size("dblock-size") {
        Some(size) if size < PACK_SIZE_BYTES_MIN => Err(failed(
            ids::VOLUME_SIZE_TOO_SMALL,
            format!("--dblock-size is {size} bytes, and the least is 1mb"),
        )),
        Some(size) if size > PACK_SIZE_BYTES_MAX => Err(failed(
            ids::INVALID_OPTION_VALUE,
            format!(
                "--dblock-size is {size} bytes, and the most is 1gb: three packs are in memory at a time"
            ),
        )),
        size => Ok(size.unwrap_or(PACK_SIZE_BYTES_DEFAULT)),
    }
}

/// A request to a folder costs next to nothing, so packs there can be smaller, and with them the memory that a backup needs.
fn default_pack_size_bytes(invocation: &Invocation) -> u64 {
    let is_folder = invocation
        .argument(0)
        .and_then(|text| Destination::parse(text, &invocation.environment.current_folder).ok())
        .is_some_and(|destination| destination.scheme == "file");
    match is_folder {
        true => PACK_SIZE_BYTES_FOLDER,
        false => PACK_SIZE_BYTES_DEFAULT,
    }
}

/// Program and version as stored with versions.
pub fn program() -> String {
    format!("duplicati-cli {}", env!("CARGO_PKG_VERSION"))
}

/// The name of this machine.
pub fn host_name(options: &Options) -> String {
    let of_system = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match options.string("machine-name").filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => of_system().trim().to_owned(),
    }
}

fn user_name(invocation: &Invocation) -> String {
    let environment = &invocation.environment;
    ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| environment.variable(name))
        .map_or_else(
            || environment.user_id.to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
}

fn has_attribute(options: &Options, attribute: &str) -> bool {
    options
        .list("exclude-files-attributes")
        .iter()
        .any(|name| name == attribute)
}

fn count(options: &Options, name: &str) -> Option<usize> {
    let count = usize::try_from(options.integer(name)?).ok()?;
    (count > 0).then_some(count)
}

/// Threads; 0 leaves the number to the engine.
pub fn workers(options: &Options) -> usize {
    let names = [
        "workers",
        "concurrency-compressors",
        "concurrency-block-hashers",
        "concurrency-fileprocessors",
        "concurrency-max-threads",
    ];
    debug_assert!(names.iter().all(|name| table::find(name).is_some()));
    let asked = names
        .iter()
        .find_map(|name| count(options, name))
        .map(|count| count.min(WORKERS_MAX));
    let intensity = options.integer("cpu-intensity").unwrap_or(10).clamp(1, 10) as usize;
    match (asked, intensity) {
        (Some(count), _) => count,
        (None, 10) => 0,
        (None, share) => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            (cores * share / 10).max(1)
        }
    }
}

/// Uploads or downloads at once.
pub fn uploads(options: &Options) -> usize {
    if options.bool("synchronous-upload") {
        return 1;
    }
    count(options, "asynchronous-upload-limit").unwrap_or(UPLOADS_WITHOUT_LIMIT)
}

fn stdin_name(options: &Options) -> Outcome<Vec<u8>> {
    let name = options.string("stdin-name").unwrap_or("stdin");
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(failed(
            ids::INVALID_OPTION_VALUE,
            format!("--stdin-name={name:?} is not the name of a file; give one without folders"),
        ));
    }
    Ok(name.as_bytes().to_vec())
}

/// The sources on the command line that exist: absolute, each once, none inside of another; and how many do not.
fn sources(invocation: &Invocation) -> Outcome<(Vec<Vec<u8>>, u64)> {
    let options = &invocation.options;
    let first = usize::from(invocation.spec.takes_destination);
    let named = invocation.arguments_from(first);
    if named.is_empty() {
        return Err(failed(
            ids::NO_SOURCE_FOLDERS,
            "no source was given; name the files and folders to back up after the destination",
        ));
    }
    let mut existing = Vec::with_capacity(named.len());
    let mut missing_count = 0;
    for text in named {
        let path = invocation.absolute(text);
        match std::fs::symlink_metadata(Path::new(OsStr::from_bytes(&path))) {
            Ok(metadata) => {
                if metadata.is_dir() && options.bool("prevent-empty-source") && is_empty_folder(&path) {
                    return Err(failed(
                        ids::SOURCE_FOLDER_EMPTY,
                        format!(
                            "the source {} is an empty folder; is its disk mounted?",
                            display_path(&path)
                        ),
                    ));
                }
                existing.push(path);
            }
            Err(error) => {
                missing(invocation, &path, &error)?;
                missing_count += 1;
            }
        }
    }
    if existing.is_empty() {
        return Err(failed(
            ids::NO_SOURCES,
            "none of the sources exists, so there is nothing to back up",
        ));
    }
    Ok((without_nested(existing), missing_count))
}

fn is_empty_folder(path: &[u8]) -> bool {
    std::fs::read_dir(OsStr::from_bytes(path)).is_ok_and(|mut entries| entries.next().is_none())
}

fn missing(invocation: &Invocation, path: &[u8], error: &std::io::Error) -> Outcome<()> {
    let message = format!("the source {} cannot be reached: {error}", display_path(path));
    if invocation.options.bool("abort-if-source-missing") {
        let id = match error.kind() {
            std::io::ErrorKind::PermissionDenied => ids::SOURCE_UNAUTHORIZED,
            _ => ids::SOURCE_IS_MISSING,
        };
        return Err(failed(id, message));
    }
    if invocation.options.bool("allow-missing-source") {
        invocation.log.information("SourceMissing", &message);
    } else {
        invocation.log.warning("SourceMissing", &message);
    }
    Ok(())
}

/// Sorts, and folds a source inside of another into it.
fn without_nested(mut sources: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    sources.sort();
    sources.dedup();
    let holds = |outer: &[u8], inner: &[u8]| {
        outer == b"/" || (inner.starts_with(outer) && inner.get(outer.len()) == Some(&b'/'))
    };
    let all = sources.clone();
    sources.retain(|source| !all.iter().any(|outer| outer != source && holds(outer, source)));
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_inside_of_others_are_folded_into_them() {
        let sources = [&b"/a/b"[..], b"/a", b"/ab", b"/a", b"/c/d"].map(<[u8]>::to_vec);
        assert_eq!(
            without_nested(sources.to_vec()),
            [&b"/a"[..], b"/ab", b"/c/d"].map(<[u8]>::to_vec)
        );
        let everything = without_nested(vec![b"/x".to_vec(), b"/".to_vec()]);
        assert_eq!(everything, [b"/".to_vec()]);
    }
}
