// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From the destination on the command line to an open repository and its local database.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use duplicati_actors::{follow::Leader, inventory::load_reading_index};
use duplicati_backends::{StoreAddress, decorators::ReadOnlyStore, probe::probe};
use duplicati_engine::{
    crypto::key_file::{KeyHolder, KeyKind, Unlock},
    format::config::ChunkingParameters,
    id::KeyId,
    index::{
        ChunkIndex,
        local::{LocalState, Pin},
    },
    repository::{CreateOptions, Repository, RepositoryError, Trust},
    snapshot::TreeReader,
    storage::{Store, StoreErrorKind, memory::MemoryStore},
};
use duplicati_programs_common::{
    Options, data_folder,
    dbconfig::{self, Access, DatabaseKey},
    destination::Destination,
    error_id::ids,
    process_lock::{ProcessLock, ProcessLockError},
    target,
};

use crate::{
    commands::backup_options::chunk_size_bytes,
    failure::{Failure, Outcome, failed, wrong_arguments},
    invocation::Invocation,
    passphrase,
    trust::Standing,
};

/// Memory for opened parts of trees while listing, bytes.
const TREE_CACHE_BYTES: u64 = 32 << 20;

/// A destination and its store; nothing was read from it yet.
pub struct Target {
    pub destination: Destination,
    pub store: Arc<dyn Store>,
}

/// An open repository with what belongs to it on this machine.
pub struct Connection {
    pub repository: Arc<Repository>,
    /// What opened it; none without encryption, and where it was made for somebody else.
    pub unlock: Option<Arc<Unlock>>,
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
        Self::named(invocation, text, &invocation.options)
    }

    /// A destination by its address, with options that need not be those of the command line.
    pub fn named(invocation: &Invocation, text: &OsStr, options: &Options) -> Outcome<Self> {
        let (destination, address) = Self::address(invocation, text, options)?;
        let store = duplicati_backends::open_with_care(&address)?;
        Ok(Self { destination, store })
    }

    /// What a destination is made of, for those who reach it in a way of their own.
    pub fn address(
        invocation: &Invocation,
        text: &OsStr,
        options: &Options,
    ) -> Outcome<(Destination, StoreAddress)> {
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
        let effective = target::effective_options(&destination, options, &invocation.begin)?;
        let address = target::address(&destination, &effective)?;
        Ok((destination, address))
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
        let (repository, unlock) = self.open_repository(invocation, pin.as_ref()).await?;
        // What is restored can be looked at; only what is stored is lost to whoever exchanged it.
        let standing = Standing::of(&repository, pin.as_ref());
        if let Some(doubt) = standing.doubt(&self.destination.to_string(), invocation.options.path("dbpath"))
        {
            invocation.log.warning("RepositoryChanged", &doubt);
        }
        // The database is that of the repository before: opening it for this one would make it forget which one that was.
        let is_other = matches!(standing, Standing::OtherRepository { .. });
        Ok(Connection {
            repository,
            unlock,
            database: database.filter(|_| !is_other),
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

    /// A destination that was backed up to before and holds nothing now is a disk that is not mounted, or a loss; a new repository there would hide it.
    async fn refuse_vanished(&self, invocation: &Invocation) -> Outcome<()> {
        let Some(database) = self.known_database(invocation)? else {
            return Ok(());
        };
        if LocalState::pinned(&database)?.is_none() {
            return Ok(());
        }
        // What is left of a repository says more than that it is gone; making one refuses that by itself.
        match Repository::remains(self.store.as_ref()).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {}
            // Not even the folder is there.
            Err(RepositoryError::Store(error)) if error.kind == StoreErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Err(failed(
            ids::EMPTY_REMOTE_LOCATION,
            format!(
                "{} holds no backup, although this machine has backed up there before. See whether its disk is mounted and the path is right; to begin anew there, \
                 move the local database {} away first",
                self.store.location(),
                database.display()
            ),
        ))
    }

    /// Opens the repository for a command that changes something; no other such command runs at the same time on this database.
    pub async fn open_to_write(self, invocation: &Invocation) -> Outcome<Connection> {
        let pin = self.pin(invocation)?;
        let (repository, unlock) = self.open_repository(invocation, pin.as_ref()).await?;
        self.connect(invocation, repository, unlock, false)
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
        unlock: Option<Arc<Unlock>>,
        key: Option<KeyId>,
    ) -> Outcome<Connection> {
        let trust = key.map_or(Trust::Any, Trust::Key);
        let repository = Repository::open_trusted(Arc::clone(&self.store), unlock.as_deref(), trust).await?;
        self.connect(invocation, Arc::new(repository), unlock, true)
    }

    /// Opens the repository of a backup, or makes it.
    pub async fn open_or_create(self, invocation: &Invocation) -> Outcome<Connection> {
        if Repository::exists(self.store.as_ref()).await? {
            return self.open_to_write(invocation).await;
        }
        self.refuse_vanished(invocation).await?;
        let options = &invocation.options;
        let holder = passphrase::holder(options)?;
        // Whoever the repository is made for by recipient has no identity at hand here.
        let unlock = match &holder {
            Some(KeyHolder::Passphrase(passphrase)) => Some(Arc::new(Unlock::Passphrase(passphrase.clone()))),
            _ => None,
        };
        let create = CreateOptions {
            holder,
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
                unlock,
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
        self.connect(invocation, repository, unlock, true)
    }

    /// Makes the destination of a copy of `first` ready: its folder is made, and a target behind a network is tried out.
    ///
    /// # Errors
    /// Also when it turns out to be the place of `first`.
    pub async fn make_ready_for_copy(
        &self,
        first: &Place,
        invocation: &Invocation,
        makes_folder: bool,
    ) -> Outcome<()> {
        self.store.prepare(makes_folder).await?;
        // A way that led through a folder that was missing can be followed now.
        if self.place().is_same(first) {
            return Err(same_place());
        }
        if Repository::exists(self.store.as_ref()).await? {
            return Ok(());
        }
        self.probe(invocation).await
    }

    /// Whether both are one place, as far as their addresses tell.
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.place().is_same(&other.place())
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        Place {
            location: self.store.location(),
            folder: folder_identity(&self.destination),
        }
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

    async fn open_repository(
        &self,
        invocation: &Invocation,
        pin: Option<&Pin>,
    ) -> Outcome<(Arc<Repository>, Option<Arc<Unlock>>)> {
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
        Ok((Arc::new(repository), unlock.map(Arc::new)))
    }

    /// Joins a repository that is open to its local database and keeps other writing commands away from that. A database that knows another repository is
    /// refused, unless this one `is_trusted` as it is.
    pub fn connect(
        self,
        invocation: &Invocation,
        repository: Arc<Repository>,
        unlock: Option<Arc<Unlock>>,
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
            if let Some(doubt) = Standing::of(&repository, pin.as_ref())
                .doubt(&self.destination.to_string(), invocation.options.path("dbpath"))
            {
                return Err(failed(ids::REPOSITORY_CHANGED, doubt));
            }
        }
        let connection = Connection {
            repository,
            unlock,
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

/// Where a destination is, as far as its address tells.
pub struct Place {
    location: String,
    /// Device and inode of a local folder.
    folder: Option<(u64, u64)>,
}

impl Place {
    fn is_same(&self, other: &Self) -> bool {
        self.location == other.location || (self.folder.is_some() && self.folder == other.folder)
    }
}

/// Refuses a second destination that is the first.
pub fn same_place() -> Failure {
    failed(
        ids::INVALID_DESTINATION,
        "both destinations are the same place; a second one must lie somewhere else",
    )
}

/// Device and inode of the folder of this machine that the destination is, if it is one and there.
pub fn folder_identity(destination: &Destination) -> Option<(u64, u64)> {
    (destination.scheme == "file")
        .then(|| identity_of(Path::new(&destination.path)))
        .flatten()
}

fn identity_of(folder: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(folder).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Which key is meant, by what the local database remembers.
pub fn trusted(pin: Option<&Pin>) -> Trust<'_> {
    pin.and_then(|pin| pin.recipients.as_deref())
        .map_or(Trust::Any, Trust::Pinned)
}

/// Devices and inodes of the folders of this machine that the destination may be: its own and those that may stand in for it.
pub fn folder_identities(destination: &Destination, options: &Options) -> Vec<(u64, u64)> {
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
        .filter_map(identity_of)
        .collect()
}

impl Connection {
    /// This end of a copy: what others follow, or are healed from.
    pub fn leader(&self) -> Leader {
        Leader {
            repository: Arc::clone(&self.repository),
            unlock: self.unlock.clone(),
        }
    }

    /// The local database; one in memory where there is none.
    pub fn local(&self) -> Outcome<LocalState> {
        let in_memory = Path::new(":memory:");
        let path = self.database.as_deref().unwrap_or(in_memory);
        Ok(LocalState::open(path, self.repository.config.repository_id)?)
    }

    /// The local database for a command that only reads, if there is one of use: what it would save is read from the target otherwise (S-5).
    pub fn local_to_read(&self, invocation: &Invocation) -> Outcome<Option<LocalState>> {
        let local = self.database.as_ref().map(|_| self.local()).transpose();
        match local {
            Err(Failure::User(error)) => {
                invocation.log.warning("LocalDatabaseUnusable", &error.message);
                Ok(None)
            }
            local => local,
        }
    }

    /// The index of all stored data.
    pub async fn load_index(&self, invocation: &Invocation) -> Outcome<ChunkIndex> {
        let mut local = self.local_to_read(invocation)?;
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
    ChunkingParameters::around(chunk_size_bytes(&invocation.options))
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
