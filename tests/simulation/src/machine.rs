// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A machine: its source, its local database, and operations one after the other, as the programs run them.

use std::{path::PathBuf, sync::Arc};

use duplicati_actors::{
    backup::{BackupOptions, run_backup},
    compact::{CompactOptions, run_compact},
    control::RunControl,
    delete::{DeleteOptions, run_delete},
    error::RunError,
    events::Monitor,
    inventory::load_reading_index,
    repair::{RepairOptions, run_repair},
    restore::{RestoreRequest, restore},
};
use duplicati_engine::{
    clock::Clock, compaction::Thresholds, crypto::key_file::Unlock, index::local::LocalState,
    repository::Repository, restore::RestoreOptions, storage::Store,
};
use duplicati_testkit::ManualClock;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    client_store::ClientStore,
    ledger::Ledger,
    server::{Role, Server},
};

/// Files that a source has at most.
const FILES: usize = 4;
/// Different contents that there are: few, so that machines share chunks and old ones come back.
const CONTENTS: u64 = 9;
/// Size of a pack, bytes: two or three chunks.
const PACK_SIZE_BYTES: u64 = 6 << 10;

/// Counts of what happened.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub backups: u64,
    pub backups_done: u64,
    pub compactions: u64,
    pub compactions_done: u64,
    pub fenced_sessions: u64,
    pub deleted_packs: u64,
    pub repairs: u64,
    pub deletions: u64,
    pub restores: u64,
    pub steps: u64,
    pub crashes: u64,
    pub lies: u64,
    /// Backups of machines with a write-only key that were reported as done.
    pub write_only_done: u64,
    /// Files that those did not have to read.
    pub skipped_files: u64,
    pub simulated_seconds: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.backups += other.backups;
        self.backups_done += other.backups_done;
        self.compactions += other.compactions;
        self.compactions_done += other.compactions_done;
        self.fenced_sessions += other.fenced_sessions;
        self.deleted_packs += other.deleted_packs;
        self.repairs += other.repairs;
        self.deletions += other.deletions;
        self.restores += other.restores;
        self.steps += other.steps;
        self.crashes += other.crashes;
        self.lies += other.lies;
        self.write_only_done += other.write_only_done;
        self.skipped_files += other.skipped_files;
        self.simulated_seconds += other.simulated_seconds;
    }
}

/// Shared by the machines of a run and its loop.
pub struct World {
    pub server: Arc<Server>,
    pub ledger: tokio::sync::Mutex<Ledger>,
    pub counts: std::sync::Mutex<Counts>,
    pub clock: Arc<ManualClock>,
    pub folder: PathBuf,
}

impl World {
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap());
    }
}

/// A content by its number.
pub fn content(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; 1500 + 400 * number as usize];
    StdRng::seed_from_u64(number).fill(&mut bytes[..]);
    bytes
}

/// One machine.
pub struct Machine {
    pub world: Arc<World>,
    pub peer: usize,
    pub is_write_only: bool,
    /// What opens its key file.
    pub identity: String,
    pub random: StdRng,
}

impl Machine {
    fn source(&self) -> PathBuf {
        self.world.folder.join(format!("source-{}", self.peer))
    }

    fn local(&self, repository: &Repository) -> Result<LocalState, String> {
        let path = self.world.folder.join(format!("local-{}.sqlite", self.peer));
        LocalState::open(&path, repository.config.repository_id).map_err(|error| error.to_string())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.world.clock) as Arc<dyn Clock>
    }

    /// Does some operations; a crash ends one of them, and the next is the restarted machine's.
    pub async fn run(mut self, operations: usize) -> Result<(), String> {
        std::fs::create_dir_all(self.source()).unwrap();
        for _ in 0..operations {
            let choice = match self.is_write_only {
                true => 0,
                false => self.random.random_range(0..100),
            };
            let role = match choice {
                0..50 => Role::Backup,
                50..75 => Role::Compact,
                _ => Role::Other,
            };
            self.begin(role);
            let store = Arc::new(ClientStore::new(Arc::clone(&self.world.server), self.peer));
            let unlock = Unlock::from_identity_text(&self.identity).unwrap();
            let opened = Repository::open(Arc::clone(&store) as Arc<dyn Store>, Some(&unlock)).await;
            let Ok(repository) = opened else {
                continue;
            };
            let repository = Arc::new(repository);
            match choice {
                0..50 => self.back_up(repository).await?,
                50..75 => self.compact(repository).await?,
                75..88 => self.delete(repository).await,
                88..94 => self.repair(repository).await?,
                _ => self.restore(repository).await?,
            }
        }
        Ok(())
    }

    fn begin(&self, role: Role) {
        let peer = &mut self.world.server.lock().peers[self.peer];
        peer.role = role;
        peer.session = None;
        peer.first_snapshots = None;
    }

    async fn back_up(&mut self, repository: Arc<Repository>) -> Result<(), String> {
        let mut tree = self.world.ledger.lock().await.sources[self.peer].clone();
        for file in 0..FILES {
            let name = format!("file-{file}");
            match self.random.random_range(0..10) {
                0..4 => {
                    let bytes = content(self.random.random_range(0..CONTENTS));
                    std::fs::write(self.source().join(&name), &bytes).unwrap();
                    tree.insert(name, bytes);
                }
                4 if tree.remove(&name).is_some() => {
                    std::fs::remove_file(self.source().join(&name)).unwrap();
                }
                _ => {}
            }
        }
        self.world.ledger.lock().await.sources[self.peer] = tree;
        let local = self.local(&repository)?;
        let options = BackupOptions {
            sources: vec![self.source().into_os_string().into_encoded_bytes()],
            host: format!("machine-{}", self.peer),
            pack_size_bytes: PACK_SIZE_BYTES,
            workers: 1,
            uploads: 1,
            skip_metadata: self.random.random_bool(0.1),
            ..BackupOptions::default()
        };
        self.world.count(|counts| counts.backups += 1);
        let outcome = run_backup(
            repository,
            local,
            options,
            self.clock(),
            Monitor::silent(),
            RunControl::new(),
        )
        .await;
        if let Ok(report) = expected(outcome)? {
            self.world.count(|counts| {
                counts.backups_done += 1;
                if self.is_write_only {
                    counts.write_only_done += 1;
                    counts.skipped_files += report.progress.examined_files - report.progress.opened_files;
                }
            });
            let mut ledger = self.world.ledger.lock().await;
            if let Some(id) = report.snapshot {
                ledger.reported.insert(id);
            }
        }
        Ok(())
    }

    async fn compact(&mut self, repository: Arc<Repository>) -> Result<(), String> {
        let mut local = self.local(&repository)?;
        let options = CompactOptions {
            thresholds: Thresholds {
                waste_percent: 25,
                small_size_bytes: 2 << 10,
                small_count_max: 3,
            },
            host: format!("machine-{}", self.peer),
            // Short, so that living sessions are taken for dead as well.
            session_age_seconds_max: 24 * 3600,
            ..CompactOptions::new(PACK_SIZE_BYTES)
        };
        self.world.count(|counts| counts.compactions += 1);
        // Without the local copy a collector is a machine of its own to all sessions.
        let local = self.random.random_bool(0.7).then_some(&mut local);
        let outcome = run_compact(
            repository,
            local,
            options,
            self.clock(),
            Monitor::silent(),
            RunControl::new(),
        )
        .await;
        if let Ok(report) = expected(outcome)? {
            self.world.count(|counts| {
                counts.compactions_done += u64::from(report.is_finished());
                counts.fenced_sessions += report.fenced_sessions;
                counts.deleted_packs += report.deleted_packs;
            });
        }
        Ok(())
    }

    async fn delete(&mut self, repository: Arc<Repository>) {
        let chosen = {
            let mut ledger = self.world.ledger.lock().await;
            let standing = ledger.standing();
            // The last version stays, or every collection would refuse.
            if standing.len() < 2 {
                return;
            }
            let chosen = standing[self.random.random_range(0..standing.len())];
            ledger.deleted.insert(chosen);
            chosen
        };
        self.world.count(|counts| counts.deletions += 1);
        let options = DeleteOptions {
            snapshots: vec![chosen],
            dry_run: false,
        };
        let clock = self.clock();
        let _may_fail = run_delete(repository, options, clock, Monitor::silent(), RunControl::new()).await;
    }

    async fn repair(&mut self, repository: Arc<Repository>) -> Result<(), String> {
        let mut local = self.local(&repository)?;
        self.world.count(|counts| counts.repairs += 1);
        let outcome = run_repair(
            repository,
            Some(&mut local),
            RepairOptions::default(),
            self.clock(),
            Monitor::silent(),
            RunControl::new(),
        )
        .await;
        expected(outcome).map(drop)
    }

    async fn restore(&mut self, repository: Arc<Repository>) -> Result<(), String> {
        let (chosen, tree) = {
            let ledger = self.world.ledger.lock().await;
            let standing = ledger.standing();
            if standing.is_empty() {
                return Ok(());
            }
            let chosen = standing[self.random.random_range(0..standing.len())];
            (chosen, ledger.trees[&chosen].clone())
        };
        let mut local = self.local(&repository)?;
        let Ok((index, _)) = load_reading_index(&repository, Some(&mut local)).await else {
            return Ok(());
        };
        let Ok(listing) = repository.list_snapshots().await else {
            return Ok(());
        };
        let Some((_, manifest)) = listing.snapshots.into_iter().find(|(id, _)| *id == chosen) else {
            return Ok(());
        };
        let target = tempfile::tempdir_in(&self.world.folder).unwrap();
        let options = RestoreOptions {
            target: Some(target.path().to_owned()),
            ..RestoreOptions::default()
        };
        let mut request = RestoreRequest::new(repository, Arc::new(index), &manifest, options);
        request.writers = 1;
        self.world.count(|counts| counts.restores += 1);
        let Ok(report) = expected(restore(request, Monitor::silent(), RunControl::new()).await)? else {
            return Ok(());
        };
        if report.failed_entries > 0 {
            // A pack may have moved under the reader; it says so.
            return Ok(());
        }
        for (name, bytes) in tree {
            if find(target.path(), &name).is_none_or(|found| found != bytes) {
                return Err(format!(
                    "a restore of {chosen} said that all is well, and {name} is not"
                ));
            }
        }
        Ok(())
    }
}

fn find(folder: &std::path::Path, name: &str) -> Option<Vec<u8>> {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            if let Some(found) = find(&entry.path(), name) {
                return Some(found);
            }
        } else if entry.file_name().to_string_lossy() == name {
            return std::fs::read(entry.path()).ok();
        }
    }
    None
}

/// Failures of the target and refusals are part of the game; a panic or a failed check of our own is not.
fn expected<T>(outcome: Result<T, RunError>) -> Result<Result<T, RunError>, String> {
    match outcome {
        Err(error @ (RunError::Panicked { .. } | RunError::Check { .. })) => Err(error.to_string()),
        outcome => Ok(outcome),
    }
}
