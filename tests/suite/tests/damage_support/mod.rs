// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An encrypted repository in memory with two snapshots, what each must restore to, and ways to look at it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use duplicati_actors::{
    backup::{BackupOptions, BackupReport, run_backup},
    compact::{CompactOptions, CompactReport, run_compact},
    control::RunControl,
    error::RunError,
    events::{Event, Monitor, Severity},
    give_up::{GiveUpOptions, GiveUpReport, run_give_up},
    inventory::load_reading_index,
    repair::{RepairOptions, RepairReport, run_repair},
    restore::{RestoreRequest, restore},
    verify::{VerifyOptions, VerifyReport, run_verify},
};
use duplicati_engine::{
    clock::SystemClock,
    crypto::key_file::{KeyHolder, Unlock},
    format::{config::ChunkingParameters, manifest::encode_json, session::Plan},
    id::{PackId, PlanId, SnapshotId},
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
        Self::made(Some(KeyHolder::Passphrase(PASSPHRASE.to_owned().into()))).await
    }

    /// The same without encryption.
    pub async fn without_encryption() -> Self {
        Self::made(None).await
    }

    async fn made(holder: Option<KeyHolder>) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            store: Arc::new(MemoryStore::new()),
        };
        std::fs::create_dir_all(place.source()).unwrap();
        let options = CreateOptions {
            holder,
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
        match Repository::open(Arc::clone(&store), Some(&unlock)).await {
            Err(RepositoryError::NotEncrypted { .. }) => Ok(Arc::new(Repository::open(store, None).await?)),
            opened => Ok(Arc::new(opened?)),
        }
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

    /// Reads every stored byte, as `test all` does.
    pub async fn verify(&self, database: &str) -> VerifyReport {
        let repository = self.open().await.unwrap();
        let mut local = self.local(&repository, database);
        let options = VerifyOptions {
            samples: None,
            full: true,
        };
        run_verify(
            repository,
            Some(&mut local),
            options,
            Arc::new(SystemClock),
            Monitor::silent(),
            RunControl::new(),
        )
        .await
        .unwrap()
    }

    pub async fn compact(&self, database: &str) -> Result<CompactReport, RunError> {
        let repository = self.open().await?;
        let mut local = self.local(&repository, database);
        run_compact(
            repository,
            Some(&mut local),
            CompactOptions::new(1 << 20),
            Arc::new(SystemClock),
            Monitor::silent(),
            RunControl::new(),
        )
        .await
    }

    pub async fn give_up(&self, snapshots: Vec<SnapshotId>, dry_run: bool) -> Result<GiveUpReport, RunError> {
        run_give_up(
            self.open().await?,
            GiveUpOptions { snapshots, dry_run },
            Monitor::silent(),
            RunControl::new(),
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

    /// A plan as a collector leaves it that was cut off.
    pub async fn put_plan(&self, number: u8, packs: Vec<PackId>) -> ObjectName {
        let repository = self.open().await.unwrap();
        let plan = Plan {
            version: 1,
            repository_id: repository.config.repository_id,
            created: "2020-01-01T00:00:00.000000000Z".to_owned(),
            host: format!("host {number}"),
            packs,
            segments: Vec::new(),
        };
        let name = ObjectName::from(PlanId([number; 16]));
        repository
            .put_object(&name, &repository.index, &encode_json(&plan))
            .await
            .unwrap();
        name
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    Truncated,
    BitFlipped,
    Missing,
    /// Both objects of the kind have each other's content; the only one of its kind has that of another repository.
    Swapped,
}

pub const DAMAGES: [Damage; 4] = [
    Damage::Truncated,
    Damage::BitFlipped,
    Damage::Missing,
    Damage::Swapped,
];

/// Damages one object.
pub fn harm(store: &MemoryStore, name: &ObjectName, damage: Damage) {
    store.damage(name, |content| {
        let content = content.unwrap();
        match damage {
            Damage::Truncated => Some(content.slice(..content.len() / 2)),
            Damage::BitFlipped => {
                let mut bytes = content.to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
                Some(Bytes::from(bytes))
            }
            Damage::Missing => None,
            Damage::Swapped => unreachable!("needs two objects"),
        }
    });
}

/// Damages the second of two objects of a kind, or exchanges them.
pub async fn harm_one_of(store: &MemoryStore, [first, second]: [ObjectName; 2], damage: Damage) {
    if damage != Damage::Swapped {
        return harm(store, &second, damage);
    }
    let one = store.get(&first, None).await.unwrap();
    let two = store.get(&second, None).await.unwrap();
    store.damage(&first, |_| Some(two));
    store.damage(&second, |_| Some(one));
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
