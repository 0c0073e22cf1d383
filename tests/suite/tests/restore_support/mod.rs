// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A repository in memory with one backup of a folder, and ways to restore it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use duplicati_actors::{
    backup::{BackupOptions, run_backup},
    control::RunControl,
    error::RunError,
    events::{Event, Monitor, Severity},
    restore::{RestoreRequest, restore},
};
use duplicati_engine::{
    clock::SystemClock,
    crypto::key_file::KeyHolder,
    format::{config::ChunkingParameters, manifest::Manifest},
    index::{ChunkIndex, local::LocalState},
    repository::{CreateOptions, Repository},
    restore::{RestoreOptions, RestoreReport},
    storage::{Store, memory::MemoryStore},
};

/// What a test works on.
pub struct Bench {
    pub folder: duplicati_testkit::TestFolder,
    pub store: Arc<MemoryStore>,
    pub repository: Arc<Repository>,
    pub events: Arc<Mutex<Vec<Event>>>,
    manifest: Option<Manifest>,
}

impl Bench {
    pub async fn new(encrypted: bool) -> Self {
        let store = Arc::new(MemoryStore::new());
        let folder = duplicati_testkit::TestFolder::new().unwrap();
        let mut bench = Self::with_store(folder, Arc::clone(&store) as Arc<dyn Store>, encrypted).await;
        bench.store = store;
        bench
    }

    /// On another store than one in memory; [`store`](Self::store) means nothing then.
    pub async fn with_store(
        folder: duplicati_testkit::TestFolder,
        store: Arc<dyn Store>,
        encrypted: bool,
    ) -> Self {
        let holder = KeyHolder::Passphrase("secret".to_owned().into());
        let options = CreateOptions {
            holder: encrypted.then_some(holder),
            chunking: ChunkingParameters::around(64 << 10),
            label: String::new(),
            created: String::new(),
        };
        let repository = Repository::create(store, options).await.unwrap();
        Self {
            folder,
            store: Arc::default(),
            repository: Arc::new(repository),
            events: Arc::default(),
            manifest: None,
        }
    }

    /// The folder that is backed up.
    pub fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    /// A folder to restore into.
    pub fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.source().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub async fn back_up(&mut self) {
        let database = self.folder.path().join("local.sqlite");
        let local = LocalState::open(&database, self.repository.config.repository_id).unwrap();
        let options = BackupOptions {
            sources: vec![self.source().as_os_str().as_encoded_bytes().to_vec()],
            pack_size_bytes: 1 << 20,
            ..BackupOptions::default()
        };
        run_backup(
            Arc::clone(&self.repository),
            local,
            options,
            Arc::new(SystemClock),
            Monitor::silent(),
            RunControl::new(),
        )
        .await
        .unwrap();
        let listing = self.repository.list_snapshots().await.unwrap();
        self.manifest = listing.snapshots.last().map(|(_, manifest)| manifest.clone());
    }

    /// The snapshot's date as it stands in alternate names.
    pub fn date(&self) -> String {
        self.manifest.as_ref().unwrap().time[..10].to_owned()
    }

    pub async fn request(&self, options: RestoreOptions) -> RestoreRequest {
        let mut index = ChunkIndex::new();
        self.repository
            .load_index(None, |_, pack| index.add(&pack))
            .await
            .unwrap();
        let manifest = self.manifest.as_ref().unwrap();
        RestoreRequest::new(Arc::clone(&self.repository), Arc::new(index), manifest, options)
    }

    pub async fn run(
        &self,
        options: RestoreOptions,
        monitor: Monitor,
        control: RunControl,
    ) -> Result<RestoreReport, RunError> {
        restore(self.request(options).await, monitor, control).await
    }

    pub async fn restore(&self, options: RestoreOptions) -> RestoreReport {
        let events = Arc::clone(&self.events);
        let monitor = Monitor::new(Arc::new(move |event: Event| events.lock().unwrap().push(event)));
        self.run(options, monitor, RunControl::new()).await.unwrap()
    }

    pub fn to_target(&self) -> RestoreOptions {
        RestoreOptions {
            target: Some(self.target()),
            ..RestoreOptions::default()
        }
    }

    /// Warnings and errors so far, for messages.
    pub fn complaints(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        events
            .iter()
            .filter(|event| event.severity >= Severity::Warning)
            .map(|event| format!("{}: {}", String::from_utf8_lossy(&event.subject), event.message))
            .collect()
    }
}

/// Content that does not compress.
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

/// Names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
