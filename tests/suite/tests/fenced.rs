// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A backup whose session somebody else has ended, and two who make a repository at once: what is there is looked at again, and nobody loses anything.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod maintenance;

use std::sync::Arc;

use duplicati_engine::{
    crypto::key_file::{KeyHolder, Unlock},
    format::{config::ChunkingParameters, manifest::encode_json, session::Fence},
    id::{PlanId, SnapshotId},
    repository::{CreateOptions, Repository, RepositoryError},
    storage::{ObjectKind, ObjectName, Store, memory::MemoryStore},
};
use duplicati_testkit::{Fault, FaultyStore, OperationKind, When};
use maintenance::*;

fn count(store: &MemoryStore, kind: ObjectKind) -> usize {
    store
        .inventory()
        .iter()
        .filter(|info| info.name.kind() == kind)
        .count()
}

/// Holds the first put of an object of this kind.
fn held(store: &Arc<MemoryStore>, kind: ObjectKind) -> Arc<FaultyStore> {
    let when = When::every(move |operation| {
        operation.kind == OperationKind::Put
            && operation.name.as_ref().is_some_and(|name| name.kind() == kind)
    });
    Arc::new(FaultyStore::new(Arc::clone(store) as Arc<dyn Store>).with(when.times(1), Fault::Hang))
}

/// A backup that waits right before its commit.
struct Waiting {
    place: Arc<Workplace>,
    store: Arc<MemoryStore>,
    faulty: Arc<FaultyStore>,
    backup: tokio::task::JoinHandle<
        Result<duplicati_actors::backup::BackupReport, duplicati_actors::error::RunError>,
    >,
    older: Vec<SnapshotId>,
}

impl Waiting {
    async fn new() -> Self {
        let place = Arc::new(Workplace::new());
        let store = Arc::new(MemoryStore::new());
        let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
        let older = place.history(&repository, "a").await;
        place.write("new", &noise(200, 150_000));
        place.write("sub/1", &noise(201, 70_000));
        let faulty = held(&store, ObjectKind::Snapshot);
        let repository = open(Arc::clone(&faulty) as Arc<dyn Store>, Some("secret")).await;
        let backup = tokio::spawn({
            let place = Arc::clone(&place);
            async move { place.back_up(&repository, "a").await }
        });
        faulty.wait_until_hanging(1).await;
        Self {
            place,
            store,
            faulty,
            backup,
            older,
        }
    }

    async fn repository(&self) -> Arc<Repository> {
        open(Arc::clone(&self.store) as Arc<dyn Store>, Some("secret")).await
    }

    fn session(&self) -> SnapshotId {
        let sessions: Vec<_> = self
            .store
            .inventory()
            .into_iter()
            .filter(|info| info.name.kind() == ObjectKind::Session)
            .collect();
        assert_eq!(sessions.len(), 1);
        SnapshotId(sessions[0].name.id())
    }

    /// Lets the backup go on; its snapshot must hold what the source holds.
    async fn finish(self) -> (Arc<Repository>, duplicati_actors::backup::BackupReport) {
        self.faulty.release();
        let report = self.backup.await.unwrap().unwrap();
        let repository = open(Arc::clone(&self.store) as Arc<dyn Store>, Some("secret")).await;
        let restored = contents(&repository).await;
        let files = &restored[&report.snapshot.unwrap()];
        let source = self.place.folder.path().join("source");
        let mut names = 0;
        for (path, content) in files {
            let path = String::from_utf8(path.clone()).unwrap();
            let on_disk = std::fs::read(format!("/{}", path.trim_start_matches('/'))).unwrap();
            assert!(content.as_deref() == Some(&on_disk[..]), "{path}");
            names += 1;
        }
        let in_source = std::fs::read_dir(&source).unwrap().count() - 1
            + std::fs::read_dir(source.join("sub")).unwrap().count();
        assert_eq!(names, in_source);
        let check = verify_all(&repository, None).await;
        assert!(check.is_clean(), "{:?}", check.findings);
        assert_eq!(count(&self.store, ObjectKind::Session), 0);
        assert_eq!(count(&self.store, ObjectKind::Plan), 0);
        (repository, report)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_taken_for_dead_and_collected_commits_under_a_new_name() {
    let waiting = Waiting::new().await;
    let name = waiting.session();
    let packs = count(&waiting.store, ObjectKind::Pack);
    let before = contents(&waiting.repository().await).await;
    let mut options = compact_options();
    options.session_age_seconds_max = -1;
    let collected = compact(&waiting.repository().await, None, options).await.unwrap();
    assert!(
        collected.is_finished() && collected.fenced_sessions == 1,
        "{collected:?}"
    );
    assert!(
        count(&waiting.store, ObjectKind::Pack) < packs,
        "what it had stored is gone"
    );
    let (repository, report) = waiting.finish().await;
    assert_ne!(report.snapshot, Some(name));
    assert_eq!(repository.list_snapshots().await.unwrap().fences, [name]);
    let after = contents(&repository).await;
    for (id, files) in before {
        assert_eq!(after.get(&id), Some(&files), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_fenced_and_not_collected_commits_without_reading_anything_again() {
    let waiting = Waiting::new().await;
    let name = waiting.session();
    let fence = Fence {
        version: 1,
        kind: "fence".to_owned(),
        id: None,
        plan: PlanId([7; 16]),
    };
    let repository = waiting.repository().await;
    repository
        .put_object(&name.into(), &repository.index, &encode_json(&fence))
        .await
        .unwrap();
    let packs = count(&waiting.store, ObjectKind::Pack);
    let store = Arc::clone(&waiting.store);
    let older = waiting.older.len();
    let (repository, report) = waiting.finish().await;
    assert_eq!(
        report.progress.opened_files, 2,
        "only what is new was read, and once"
    );
    assert_eq!(count(&store, ObjectKind::Pack), packs);
    assert_eq!(
        repository.list_snapshots().await.unwrap().snapshots.len(),
        older + 1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plan_condemns_is_stored_again_when_the_plan_came_before_the_second_try() {
    let waiting = Waiting::new().await;
    let name = waiting.session();
    // A collector that has put its plan and fenced, and deletes later.
    let repository = waiting.repository().await;
    let mut doomed = Vec::new();
    repository
        .load_index(None, |_, pack| doomed.push(pack.id))
        .await
        .unwrap();
    let plan = duplicati_engine::format::session::Plan {
        version: 1,
        repository_id: repository.config.repository_id,
        created: String::new(),
        host: String::new(),
        packs: doomed.clone(),
        segments: Vec::new(),
    };
    let plan_name = ObjectName::from(PlanId([7; 16]));
    repository
        .put_object(&plan_name, &repository.index, &encode_json(&plan))
        .await
        .unwrap();
    let fence = Fence {
        version: 1,
        kind: "fence".to_owned(),
        id: None,
        plan: PlanId([7; 16]),
    };
    repository
        .put_object(&name.into(), &repository.index, &encode_json(&fence))
        .await
        .unwrap();
    waiting.faulty.release();
    let report = waiting.backup.await.unwrap().unwrap();
    // Now everything that the plan names goes, as if no older snapshot needed it.
    for pack in doomed {
        waiting.store.delete(&ObjectName::from(pack)).await.unwrap();
    }
    waiting.store.delete(&plan_name).await.unwrap();
    repair(&repository, None).await.unwrap();
    let after = contents(&repository).await;
    let files = &after[&report.snapshot.unwrap()];
    assert!(
        files.len() > 6 && files.values().all(Option::is_some),
        "nothing of it was in a condemned pack"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_make_a_repository_at_once_the_second_uses_that_of_the_first_and_leaves_no_key() {
    let store = Arc::new(MemoryStore::new());
    let options = || CreateOptions {
        holder: Some(KeyHolder::Passphrase("secret".to_owned().into())),
        chunking: ChunkingParameters::around(16 << 10),
        label: String::new(),
        created: String::new(),
    };
    let faulty = held(&store, ObjectKind::Config);
    let second = tokio::spawn(Repository::create(
        Arc::clone(&faulty) as Arc<dyn Store>,
        options(),
    ));
    faulty.wait_until_hanging(1).await;
    let first = Repository::create(Arc::clone(&store) as Arc<dyn Store>, options())
        .await
        .unwrap();
    faulty.release();
    let error = second.await.unwrap().unwrap_err();
    assert!(matches!(error, RepositoryError::MadeByAnother { .. }), "{error}");
    assert_eq!(count(&store, ObjectKind::Key), 1);
    let unlock = Unlock::Passphrase("secret".to_owned().into());
    let opened = Repository::open(store, Some(&unlock)).await.unwrap();
    assert_eq!(opened.config.repository_id, first.config.repository_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_exchanged_under_way_gets_no_index_and_no_version() {
    let place = Arc::new(Workplace::new());
    let store = Arc::new(MemoryStore::new());
    let repository = create(Arc::clone(&store) as Arc<dyn Store>, Some("secret")).await;
    place.back_up(&repository, "a").await.unwrap();
    place.write("new", &noise(7, 150_000));
    let other = MemoryStore::new();
    let other = Arc::new(other);
    create(Arc::clone(&other) as Arc<dyn Store>, Some("secret")).await;
    let config = other.get(&ObjectName::CONFIG, None).await.unwrap();

    let faulty = held(&store, ObjectKind::Pack);
    let repository = open(Arc::clone(&faulty) as Arc<dyn Store>, Some("secret")).await;
    let backup = tokio::spawn({
        let place = Arc::clone(&place);
        async move { place.back_up(&repository, "a").await }
    });
    faulty.wait_until_hanging(1).await;
    let counted = |kind| count(&store, kind);
    let (segments, snapshots) = (counted(ObjectKind::IndexSegment), counted(ObjectKind::Snapshot));
    store.delete(&ObjectName::CONFIG).await.unwrap();
    store.put(&ObjectName::CONFIG, config).await.unwrap();
    faulty.release();
    let refused = backup.await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("another repository"), "{refused}");
    assert_eq!(counted(ObjectKind::IndexSegment), segments);
    assert_eq!(counted(ObjectKind::Snapshot), snapshots);
}
