// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A small repository with history, ways to copy it, and what can be restored from it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(dead_code, reason = "each test crate uses a part")]

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use duplicati_actors::{
    backup::{BackupOptions, BackupReport, run_backup},
    compact::{CompactOptions, CompactReport, run_compact},
    control::RunControl,
    delete::{DeleteOptions, run_delete},
    error::RunError,
    events::Monitor,
    repair::{RepairOptions, RepairReport, run_repair},
    verify::{CheckOptions, VerifyOptions, VerifyReport, run_check, run_verify},
};
use duplicati_engine::{
    clock::SystemClock,
    crypto::{
        key_file::{KeyHolder, Unlock},
        secret::random_id,
    },
    format::{
        chunk_list::ChunkList, config::ChunkingParameters, manifest::encode_json, pack::PackClass,
        session::Session, tree::EntryBody,
    },
    id::SnapshotId,
    index::{ChunkIndex, local::LocalState},
    repository::{CreateOptions, Repository},
    snapshot::{TreeReader, WalkStep},
    storage::{ObjectKind, ObjectName, Store, memory::MemoryStore},
};

/// Path to content; none where it cannot be read.
pub type Contents = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

pub struct Workplace {
    pub folder: tempfile::TempDir,
}

impl Workplace {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("source/sub")).unwrap();
        Self { folder }
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.folder.path().join("source").join(name), content).unwrap();
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join("source").join(name)).unwrap();
    }

    pub fn database(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.sqlite"))
    }

    pub fn local(&self, repository: &Repository, name: &str) -> LocalState {
        LocalState::open(&self.database(name), repository.config.repository_id).unwrap()
    }

    pub async fn back_up(
        &self,
        repository: &Arc<Repository>,
        database: &str,
    ) -> Result<BackupReport, RunError> {
        self.back_up_under(repository, database, RunControl::new()).await
    }

    pub async fn back_up_under(
        &self,
        repository: &Arc<Repository>,
        database: &str,
        control: RunControl,
    ) -> Result<BackupReport, RunError> {
        let options = BackupOptions {
            sources: vec![
                self.folder
                    .path()
                    .join("source")
                    .into_os_string()
                    .into_encoded_bytes(),
            ],
            host: "host".to_owned(),
            pack_size_bytes: 64 << 10,
            workers: 1,
            uploads: 1,
            ..BackupOptions::default()
        };
        let local = self.local(repository, database);
        run_backup(
            Arc::clone(repository),
            local,
            options,
            clock(),
            Monitor::silent(),
            control,
        )
        .await
    }

    /// Three snapshots with files that come, change and go.
    pub async fn history(&self, repository: &Arc<Repository>, database: &str) -> Vec<SnapshotId> {
        let mut ids = Vec::new();
        for round in 0..3u8 {
            for number in 0..6u8 {
                self.write(&format!("sub/{number}"), &noise(number, 30_000));
            }
            self.write("changing", &noise(100 + round, 90_000));
            self.write(&format!("only-{round}"), &noise(50 + round, 40_000));
            if round > 0 {
                self.remove(&format!("only-{}", round - 1));
            }
            ids.extend(self.back_up(repository, database).await.unwrap().snapshot);
        }
        assert_eq!(ids.len(), 3);
        ids
    }
}

pub fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock)
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u8, size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64 ^ (u64::from(seed) << 32 | 1);
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

pub async fn create(store: Arc<dyn Store>, passphrase: Option<&str>) -> Arc<Repository> {
    let options = CreateOptions {
        holder: passphrase.map(|text| KeyHolder::Passphrase(text.to_owned().into())),
        chunking: ChunkingParameters::around(16 << 10),
        label: String::new(),
        created: String::new(),
    };
    Arc::new(Repository::create(store, options).await.unwrap())
}

pub async fn open(store: Arc<dyn Store>, passphrase: Option<&str>) -> Arc<Repository> {
    let unlock = passphrase.map(|text| Unlock::Passphrase(text.to_owned().into()));
    Arc::new(Repository::open(store, unlock.as_ref()).await.unwrap())
}

/// Another store with the same objects.
pub async fn copy(store: &MemoryStore) -> Arc<MemoryStore> {
    let copy = MemoryStore::new();
    for info in store.inventory() {
        copy.put(&info.name, store.get(&info.name, None).await.unwrap())
            .await
            .unwrap();
    }
    Arc::new(copy)
}

pub async fn index(repository: &Repository) -> Arc<ChunkIndex> {
    let mut index = ChunkIndex::new();
    repository
        .load_index(None, |_, pack| index.add(&pack))
        .await
        .unwrap();
    Arc::new(index)
}

/// Everything that can be restored, by snapshot.
pub async fn contents(repository: &Arc<Repository>) -> BTreeMap<SnapshotId, Contents> {
    let reader = TreeReader::new(Arc::clone(repository), index(repository).await, 1 << 20);
    let mut all = BTreeMap::new();
    for (id, manifest) in repository.list_snapshots().await.unwrap().snapshots {
        let mut contents = Contents::new();
        let mut walk = reader.walk(&ChunkList::from(manifest.root));
        loop {
            match walk.next().await {
                Ok(Some(WalkStep::Entry(entry))) => {
                    if let EntryBody::File { content, .. } = &entry.body {
                        contents.insert(walk.path().to_vec(), read(&reader, content).await);
                    }
                }
                Ok(Some(WalkStep::Leave(_))) => {}
                Ok(None) => break,
                Err(_) => {
                    contents.insert(walk.path().to_vec(), None);
                }
            }
        }
        all.insert(id, contents);
    }
    all
}

async fn read(reader: &TreeReader, list: &ChunkList) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    for id in reader.leaf_ids(list).await.ok()? {
        content.extend_from_slice(&reader.chunk(PackClass::Data, &id).await.ok()?);
    }
    Some(content)
}

pub async fn check(repository: &Arc<Repository>) -> VerifyReport {
    let options = CheckOptions { full: true };
    run_check(
        Arc::clone(repository),
        None,
        options,
        clock(),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
    .unwrap()
}

pub async fn verify_all(repository: &Arc<Repository>, local: Option<&mut LocalState>) -> VerifyReport {
    let options = VerifyOptions {
        samples: None,
        full: true,
    };
    run_verify(
        Arc::clone(repository),
        local,
        options,
        clock(),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
    .unwrap()
}

pub fn count(store: &MemoryStore, kind: ObjectKind) -> usize {
    store
        .inventory()
        .iter()
        .filter(|info| info.name.kind() == kind)
        .count()
}

pub async fn delete(repository: &Arc<Repository>, ids: &[SnapshotId]) {
    let options = DeleteOptions {
        snapshots: ids.to_vec(),
        dry_run: false,
    };
    run_delete(
        Arc::clone(repository),
        options,
        clock(),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
    .unwrap();
}

/// The session object of a machine of which nothing more is heard.
pub async fn put_session(repository: &Repository, id: SnapshotId, started: &str) {
    let session = Session {
        version: 1,
        repository_id: repository.config.repository_id,
        started: started.to_owned(),
        host: "elsewhere".to_owned(),
        program: String::new(),
        machine: "another".to_owned(),
    };
    let name = ObjectName::of(ObjectKind::Session, id.0);
    repository
        .put_object(&name, &repository.index, &encode_json(&session))
        .await
        .unwrap();
}

/// The same under a new name.
pub async fn put_new_session(repository: &Repository, started: &str) -> SnapshotId {
    let id = SnapshotId(random_id().unwrap());
    put_session(repository, id, started).await;
    id
}

pub fn compact_options() -> CompactOptions {
    CompactOptions::new(64 << 10)
}

pub async fn compact(
    repository: &Arc<Repository>,
    local: Option<&mut LocalState>,
    options: CompactOptions,
) -> Result<CompactReport, RunError> {
    run_compact(
        Arc::clone(repository),
        local,
        options,
        clock(),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
}

/// Repairs after reading every pack.
pub async fn repair_everything(repository: &Arc<Repository>) -> Result<RepairReport, RunError> {
    let options = RepairOptions {
        read_everything: true,
        ..RepairOptions::default()
    };
    run_repair(
        Arc::clone(repository),
        None,
        options,
        clock(),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
}

pub async fn repair(
    repository: &Arc<Repository>,
    local: Option<&mut LocalState>,
) -> Result<RepairReport, RunError> {
    let options = RepairOptions::default();
    run_repair(
        Arc::clone(repository),
        local,
        options,
        clock(),
        Monitor::silent(),
        RunControl::new(),
    )
    .await
}
