// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An encrypted repository in memory with two snapshots, what each must restore to, and ways to look at it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use duplicati_actors::{
    backup::{BackupOptions, BackupReport, run_backup},
    control::RunControl,
    error::RunError,
    events::{Event, Monitor, Severity},
    inventory::load_reading_index,
    repair::{RepairOptions, RepairReport, run_repair},
    restore::{RestoreRequest, restore},
};
use duplicati_engine::{
    clock::SystemClock,
    crypto::key_file::{KeyHolder, Unlock},
    format::config::ChunkingParameters,
    id::SnapshotId,
    index::local::LocalState,
    repository::{CreateOptions, Repository, RepositoryError},
    restore::RestoreOptions,
    storage::{ObjectName, Store, memory::MemoryStore},
};

/// Name below the source, and content.
pub type Contents = BTreeMap<String, Vec<u8>>;

pub const PASSPHRASE: &str = "correct horse";

pub struct Place {
    pub folder: tempfile::TempDir,
    pub store: Arc<MemoryStore>,
}

/// What a restore gave.
#[derive(Debug, Default)]
pub struct Restored {
    /// Files that are there.
    pub files: Contents,
    /// What errors were about, and their words.
    pub complaints: Vec<(String, String)>,
}

impl Restored {
    /// Whether a file or a folder above it was named in an error.
    pub fn names(&self, source: &Path, file: &str) -> bool {
        let whole = source.join(file);
        let whole = whole.to_str().unwrap().trim_start_matches('/');
        self.complaints
            .iter()
            .any(|(subject, _)| subject.is_empty() || Path::new(whole).starts_with(subject.trim_matches('/')))
    }
}

impl Place {
    /// An empty repository and an empty source.
    pub async fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            store: Arc::new(MemoryStore::new()),
        };
        std::fs::create_dir_all(place.source()).unwrap();
        let options = CreateOptions {
            holder: Some(KeyHolder::Passphrase(PASSPHRASE.to_owned().into())),
            chunking: ChunkingParameters::around(16 << 10),
            label: String::new(),
            created: String::new(),
        };
        Repository::create(Arc::clone(&place.store) as Arc<dyn Store>, options)
            .await
            .unwrap();
        place
    }

    /// The same folders with another target.
    pub fn with_store(&self, store: Arc<MemoryStore>) -> View<'_> {
        View { place: self, store }
    }

    pub fn view(&self) -> View<'_> {
        self.with_store(Arc::clone(&self.store))
    }

    pub fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub fn database(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.sqlite"))
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.source().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// One target, as somebody on this machine sees it.
pub struct View<'a> {
    pub place: &'a Place,
    pub store: Arc<MemoryStore>,
}

impl View<'_> {
    pub async fn open(&self) -> Result<Arc<Repository>, RepositoryError> {
        let unlock = Unlock::Passphrase(PASSPHRASE.to_owned().into());
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        Ok(Arc::new(Repository::open(store, Some(&unlock)).await?))
    }

    pub fn local(&self, repository: &Repository, database: &str) -> LocalState {
        LocalState::open(&self.place.database(database), repository.config.repository_id).unwrap()
    }

    pub async fn back_up(&self, database: &str) -> Result<BackupReport, RunError> {
        let repository = self.open().await?;
        let local = self.local(&repository, database);
        let options = BackupOptions {
            sources: vec![self.place.source().into_os_string().into_encoded_bytes()],
            host: "host".to_owned(),
            pack_size_bytes: 1 << 20,
            ..BackupOptions::default()
        };
        let control = RunControl::new();
        run_backup(
            repository,
            local,
            options,
            Arc::new(SystemClock),
            Monitor::silent(),
            control,
        )
        .await
    }

    pub async fn repair(&self, database: &str, dry_run: bool) -> Result<RepairReport, RunError> {
        let repository = self.open().await?;
        let mut local = self.local(&repository, database);
        let options = RepairOptions {
            dry_run,
            full: true,
            ..RepairOptions::default()
        };
        let control = RunControl::new();
        run_repair(
            repository,
            Some(&mut local),
            options,
            Arc::new(SystemClock),
            Monitor::silent(),
            control,
        )
        .await
    }

    /// Restores a snapshot to an empty folder.
    pub async fn restore(&self, id: SnapshotId) -> Restored {
        let repository = self.open().await.unwrap();
        let listing = repository.list_snapshots().await.unwrap();
        let Some((_, manifest)) = listing.snapshots.iter().find(|(known, _)| *known == id) else {
            let complaint = (String::new(), format!("there is no snapshot {id}"));
            return Restored {
                files: Contents::new(),
                complaints: vec![complaint],
            };
        };
        let (index, _) = load_reading_index(&repository, None).await.unwrap();
        let target = tempfile::tempdir_in(self.place.folder.path()).unwrap();
        let options = RestoreOptions {
            target: Some(target.path().to_owned()),
            ..RestoreOptions::default()
        };
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let heard = Arc::clone(&events);
        let monitor = Monitor::new(Arc::new(move |event: Event| heard.lock().unwrap().push(event)));
        let request = RestoreRequest::new(Arc::clone(&repository), Arc::new(index), manifest, options);
        let mut restored = Restored::default();
        if let Err(error) = restore(request, monitor, RunControl::new()).await {
            restored.complaints.push((String::new(), error.to_string()));
        }
        for event in events.lock().unwrap().iter() {
            if event.severity >= Severity::Error {
                let subject = String::from_utf8_lossy(&event.subject).into_owned();
                restored.complaints.push((subject, event.message.clone()));
            }
        }
        collect(target.path(), target.path(), &mut restored.files);
        restored
    }

    pub fn names(&self) -> BTreeSet<ObjectName> {
        self.store.inventory().iter().map(|info| info.name).collect()
    }
}

/// Another store with the same objects.
pub async fn copy(store: &MemoryStore) -> Arc<MemoryStore> {
    let copy = MemoryStore::new();
    for info in store.inventory() {
        let object = store.get(&info.name, None).await.unwrap();
        copy.put(&info.name, object).await.unwrap();
    }
    Arc::new(copy)
}

fn collect(root: &Path, folder: &Path, files: &mut Contents) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
