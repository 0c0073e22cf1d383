// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From the destination on the command line to an open repository and its local database.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use duplicati_actors::inventory::load_reading_index;
use duplicati_backends::{decorators::ReadOnlyStore, probe::probe};
use duplicati_engine::{
    crypto::key_file::{KeyKind, Unlock},
    format::config::ChunkingParameters,
    id::KeyId,
    index::{
        ChunkIndex,
        local::{LocalState, Pin},
    },
    repository::{CreateOptions, Repository, RepositoryError, Trust},
    snapshot::TreeReader,
    storage::{Store, memory::MemoryStore},
};
use duplicati_programs_common::{
    data_folder,
    dbconfig::{self, Access, DatabaseKey},
    destination::Destination,
    error_id::ids,
    options::Options,
    process_lock::{ProcessLock, ProcessLockError},
    target,
};

use crate::{
    failure::{Failure, Outcome, failed, wrong_arguments},
    invocation::Invocation,
    passphrase,
    trust::Standing,
};

/// Memory for opened parts of trees while listing, bytes.
const TREE_CACHE_BYTES: u64 = 32 << 20;
/// Average chunk of a new repository unless chosen, bytes.
const CHUNK_SIZE_BYTES_AVERAGE: u64 = 128 << 10;

/// A destination and its store; nothing was read from it yet.
pub struct Target {
    pub destination: Destination,
    pub store: Arc<dyn Store>,
}

/// An open repository with what belongs to it on this machine.
pub struct Connection {
    pub repository: Arc<Repository>,
    /// None for commands that only read and have no database here.
    pub database: Option<PathBuf>,
    /// Kept for commands that change something.
    _lock: Option<ProcessLock>,
}

impl Target {
    /// The destination that the command line names.
    pub fn of(invocation: &Invocation) -> Outcome<Self> {
        Self::at(invocation, 0)
    }

    /// The destination that stands at another place among the arguments.
    pub fn at(invocation: &Invocation, position: usize) -> Outcome<Self> {
        let text = invocation
            .argument(position)
            .ok_or_else(|| wrong_arguments("the destination is missing"))?;
        let mut destination = Destination::parse(text, &invocation.environment.current_folder)?;
        if let Some(secrets) = invocation.options.secrets() {
            secrets.replace_in_destination(&mut destination)?;
        }
        let allowed = invocation.options.list("allowed-backend-modules");
        if !allowed.is_empty()
            && !allowed
                .iter()
                .any(|scheme| scheme.eq_ignore_ascii_case(&destination.scheme))
        {
            return Err(failed(
                ids::BACKEND_NOT_SUPPORTED,
                format!(
                    "destinations of kind {} are not among --allowed-backend-modules",
                    destination.scheme
                ),
            ));
        }
        let effective = target::effective_options(&destination, &invocation.options, &invocation.begin)?;
        let store = duplicati_backends::open_with_care(&target::address(&destination, &effective)?)?;
        Ok(Self { destination, store })
    }

    /// Opens the repository for a command that changes nothing.
    pub async fn open_to_read(mut self, invocation: &Invocation) -> Outcome<Connection> {
        self.store = Arc::new(ReadOnlyStore::new(self.store));
        let database = match invocation.options.bool("no-local-db") {
            true => None,
            false => self.known_database(invocation)?,
        };
        let pin = match database.as_deref().map(LocalState::pinned) {
            Some(Ok(pin)) => pin,
            // It must not keep anybody from a restore.
            Some(Err(error)) => {
                invocation
                    .log
                    .warning("LocalDatabaseUnusable", &error.to_string());
                None
            }
            None => None,
        };
        let repository = self.open_repository(invocation, pin.as_ref()).await?;
        // What is restored can be looked at; only what is stored is lost to whoever exchanged it.
        if let Some(doubt) = Standing::of(&repository, pin.as_ref()).doubt(&self.destination.to_string()) {
            invocation.log.warning("RepositoryChanged", &doubt);
        }
        Ok(Connection {
            repository,
            database,
            _lock: None,
        })
    }

    /// The local database of the destination, if there is one. A database that is only named would be made; reading makes none.
    fn known_database(&self, invocation: &Invocation) -> Outcome<Option<PathBuf>> {
        let database = match invocation.options.path("dbpath") {
            Some(path) => Some(invocation.environment.current_folder.join(path)),
            None => {
                let key = DatabaseKey::new(&self.destination, &invocation.options, false);
                dbconfig::find(&invocation.data_folder(), &key, Access::ReadOnly)?
            }
        };
        Ok(database.filter(|path| path.exists()))
    }

    /// Opens the repository for a command that changes something; no other such command runs at the same time on this database.
    pub async fn open_to_write(self, invocation: &Invocation) -> Outcome<Connection> {
        let pin = self.pin(invocation)?;
        let repository = self.open_repository(invocation, pin.as_ref()).await?;
        self.connect(invocation, repository, false)
    }

    /// What the local database remembers of the repository, as far as there is one.
    pub fn pin(&self, invocation: &Invocation) -> Outcome<Option<Pin>> {
        let database = self.known_database(invocation)?;
        Ok(database.as_deref().map(LocalState::pinned).transpose()?.flatten())
    }

    /// Opens the repository with `key` if one is named, and remembers from now on that this is the one.
    pub async fn trust(
        self,
        invocation: &Invocation,
        unlock: &Unlock,
        key: Option<KeyId>,
    ) -> Outcome<Connection> {
        let trust = key.map_or(Trust::Any, Trust::Key);
        let repository = Repository::open_trusted(Arc::clone(&self.store), Some(unlock), trust).await?;
        self.connect(invocation, Arc::new(repository), true)
    }

    /// Opens the repository of a backup, or makes it.
    pub async fn open_or_create(self, invocation: &Invocation) -> Outcome<Connection> {
        if Repository::exists(self.store.as_ref()).await? {
            return self.open_to_write(invocation).await;
        }
        let options = &invocation.options;
        let create = CreateOptions {
            holder: passphrase::holder(options)?,
            chunking: chunking(invocation),
            label: options.string("label").unwrap_or("first").to_owned(),
            created: invocation.now().timestamp().to_string(),
        };
        if invocation.is_dry_run() {
            invocation.log.dry_run(
                "WouldCreateRepository",
                &format!("Would make a new backup at {}", self.store.location()),
            );
            let repository = Arc::new(Repository::create(Arc::new(MemoryStore::new()), create).await?);
            return Ok(Connection {
                repository,
                database: None,
                _lock: None,
            });
        }
        self.store
            .prepare(!options.bool("disable-autocreate-folder"))
            .await?;
        self.probe(invocation).await?;
        let repository = match Repository::create(Arc::clone(&self.store), create).await {
            Ok(repository) => Arc::new(repository),
            // Another first backup came before this one: it is what both were about to make.
            Err(RepositoryError::MadeByAnother { .. }) => return self.open_to_write(invocation).await,
            Err(error) => return Err(error.into()),
        };
        invocation.log.information(
            "RepositoryCreated",
            &format!("Made a new backup at {}", self.store.location()),
        );
        self.connect(invocation, repository, true)
    }

    /// Tries out a target behind a network before anything is entrusted to it.
    async fn probe(&self, invocation: &Invocation) -> Outcome<()> {
        if self.destination.scheme == "file" {
            return Ok(());
        }
        let report = probe(&self.store).await?;
        if !report.is_usable() {
            let way_out = if report.claims_put_if_absent {
                "; with --no-conditional-writes on every command one machine at a time can use it"
            } else {
                ""
            };
            return Err(failed(
                ids::REMOTE_OPERATION_FAILED,
                format!(
                    "the target {} cannot hold a backup as it is: {}{way_out}",
                    self.store.location(),
                    report.shortcomings().join("; ")
                ),
            ));
        }
        if !report.claims_put_if_absent {
            invocation.log.information(
                "OneMachineAtATime",
                "This kind of target cannot tell several writers apart: only one machine at a time may use this backup",
            );
        }
        if !report.deletes {
            invocation.log.information(
                "NothingIsDeleted",
                "These credentials cannot delete at the target: backups work, delete and compact do not",
            );
        }
        Ok(())
    }

    async fn open_repository(&self, invocation: &Invocation, pin: Option<&Pin>) -> Outcome<Arc<Repository>> {
        // Before asking for a passphrase, see whether there is anything to open.
        if !Repository::exists(self.store.as_ref()).await? {
            return Err(RepositoryError::Absent {
                location: self.store.location(),
            }
            .into());
        }
        let unlock = passphrase::unlock(&invocation.options)?;
        let repository =
            Repository::open_trusted(Arc::clone(&self.store), unlock.as_ref(), trusted(pin)).await?;
        Ok(Arc::new(repository))
    }

    /// Takes the local database. One that knows another repository is refused, unless this one `is_trusted` as it is.
    fn connect(
        self,
        invocation: &Invocation,
        repository: Arc<Repository>,
        is_trusted: bool,
    ) -> Outcome<Connection> {
        let folder = invocation.data_folder();
        if invocation.options.path("dbpath").is_none() {
            data_folder::create(&folder)?;
        }
        let database = dbconfig::database_for(
            &invocation.options,
            &self.destination,
            &folder,
            Access::ReadWrite,
            false,
        )?;
        let database = invocation.environment.current_folder.join(database);
        let lock = lock(&database)?;
        if !is_trusted {
            let pin = LocalState::pinned(&database)?;
            if let Some(doubt) = Standing::of(&repository, pin.as_ref()).doubt(&self.destination.to_string())
            {
                return Err(failed(ids::REPOSITORY_CHANGED, doubt));
            }
        }
        let connection = Connection {
            repository,
            database: Some(database),
            _lock: Some(lock),
        };
        let local = connection.local()?;
        let noted =
            local
                .pin(&connection.repository.pin())
                .and_then(|()| match connection.repository.key_kind {
                    KeyKind::WriteOnly => local.forget_told_paths(),
                    KeyKind::Full => local.allow_told_paths(),
                });
        if let Err(error) = noted {
            // A full disk here must not cost a backup.
            invocation
                .log
                .warning("LocalDatabaseNotWritten", &error.to_string());
        }
        Ok(connection)
    }
}

/// Which key is meant, by what the local database remembers.
pub fn trusted(pin: Option<&Pin>) -> Trust<'_> {
    pin.and_then(|pin| pin.recipients.as_deref())
        .map_or(Trust::Any, Trust::Pinned)
}

/// Devices and inodes of the folders of this machine that the destination may be: its own and those that may stand in for it.
pub fn folder_identities(destination: &Destination, options: &Options) -> Vec<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    if destination.scheme != "file" {
        return Vec::new();
    }
    let own = Path::new(&destination.path);
    let alternates = options
        .path_list("alternate-target-paths")
        .iter()
        .map(std::path::PathBuf::as_path);
    std::iter::once(own)
        .chain(alternates)
        .filter_map(|folder| std::fs::metadata(folder).ok())
        .map(|metadata| (metadata.dev(), metadata.ino()))
        .collect()
}

impl Connection {
    /// The local database; one in memory where there is none.
    pub fn local(&self) -> Outcome<LocalState> {
        let in_memory = Path::new(":memory:");
        let path = self.database.as_deref().unwrap_or(in_memory);
        Ok(LocalState::open(path, self.repository.config.repository_id)?)
    }

    /// The index of all stored data.
    pub async fn load_index(&self, invocation: &Invocation) -> Outcome<ChunkIndex> {
        let local = self.database.as_ref().map(|_| self.local());
        let mut local = match local.transpose() {
            // It is only a copy; what it would save is read from the target.
            Err(Failure::User(error)) => {
                invocation.log.warning("LocalDatabaseUnusable", &error.message);
                None
            }
            local => local?,
        };
        let (index, loaded) = load_reading_index(&self.repository, local.as_mut()).await?;
        for (_, error) in &loaded.unreadable {
            invocation
                .log
                .warning("IndexSegmentUnreadable", &error.to_string());
        }
        Ok(index)
    }

    /// A reader for the trees of all versions.
    pub async fn trees(&self, invocation: &Invocation) -> Outcome<TreeReader> {
        let index = self.load_index(invocation).await?;
        Ok(TreeReader::new(
            Arc::clone(&self.repository),
            Arc::new(index),
            TREE_CACHE_BYTES,
        ))
    }

    /// Records the run in the local database, as far as there is one.
    pub fn record(&self, invocation: &Invocation, operation: &str, result: &str, detail: &str) {
        if self.database.is_none() {
            return;
        }
        let begin = invocation.begin.timestamp().to_string();
        let recorded = self
            .local()
            .and_then(|local| Ok(local.record_run(operation, &begin, result, detail)?));
        if recorded.is_err() {
            invocation.log.information(
                "RunNotRecorded",
                "The run could not be recorded in the local database",
            );
        }
    }
}

fn chunking(invocation: &Invocation) -> ChunkingParameters {
    ChunkingParameters::around(
        invocation
            .options
            .size("blocksize")
            .unwrap_or(CHUNK_SIZE_BYTES_AVERAGE),
    )
}

/// Keeps other writing commands away from a database while it lives.
fn lock(database: &Path) -> Outcome<ProcessLock> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    ProcessLock::take(&path).map_err(|error| match error {
        ProcessLockError::Held(holder) => failed(
            ids::LOCAL_DATABASE_IN_USE,
            format!(
                "the local database {} is in use by {holder}; wait for it to end, or stop it",
                database.display()
            ),
        ),
        ProcessLockError::Unusable(error) => failed(
            ids::LOCAL_DATABASE_UNUSABLE,
            format!(
                "failed to lock the local database with {}: {error}",
                path.display()
            ),
        ),
    })
}
