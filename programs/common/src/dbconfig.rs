// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `dbconfig.json`: which local database belongs to which destination.
//!
//! The file is shared with other programs and versions, so entries are looked at key by key and everything
//! not known here is written back as it was. A look-up that adds an entry holds a lock on a file beside it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rand::Rng;
use rustix::fs::{FlockOperation, flock};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::destination::Destination;
use crate::error_id::{UserError, ids};
use crate::options::Options;

const FILE_NAME: &str = "dbconfig.json";

/// The length of a file name made up for a database.
const RANDOM_LETTERS: usize = 10;

/// Longest part of a backup's name that becomes a file name; file systems allow 255 bytes.
const NAME_CHARACTERS_MAX: usize = 50;

/// More attempts than this at an unused random name mean that something else is wrong.
const NAME_ATTEMPTS_MAX: usize = 100;

/// What identifies a local database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseKey {
    pub scheme: String,
    pub server: String,
    pub path: String,
    pub prefix: String,
    pub username: Option<String>,
    pub port: Option<u16>,
    pub is_sync: bool,
}

/// How a command uses the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The user name need not match when none is given.
    ReadOnly,
    ReadWrite,
}

impl DatabaseKey {
    /// Puts the key together from the destination and the options; the URL wins.
    pub fn new(destination: &Destination, options: &Options, is_sync: bool) -> Self {
        let own_option = match destination.scheme.as_str() {
            "s3" => Some("aws-access-key-id"),
            "e2" => Some("access_key_id"),
            "b2" => Some("b2-accountid"),
            "azure" => Some("azure-account-name"),
            _ => None,
        };
        let option = |name: &str| {
            let in_url = destination
                .query_value(name)
                .map(|value| value.expose_secret().to_owned());
            in_url
                .or_else(|| options.string(name).map(str::to_owned))
                .filter(|value| !value.is_empty())
        };
        Self {
            scheme: destination.scheme.clone(),
            server: destination.host.clone(),
            path: destination.path.to_string_lossy().into_owned(),
            prefix: options.string("prefix").unwrap_or("duplicati").to_owned(),
            username: destination
                .user
                .clone()
                .or_else(|| own_option.and_then(option))
                .or_else(|| option("auth-username")),
            port: destination.port,
            is_sync,
        }
    }

    fn matches(&self, entry: &Value, access: Access) -> bool {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let port = entry.get("Port").and_then(Value::as_i64).unwrap_or(-1);
        let is_sync = entry.get("IsSyncDb").and_then(Value::as_bool).unwrap_or(false);
        let any_user = access == Access::ReadOnly && self.username.is_none();
        let same_path = if self.scheme == "file" {
            text("Path") == self.path
        } else {
            // Writers differ in whether they keep the slash that separates host and path.
            text("Path").trim_start_matches('/') == self.path
        };
        text("Type").eq_ignore_ascii_case(&self.scheme)
            && text("Server") == self.server
            && same_path
            && text("Prefix") == self.prefix
            && port == self.port.map_or(-1, i64::from)
            && is_sync == self.is_sync
            && (any_user || text("Username") == self.username.as_deref().unwrap_or_default())
    }

    fn entry(&self, database: &Path) -> Value {
        json!({
            "Type": self.scheme,
            "Server": self.server,
            "Path": self.path,
            "Prefix": self.prefix,
            "Username": self.username,
            "Port": self.port.map_or(-1, i64::from),
            "Databasepath": database.to_string_lossy(),
            "ParameterFile": null,
            "IsSyncDb": self.is_sync,
        })
    }
}

/// The database that an existing entry names, if there is one. `--dbpath` is not the business of this file.
pub fn find(data_folder: &Path, key: &DatabaseKey, access: Access) -> Result<Option<PathBuf>, UserError> {
    let path = data_folder.join(FILE_NAME);
    find_in(&read(&path)?, key, access, &path)
}

/// The database for the key; a new entry is added when there is none.
pub fn find_or_add(
    data_folder: &Path,
    key: &DatabaseKey,
    access: Access,
    backup_name: Option<&str>,
) -> Result<PathBuf, UserError> {
    let path = data_folder.join(FILE_NAME);
    if let Some(database) = find_in(&read(&path)?, key, access, &path)? {
        return Ok(database);
    }
    let lock = open_lock(data_folder).map_err(|error| unusable(&path, &error))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| unusable(&path, &error))?;
    // Another program may have added the entry before the lock was ours.
    let mut entries = read(&path)?;
    if let Some(database) = find_in(&entries, key, access, &path)? {
        return Ok(database);
    }
    let database = new_database_path(data_folder, &entries, backup_name).ok_or_else(|| {
        unusable(
            &path,
            &format!(
                "no unused name was found for a database in {}",
                data_folder.display()
            ),
        )
    })?;
    entries.push(key.entry(&database));
    write(data_folder, &path, &entries).map_err(|error| unusable(&path, &error))?;
    Ok(database)
}

/// The local database of a run: `--dbpath` if given, else by look-up.
pub fn database_for(
    options: &Options,
    destination: &Destination,
    data_folder: &Path,
    access: Access,
    is_sync: bool,
) -> Result<PathBuf, UserError> {
    if let Some(path) = options.path("dbpath") {
        return Ok(path.to_owned());
    }
    let key = DatabaseKey::new(destination, options, is_sync);
    find_or_add(data_folder, &key, access, options.string("backup-name"))
}

fn find_in(
    entries: &[Value],
    key: &DatabaseKey,
    access: Access,
    path: &Path,
) -> Result<Option<PathBuf>, UserError> {
    let mut matching = entries.iter().filter(|entry| key.matches(entry, access));
    let first = matching.next();
    if matching.next().is_some() {
        return Err(UserError::failed(
            ids::MULTIPLE_LOCAL_DATABASE_SOURCES_FOUND,
            format!(
                "several local databases in {} belong to this destination; choose one with --dbpath, \
                 or give the user name",
                path.display()
            ),
        ));
    }
    Ok(first
        .and_then(|entry| entry.get("Databasepath"))
        .and_then(Value::as_str)
        .map(PathBuf::from))
}

fn read(path: &Path) -> Result<Vec<Value>, UserError> {
    match std::fs::read(path) {
        Ok(content) => serde_json::from_slice(content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content))
            .map_err(|error| unusable(path, &error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Replaces the file in one step, so that a reader or a power cut sees the old or the new one.
fn write(data_folder: &Path, path: &Path, entries: &[Value]) -> std::io::Result<()> {
    let temporary = data_folder.join(format!("{FILE_NAME}.{}.tmp", random_letters()));
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(entries)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(data_folder)?.sync_all()
    })();
    if written.is_err() {
        // The first error is the one to report; after the rename there is nothing to remove.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn open_lock(data_folder: &Path) -> std::io::Result<File> {
    let path = data_folder.join(format!("{FILE_NAME}.lock"));
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn new_database_path(data_folder: &Path, entries: &[Value], backup_name: Option<&str>) -> Option<PathBuf> {
    let is_free = |path: &PathBuf| {
        let named =
            |entry: &Value| entry.get("Databasepath").and_then(Value::as_str).map(Path::new) == Some(path);
        !path.exists() && !entries.iter().any(named)
    };
    let from_name = backup_name
        .and_then(file_name)
        .map(|name| data_folder.join(format!("{name}.sqlite")));
    from_name
        .into_iter()
        .chain((0..NAME_ATTEMPTS_MAX).map(|_| data_folder.join(format!("{}.sqlite", random_letters()))))
        .find(is_free)
}

/// A backup's name as a file name in the data folder and nowhere else.
fn file_name(backup_name: &str) -> Option<String> {
    let name: String = backup_name
        .trim()
        .chars()
        .map(|c| if c == '/' || c.is_control() { '_' } else { c })
        .take(NAME_CHARACTERS_MAX)
        .collect();
    let reserved = name.is_empty() || name.starts_with('.') || name.eq_ignore_ascii_case("Duplicati-server");
    (!reserved).then_some(name)
}

fn random_letters() -> String {
    let mut random = rand::rng();
    (0..RANDOM_LETTERS)
        .map(|_| char::from(random.random_range(b'A'..=b'Z')))
        .collect()
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> UserError {
    UserError::failed(
        ids::LOCAL_DATABASE_LIST_UNUSABLE,
        format!(
            "failed to use {}: {reason}; --dbpath does without this file",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("the temporary folder is writable")
    }

    fn key(username: Option<&str>) -> DatabaseKey {
        DatabaseKey {
            scheme: "ssh".into(),
            server: "host".into(),
            path: "a/b".into(),
            prefix: "duplicati".into(),
            username: username.map(str::to_owned),
            port: None,
            is_sync: false,
        }
    }

    fn add(folder: &Path, key: &DatabaseKey, name: Option<&str>) -> PathBuf {
        find_or_add(folder, key, Access::ReadWrite, name).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_same_destination_finds_its_database_again() {
        let folder = folder();
        let database = add(folder.path(), &key(Some("me")), None);
        assert_eq!(add(folder.path(), &key(Some("me")), Some("ignored")), database);
        let stem = database
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default()
            .to_owned();
        assert!(
            stem.len() == 10 && stem.bytes().all(|byte| byte.is_ascii_uppercase()),
            "{stem}"
        );
        assert_eq!(
            database.extension().and_then(|extension| extension.to_str()),
            Some("sqlite")
        );
    }

    #[test]
    fn each_part_of_the_key_makes_another_database() {
        let folder = folder();
        let base = key(Some("me"));
        let keys = [
            base.clone(),
            DatabaseKey {
                server: "alias".into(),
                ..base.clone()
            },
            DatabaseKey {
                path: "a".into(),
                ..base.clone()
            },
            DatabaseKey {
                prefix: "p".into(),
                ..base.clone()
            },
            DatabaseKey {
                port: Some(22),
                ..base.clone()
            },
            DatabaseKey {
                is_sync: true,
                ..base.clone()
            },
            DatabaseKey {
                username: None,
                ..base.clone()
            },
            DatabaseKey {
                scheme: "ftp".into(),
                ..base
            },
        ];
        let databases: std::collections::BTreeSet<_> =
            keys.iter().map(|key| add(folder.path(), key, None)).collect();
        assert_eq!(databases.len(), keys.len());
    }

    #[test]
    fn the_backup_name_becomes_the_file_name_once_and_stays_in_the_folder() {
        let folder = folder();
        assert_eq!(
            add(folder.path(), &key(Some("a")), Some("../x")).parent(),
            Some(folder.path())
        );
        assert_eq!(
            add(folder.path(), &key(Some("b")), Some("home")),
            folder.path().join("home.sqlite")
        );
        assert_ne!(
            add(folder.path(), &key(Some("c")), Some("home")),
            folder.path().join("home.sqlite")
        );
    }

    #[test]
    fn read_only_commands_without_user_name_accept_any_and_refuse_two() {
        let folder = folder();
        let database = add(folder.path(), &key(Some("me")), None);
        assert_eq!(
            find(folder.path(), &key(None), Access::ReadOnly),
            Ok(Some(database))
        );
        assert_eq!(find(folder.path(), &key(None), Access::ReadWrite), Ok(None));
        add(folder.path(), &key(Some("you")), None);
        let error = find(folder.path(), &key(None), Access::ReadOnly).expect_err("two entries match");
        assert_eq!(error.id, "MultipleLocalDatabaseSourcesFound");
    }

    #[test]
    fn unknown_keys_and_entries_survive_an_addition() {
        let folder = folder();
        let path = folder.path().join(FILE_NAME);
        let before = json!([{"Type": "new", "Future": {"x": 1}}, "odd"]);
        std::fs::write(&path, before.to_string()).expect("written");
        add(folder.path(), &key(None), None);
        let entries = read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(entries[..2], before.as_array().expect("an array")[..]);
        assert_eq!(entries[2]["Port"], json!(-1));
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .expect("readable")
            .flatten()
            .map(|e| e.file_name())
            .collect();
        assert!(
            left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")),
            "{left:?}"
        );
    }

    #[test]
    fn a_damaged_file_is_reported_and_left_alone() {
        let folder = folder();
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, "[{").expect("written");
        assert!(find_or_add(folder.path(), &key(None), Access::ReadWrite, None).is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "[{");
    }

    #[test]
    fn an_entry_with_a_leading_slash_in_its_path_is_found() {
        let folder = folder();
        let entry = json!([{"Type": "ssh", "Server": "host", "Path": "/a/b", "Prefix": "duplicati", "Username": null,
                            "Port": -1, "Databasepath": "/x.sqlite", "ParameterFile": null}]);
        std::fs::write(folder.path().join(FILE_NAME), entry.to_string()).expect("written");
        assert_eq!(
            find(folder.path(), &key(None), Access::ReadWrite),
            Ok(Some(PathBuf::from("/x.sqlite")))
        );
    }
}
