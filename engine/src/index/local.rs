// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The local database: a disposable copy of what the target holds (S-5).
//!
//! It keeps opened index segments, packs that were stored but not indexed yet, packs that were found damaged, the history of runs, whose repository it was at
//! first use, and with a write-only key which files need no reading. Losing it costs a download, never data; whatever it says is checked against the target
//! before anything depends on it. With a write-only key no path stands in it.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension, params};

use super::skip_table::{self, SkipTable};
use crate::{
    crypto::secret::Secret,
    id::{PackId, RepositoryId, SegmentId},
};

/// Version of the tables; another version is thrown away and made anew.
const SCHEMA_VERSION: i64 = 1;

const DAMAGED_PACK_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS damaged_pack (id BLOB PRIMARY KEY) WITHOUT ROWID;";

/// How long another program may hold the database.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// Tables of this and earlier versions.
const OUR_TABLES: [&str; 6] = ["meta", "segment", "stored_pack", "run", "damaged_pack", "skip"];

/// The local database cannot be used; the caller goes on without it or makes a new one.
#[derive(Debug, thiserror::Error)]
#[error("local database {path}: {source}")]
pub struct LocalError {
    path: PathBuf,
    #[source]
    source: rusqlite::Error,
}

/// One recorded run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Row number, rising with time.
    pub number: i64,
    /// Operation name.
    pub operation: String,
    /// Begin, ISO 8601.
    pub begin: String,
    /// `Success`, `Warning`, `Error`, `Fatal`.
    pub result: String,
    /// The result object as JSON.
    pub detail: String,
}

/// What a database remembers of the repository that it was first used with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The repository.
    pub repository_id: String,
    /// Its recipients ([`Repository::pin`](crate::repository::Repository::pin)); none in databases of programs before this rule.
    pub recipients: Option<String>,
}

/// Another program's database, as that of a Duplicati that ran here before.
fn foreign() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB);
    rusqlite::Error::SqliteFailure(code, Some("it is the database of another program".to_owned()))
}

/// Whether the file is not a database of ours, in contrast to one that cannot be reached now.
fn is_unusable(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, TypeMismatch, Unknown};
    match error {
        rusqlite::Error::SqliteFailure(error, _) => {
            matches!(
                error.code,
                DatabaseCorrupt | NotADatabase | TypeMismatch | Unknown
            )
        }
        // A statement that the tables do not fit.
        rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..) => true,
        _ => false,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// An open local database.
pub struct LocalState {
    path: PathBuf,
    connection: Connection,
    /// True when the file was missing, damaged, outdated or of another repository and starts empty.
    started_empty: bool,
}

/// `….unreadable`, or with a number behind it: what was set aside before stays.
fn unused_name(path: &Path) -> PathBuf {
    let mut name = with_suffix(path, ".unreadable");
    let mut number = 2_u32;
    while name.symlink_metadata().is_ok() && number < u32::MAX {
        name = with_suffix(path, &format!(".unreadable.{number}"));
        number += 1;
    }
    name
}

impl LocalState {
    /// Opens the database of a repository. A file that is damaged, of another version or another repository starts empty: it is only a copy. What is no
    /// database of ours is set aside as `….unreadable`, since it may be something that nobody meant to name here.
    ///
    /// # Errors
    /// When the path cannot be written, or somebody else holds the database.
    pub fn open(path: &Path, repository_id: RepositoryId) -> Result<Self, LocalError> {
        match Self::try_open(path, repository_id) {
            Err(error) if is_unusable(&error.source) => {
                let aside = unused_name(path);
                tracing::warn!(
                    path = %path.display(), aside = %aside.display(), %error,
                    "the local database cannot be read; it is set aside and made anew"
                );
                let refused = |io: std::io::Error| LocalError {
                    path: path.to_owned(),
                    source: rusqlite::Error::ToSqlConversionFailure(Box::new(io)),
                };
                std::fs::rename(path, &aside).map_err(refused)?;
                for suffix in ["-wal", "-shm"] {
                    match std::fs::remove_file(with_suffix(path, suffix)) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                            return Err(refused(error));
                        }
                        _ => {}
                    }
                }
                Self::try_open(path, repository_id)
            }
            outcome => outcome,
        }
    }

    /// What the database at `path` remembers, if it is one of ours. Nothing is changed in it.
    ///
    /// # Errors
    /// When it cannot be read now: what is not known must not count as new.
    pub fn pinned(path: &Path) -> Result<Option<Pin>, LocalError> {
        if !path.exists() {
            return Ok(None);
        }
        let read = || {
            let database = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            database.busy_timeout(BUSY_TIMEOUT)?;
            let mut query = database.prepare("SELECT value FROM meta WHERE key = ?1")?;
            let mut value = |key: &str| query.query_row([key], |row| row.get::<_, String>(0)).optional();
            let Some(repository_id) = value("repository_id")? else {
                return Ok(None);
            };
            let recipients = value("recipients")?;
            Ok(Some(Pin {
                repository_id,
                recipients,
            }))
        };
        match read() {
            // Whoever opens it sets it aside, or begins it anew.
            Err(error) if is_unusable(&error) => Ok(None),
            outcome => outcome.map_err(|source| LocalError {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Remembers the recipients of the repository.
    ///
    /// # Errors
    /// When the database is damaged or full.
    pub fn pin(&self, recipients: &str) -> Result<(), LocalError> {
        self.wrap(
            self.connection
                .execute(
                    "INSERT INTO meta VALUES ('recipients', ?1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    [recipients],
                )
                .map(|_| ()),
        )
    }

    fn try_open(path: &Path, repository_id: RepositoryId) -> Result<Self, LocalError> {
        let wrap = |source| LocalError {
            path: path.to_owned(),
            source,
        };
        close_to_others(path);
        let connection = Connection::open(path).map_err(wrap)?;
        let mut state = Self {
            path: path.to_owned(),
            connection,
            started_empty: false,
        };
        state.prepare(repository_id).map_err(wrap)?;
        Ok(state)
    }

    fn prepare(&mut self, repository_id: RepositoryId) -> rusqlite::Result<()> {
        let database = &self.connection;
        database.busy_timeout(BUSY_TIMEOUT)?;
        let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let known = version == SCHEMA_VERSION
            && database
                .query_row("SELECT value FROM meta WHERE key = 'repository_id'", [], |row| {
                    row.get::<_, String>(0)
                })
                .optional()?
                .as_deref()
                == Some(&repository_id.to_string());
        if !known {
            let is_ours = |name: &str| OUR_TABLES.contains(&name);
            let mut names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
            let mut rows = names.query([])?;
            while let Some(row) = rows.next()? {
                if !is_ours(&row.get::<_, String>(0)?) {
                    return Err(foreign());
                }
            }
        }
        // Only now: before it is known to be ours, nothing is changed in it.
        database.pragma_update(None, "journal_mode", "WAL")?;
        // Losing the last moments costs a download; the target is what must survive power loss.
        database.pragma_update(None, "synchronous", "NORMAL")?;
        database.pragma_update(None, "cache_size", -2048)?;
        // What is removed here may be what a thief must not find.
        database.pragma_update(None, "secure_delete", "ON")?;
        if known {
            // Came later than the other tables; making it needs no new version.
            database.execute_batch(DAMAGED_PACK_TABLE)?;
            return database.execute_batch(skip_table::CREATE);
        }
        self.started_empty = true;
        database.execute_batch(
            "BEGIN IMMEDIATE;
             DROP TABLE IF EXISTS meta; DROP TABLE IF EXISTS segment; DROP TABLE IF EXISTS stored_pack; DROP TABLE IF EXISTS run;
             DROP TABLE IF EXISTS damaged_pack; DROP TABLE IF EXISTS skip;
             CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
             CREATE TABLE segment (id BLOB PRIMARY KEY, content BLOB NOT NULL);
             CREATE TABLE stored_pack (id BLOB PRIMARY KEY, description BLOB NOT NULL);
             CREATE TABLE run (number INTEGER PRIMARY KEY, operation TEXT NOT NULL, begin TEXT NOT NULL, result TEXT NOT NULL, detail TEXT NOT NULL);
             COMMIT;",
        )?;
        database.execute_batch(DAMAGED_PACK_TABLE)?;
        database.execute_batch(skip_table::CREATE)?;
        self.connection.execute(
            "INSERT INTO meta VALUES ('repository_id', ?1), ('machine', lower(hex(randomblob(16))))",
            params![repository_id.to_string()],
        )?;
        self.connection
            .pragma_update(None, "user_version", SCHEMA_VERSION)
    }

    /// Whether it holds nothing of the past.
    pub fn started_empty(&self) -> bool {
        self.started_empty
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Random identity of this database, written into sessions.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn machine(&self) -> Result<String, LocalError> {
        self.wrap(
            self.connection
                .query_row("SELECT value FROM meta WHERE key = 'machine'", [], |row| {
                    row.get(0)
                }),
        )
    }

    fn wrap<T>(&self, result: rusqlite::Result<T>) -> Result<T, LocalError> {
        result.map_err(|source| LocalError {
            path: self.path.clone(),
            source,
        })
    }

    /// Names of the segments at hand.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn segment_ids(&self) -> Result<Vec<SegmentId>, LocalError> {
        self.wrap((|| {
            let mut statement = self.connection.prepare("SELECT id FROM segment")?;
            let rows = statement.query_map([], |row| row.get::<_, [u8; 16]>(0))?;
            rows.map(|row| row.map(SegmentId)).collect()
        })())
    }

    /// The opened (still compressed) content of a segment.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn segment(&self, id: SegmentId) -> Result<Option<Vec<u8>>, LocalError> {
        let query = "SELECT content FROM segment WHERE id = ?1";
        self.wrap(
            self.connection
                .query_row(query, params![id.0], |row| row.get(0))
                .optional(),
        )
    }

    /// Keeps a segment.
    ///
    /// # Errors
    /// When the database is damaged or full.
    pub fn put_segment(&self, id: SegmentId, content: &[u8]) -> Result<(), LocalError> {
        let insert = "INSERT OR REPLACE INTO segment VALUES (?1, ?2)";
        self.wrap(
            self.connection
                .execute(insert, params![id.0, content])
                .map(|_| ()),
        )
    }

    /// Forgets a segment that the target no longer has.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn remove_segment(&self, id: SegmentId) -> Result<(), LocalError> {
        self.wrap(
            self.connection
                .execute("DELETE FROM segment WHERE id = ?1", params![id.0])
                .map(|_| ()),
        )
    }

    /// Remembers a pack that is stored and not indexed yet, so that a run that is cut off loses nothing.
    ///
    /// # Errors
    /// When the database is damaged or full.
    pub fn put_stored_pack(&self, id: PackId, description: &[u8]) -> Result<(), LocalError> {
        let insert = "INSERT OR REPLACE INTO stored_pack VALUES (?1, ?2)";
        self.wrap(
            self.connection
                .execute(insert, params![id.0, description])
                .map(|_| ()),
        )
    }

    /// Packs that were stored and not indexed.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn stored_packs(&self) -> Result<Vec<(PackId, Vec<u8>)>, LocalError> {
        self.wrap((|| {
            let mut statement = self
                .connection
                .prepare("SELECT id, description FROM stored_pack")?;
            let rows = statement.query_map([], |row| Ok((PackId(row.get(0)?), row.get(1)?)))?;
            rows.collect()
        })())
    }

    /// Forgets packs that are indexed now.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn remove_stored_packs(&mut self, ids: &[PackId]) -> Result<(), LocalError> {
        let path = self.path.clone();
        let wrap = |source| LocalError {
            path: path.clone(),
            source,
        };
        let transaction = self.connection.transaction().map_err(wrap)?;
        for id in ids {
            transaction
                .execute("DELETE FROM stored_pack WHERE id = ?1", params![id.0])
                .map_err(wrap)?;
        }
        transaction.commit().map_err(wrap)
    }

    /// Packs that somebody on this machine read and found damaged. Nothing is deduplicated against them; that they are damaged still is only a hint (S-5).
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn damaged_packs(&self) -> Result<HashSet<PackId>, LocalError> {
        self.wrap((|| {
            let mut statement = self.connection.prepare("SELECT id FROM damaged_pack")?;
            let rows = statement.query_map([], |row| row.get::<_, [u8; 16]>(0))?;
            rows.map(|row| row.map(PackId)).collect()
        })())
    }

    /// Notes packs that were read just now: those found damaged, and those found whole.
    ///
    /// # Errors
    /// When the database is damaged or full.
    pub fn note_read_packs(&mut self, damaged: &[PackId], whole: &[PackId]) -> Result<(), LocalError> {
        let path = self.path.clone();
        let wrap = |source| LocalError {
            path: path.clone(),
            source,
        };
        let transaction = self.connection.transaction().map_err(wrap)?;
        for id in whole {
            transaction
                .execute("DELETE FROM damaged_pack WHERE id = ?1", params![id.0])
                .map_err(wrap)?;
        }
        for id in damaged {
            transaction
                .execute("INSERT OR IGNORE INTO damaged_pack VALUES (?1)", params![id.0])
                .map_err(wrap)?;
        }
        transaction.commit().map_err(wrap)
    }

    /// Records a run and drops records older than the newest 1,000.
    ///
    /// # Errors
    /// When the database is damaged or full.
    pub fn record_run(
        &self,
        operation: &str,
        begin: &str,
        result: &str,
        detail: &str,
    ) -> Result<(), LocalError> {
        self.wrap((|| {
            self.connection.execute(
                "INSERT INTO run (operation, begin, result, detail) VALUES (?1, ?2, ?3, ?4)",
                params![operation, begin, result, detail],
            )?;
            self.connection.execute(
                "DELETE FROM run WHERE number <= (SELECT max(number) FROM run) - 1000",
                [],
            )?;
            Ok(())
        })())
    }

    /// Recorded runs, newest first.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn runs(&self, limit: u32) -> Result<Vec<RunRecord>, LocalError> {
        self.wrap((|| {
            let mut statement = self.connection.prepare(
                "SELECT number, operation, begin, result, detail FROM run ORDER BY number DESC LIMIT ?1",
            )?;
            let rows = statement.query_map([limit], |row| {
                Ok(RunRecord {
                    number: row.get(0)?,
                    operation: row.get(1)?,
                    begin: row.get(2)?,
                    result: row.get(3)?,
                    detail: row.get(4)?,
                })
            })?;
            rows.collect()
        })())
    }

    /// Which files need no reading, for a key that opens no tree; none where the database is no file.
    ///
    /// # Errors
    /// When the database cannot be opened once more.
    pub fn skip_table(&self, secret: &Secret) -> Result<Option<SkipTable>, LocalError> {
        if self.path.as_os_str() == ":memory:" {
            return Ok(None);
        }
        self.wrap(SkipTable::open(&self.path, secret)).map(Some)
    }

    /// The sealed rows of the table of unchanged files, as they stand.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn skip_rows(&self) -> Result<Vec<Vec<u8>>, LocalError> {
        self.wrap((|| {
            let mut statement = self
                .connection
                .prepare("SELECT sealed FROM skip ORDER BY number")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        })())
    }

    /// Removes what was noted before for a key that opens no tree; with one that does, trees say it better.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn clear_skip_table(&self) -> Result<(), LocalError> {
        self.wrap(self.connection.execute("DELETE FROM skip", []).map(|_| ()))
    }

    /// Removes what runs with another key have told of paths, once, and overwrites it.
    ///
    /// # Errors
    /// When the database is damaged or the disk is full.
    pub fn forget_told_paths(&self) -> Result<(), LocalError> {
        self.wrap((|| {
            let done: Option<String> = self
                .connection
                .query_row(
                    "SELECT value FROM meta WHERE key = 'paths_forgotten'",
                    [],
                    |row| row.get(0),
                )
                .optional()?;
            if done.is_some() {
                return Ok(());
            }
            self.connection
                .execute_batch("DELETE FROM run; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
            self.connection
                .execute("INSERT INTO meta VALUES ('paths_forgotten', '1')", [])?;
            Ok(())
        })())
    }

    /// Notes that paths may stand in it from now on.
    ///
    /// # Errors
    /// When the database is damaged or full.
    pub fn allow_told_paths(&self) -> Result<(), LocalError> {
        self.wrap(
            self.connection
                .execute("DELETE FROM meta WHERE key = 'paths_forgotten'", [])
                .map(|_| ()),
        )
    }

    /// Gives unused room back to the file system.
    ///
    /// # Errors
    /// When the database is damaged or the disk is full.
    pub fn vacuum(&self) -> Result<(), LocalError> {
        self.wrap(
            self.connection
                .execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);"),
        )
    }
}

/// Makes the file for its owner alone, or takes the rights of others away: names of versions, hosts and errors stand in it. SQLite gives its side files the
/// same rights. What does not work out here shows when the file is opened.
fn close_to_others(path: &Path) {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    if path.as_os_str() == ":memory:" {
        return;
    }
    let file = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    if let Ok(file) = file
        && let Ok(metadata) = file.metadata()
        && metadata.is_file()
        && metadata.permissions().mode() & 0o077 != 0
    {
        let _not_the_owner = file.set_permissions(std::fs::Permissions::from_mode(0o600));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RepositoryId = RepositoryId([1; 16]);

    #[test]
    fn a_truncated_file_starts_empty_instead_of_failing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        let state = LocalState::open(&path, ID).unwrap();
        state.put_segment(SegmentId([2; 16]), &vec![7; 100_000]).unwrap();
        state.vacuum().unwrap();
        drop(state);
        let whole = std::fs::read(&path).unwrap();
        for length in [1, 50, 4096, whole.len() / 2] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let state = LocalState::open(&path, ID).unwrap();
            // Half a file may open; whatever it still says is only believed after a check.
            let _either = state.segment(SegmentId([2; 16])).is_ok();
        }
    }

    #[test]
    fn what_is_no_database_of_ours_is_set_aside_and_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        let aside = folder.path().join("notes.txt.unreadable");
        let text = b"this is not a database, it is a text of some length";
        std::fs::write(&path, text).unwrap();
        assert!(LocalState::open(&path, ID).unwrap().started_empty());
        assert_eq!(std::fs::read(&aside).unwrap(), text);
        // A database of another program, even one that numbers its tables as we do.
        std::fs::remove_file(&path).unwrap();
        let other = Connection::open(&path).unwrap();
        other
            .execute_batch("CREATE TABLE Remotevolume (ID INTEGER); PRAGMA user_version = 1;")
            .unwrap();
        drop(other);
        let before = std::fs::read(&path).unwrap();
        assert!(LocalState::open(&path, ID).unwrap().started_empty());
        assert_eq!(std::fs::read(&aside).unwrap(), text, "the first stays");
        let second = folder.path().join("notes.txt.unreadable.2");
        assert_eq!(std::fs::read(second).unwrap(), before);
    }

    #[test]
    fn a_database_that_cannot_be_reached_now_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        let state = LocalState::open(&path, ID).unwrap();
        state.put_segment(SegmentId([2; 16]), &[7; 100]).unwrap();
        drop(state);
        // Opening a database fails when its journal is a folder, whatever is in the file.
        let journal = folder.path().join("x.sqlite-wal");
        std::fs::create_dir(&journal).unwrap();
        assert!(LocalState::open(&path, ID).is_err());
        std::fs::remove_dir(&journal).unwrap();
        let state = LocalState::open(&path, ID).unwrap();
        assert!(!state.started_empty() && state.segment(SegmentId([2; 16])).unwrap().is_some());
    }

    #[test]
    fn damaged_packs_are_remembered_until_they_are_read_whole_also_in_a_database_of_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        let before = LocalState::open(&path, ID).unwrap();
        before
            .connection
            .execute_batch("DROP TABLE damaged_pack")
            .unwrap();
        drop(before);
        let mut state = LocalState::open(&path, ID).unwrap();
        assert!(!state.started_empty());
        let [one, two] = [PackId([1; 16]), PackId([2; 16])];
        state.note_read_packs(&[one, two], &[]).unwrap();
        state.note_read_packs(&[two], &[one]).unwrap();
        drop(state);
        let state = LocalState::open(&path, ID).unwrap();
        assert_eq!(state.damaged_packs().unwrap(), HashSet::from([two]));
    }

    #[test]
    fn a_database_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = folder.path().join("new.sqlite");
        let state = LocalState::open(&path, ID).unwrap();
        state.put_segment(SegmentId([2; 16]), b"x").unwrap();
        for suffix in ["", "-wal", "-shm"] {
            assert_eq!(mode(&folder.path().join(format!("new.sqlite{suffix}"))), 0o600);
        }
        drop(state);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        drop(LocalState::open(&path, ID).unwrap());
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn what_it_was_first_used_with_is_remembered_and_reading_that_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        assert_eq!(LocalState::pinned(&path).unwrap(), None);
        assert!(!path.exists());
        drop(LocalState::open(&path, ID).unwrap());
        let pin = |recipients: Option<&str>| Pin {
            repository_id: ID.to_string(),
            recipients: recipients.map(str::to_owned),
        };
        assert_eq!(LocalState::pinned(&path).unwrap(), Some(pin(None)));
        LocalState::open(&path, ID).unwrap().pin("one").unwrap();
        assert_eq!(LocalState::pinned(&path).unwrap(), Some(pin(Some("one"))));
        std::fs::write(
            &path,
            b"no database, but some text that is long enough for a header",
        )
        .unwrap();
        let before = std::fs::read(&path).unwrap();
        assert_eq!(LocalState::pinned(&path).unwrap(), None);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn the_database_of_another_repository_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        LocalState::open(&path, ID)
            .unwrap()
            .put_segment(SegmentId([2; 16]), b"x")
            .unwrap();
        assert_eq!(
            LocalState::open(&path, ID).unwrap().segment_ids().unwrap().len(),
            1
        );
        let other = LocalState::open(&path, RepositoryId([9; 16])).unwrap();
        assert!(other.started_empty() && other.segment_ids().unwrap().is_empty());
    }

    #[test]
    fn what_was_set_aside_before_stays_when_more_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        for content in ["one thing", "another thing"] {
            std::fs::write(&path, content).unwrap();
            drop(LocalState::open(&path, ID).unwrap());
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("x.sqlite.unreadable"), "one thing");
        assert_eq!(read("x.sqlite.unreadable.2"), "another thing");
    }
}
