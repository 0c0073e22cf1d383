// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the tool does, one function for each command.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::Write,
    path::Path,
};

use bytes::Bytes;
use duplicati_backends::{FileEntry, Files, StoreAddress, probe::probe};
use duplicati_engine::storage::StoreError;
use duplicati_programs_common::{Environment, Options, UserError, error_id::ids, target};
use jiff::{Timestamp, Zoned, tz::TimeZone};

/// Requests move few bytes at once here.
const RUNTIME_THREADS: usize = 2;

/// A command with its arguments.
pub struct Command {
    kind: Kind,
    url: OsString,
    file: Option<OsString>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Get,
    Put,
    Delete,
    CreateFolder,
    Probe,
}

fn usage(message: impl Into<String>) -> UserError {
    UserError::invalid_command_line(ids::WRONG_ARGUMENTS, message)
}

fn failed(message: impl Into<String>) -> UserError {
    UserError::failed(ids::REMOTE_OPERATION_FAILED, message)
}

fn store_error(error: StoreError) -> UserError {
    failed(error.to_string())
}

impl Command {
    /// Reads the arguments that are not options.
    pub fn of(arguments: &[OsString]) -> Result<Self, UserError> {
        let word = arguments
            .first()
            .map(|word| word.to_string_lossy().to_ascii_uppercase());
        let kind = match word.as_deref() {
            Some("LIST") => Kind::List,
            Some("GET") => Kind::Get,
            Some("PUT") => Kind::Put,
            Some("DELETE") => Kind::Delete,
            Some("CREATEFOLDER") => Kind::CreateFolder,
            Some("PROBE") => Kind::Probe,
            Some("GET-LOCK" | "SET-LOCK") => {
                return Err(UserError::failed(
                    ids::BACKEND_DOES_NOT_SUPPORT_LOCKING,
                    "locks on stored files are not part of this version",
                ));
            }
            Some(_) => {
                return Err(usage(
                    "unknown command; the commands are LIST, GET, PUT, DELETE, CREATEFOLDER and PROBE",
                ));
            }
            None => return Err(usage("the command is missing")),
        };
        let takes_file = matches!(kind, Kind::Get | Kind::Put | Kind::Delete);
        match (arguments, takes_file) {
            ([_, url, file], true) => Ok(Self {
                kind,
                url: url.clone(),
                file: Some(file.clone()),
            }),
            ([_, url], false) => Ok(Self {
                kind,
                url: url.clone(),
                file: None,
            }),
            ([_], _) => Err(usage("the URL of the target is missing")),
            ([_, _], true) => Err(usage("this command needs the name of a file")),
            _ => Err(usage("there are too many arguments")),
        }
    }
}

/// Carries a command out.
pub fn run(
    command: &Command,
    options: &Options,
    environment: &Environment,
    now: &Zoned,
) -> Result<(), UserError> {
    let address = target::address_of(&command.url, options, &environment.current_folder, now)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()
        .map_err(|error| failed(format!("failed to start the threads of the program: {error}")))?;
    let outcome = runtime.block_on(dispatch(command, &address, environment));
    runtime.shutdown_background();
    outcome
}

async fn dispatch(
    command: &Command,
    address: &StoreAddress,
    environment: &Environment,
) -> Result<(), UserError> {
    if command.kind == Kind::Probe {
        return print_probe(address).await;
    }
    let files = duplicati_backends::open_files(address).map_err(|error| target::open_error(&error))?;
    let file = command.file.as_deref().unwrap_or_default();
    match command.kind {
        Kind::List => list(files.as_ref()).await,
        Kind::Get => get(files.as_ref(), file, environment).await,
        Kind::Put => put(files.as_ref(), file, environment).await,
        Kind::Delete => files.delete_file(remote_name(file)?).await.map_err(store_error),
        Kind::CreateFolder => files.create_folder().await.map_err(store_error),
        Kind::Probe => Ok(()),
    }
}

fn remote_name(file: &OsStr) -> Result<&str, UserError> {
    let name = file
        .to_str()
        .ok_or_else(|| usage("names at a target are UTF-8"))?;
    let is_safe = !name.is_empty()
        && !name.starts_with('/')
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if is_safe {
        Ok(name)
    } else {
        Err(usage("give the name of a file in the target's folder"))
    }
}

async fn list(files: &dyn Files) -> Result<(), UserError> {
    let mut entries = files.list_files(false).await.map_err(store_error)?;
    entries.sort_by(|left, right| left.path.cmp(&right.path));
    let mut output = std::io::stdout().lock();
    let shown = std::iter::once("Name\tDir/File\tLastChange\tSize".to_owned()).chain(entries.iter().map(row));
    for line in shown {
        // A reader such as `head` that has seen enough is no failure.
        if writeln!(output, "{line}").is_err() {
            break;
        }
    }
    Ok(())
}

fn row(entry: &FileEntry) -> String {
    let kind = if entry.is_folder { "Dir" } else { "File" };
    let changed = entry
        .modified
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map(|time| {
            time.to_zoned(TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        })
        .unwrap_or_default();
    let size = if entry.is_folder {
        String::new()
    } else {
        entry.size_bytes.to_string()
    };
    format!("{}\t{kind}\t{changed}\t{size}", entry.path)
}

async fn get(files: &dyn Files, file: &OsStr, environment: &Environment) -> Result<(), UserError> {
    let name = remote_name(file)?;
    let local = Path::new(name).file_name().unwrap_or(file);
    let path = environment.current_folder.join(local);
    if path.exists() {
        return Err(failed(format!(
            "{} exists already and is not replaced",
            path.display()
        )));
    }
    let content = files.read_file(name).await.map_err(store_error)?;
    let written = File::create_new(&path).and_then(|mut file| file.write_all(&content));
    written.map_err(|error| failed(format!("failed to write {}: {error}", path.display())))
}

async fn put(files: &dyn Files, file: &OsStr, environment: &Environment) -> Result<(), UserError> {
    let path = environment.current_folder.join(file);
    let name = path.file_name().ok_or_else(|| usage("give the path of a file"))?;
    let content =
        fs::read(&path).map_err(|error| failed(format!("failed to read {}: {error}", path.display())))?;
    files
        .write_file(remote_name(name)?, Bytes::from(content))
        .await
        .map_err(store_error)
}

async fn print_probe(address: &StoreAddress) -> Result<(), UserError> {
    let store = duplicati_backends::open_with_care(address).map_err(|error| target::open_error(&error))?;
    store.prepare(true).await.map_err(store_error)?;
    let report = probe(&store).await.map_err(store_error)?;
    println!("{report}");
    if report.is_usable() {
        Ok(())
    } else {
        Err(failed(format!(
            "this target cannot hold a backup: {}",
            report.shortcomings().join("; ")
        )))
    }
}
