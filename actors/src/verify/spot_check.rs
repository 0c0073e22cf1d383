// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A look at a few stored objects, as after each backup: cheap, because neither trees are walked nor more than the samples fetched.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use duplicati_engine::{
    format::index_segment::PackDescription,
    id::{PackId, SegmentId, SnapshotId},
    index::local::LocalState,
    repository::Repository,
    storage::{ObjectKind, ObjectName, StoreErrorKind},
};

use super::{
    Finding, FindingKind, VerifyReport,
    samples::{choose, open_pack},
};
use crate::{
    compact::read_segment,
    control::RunControl,
    error::RunError,
    events::{Monitor, Progress},
    inventory::{is_not_found, list_plans},
};

/// Candidates for each pack that is read: some may be described by no segment yet.
const CANDIDATES_PER_SAMPLE: usize = 4;

/// How much to read.
#[derive(Debug, Clone, Copy)]
pub struct Samples {
    /// This many manifests, segments and packs each.
    pub count: usize,
    /// At least as many as this share of all versions, percent.
    pub percent: f64,
}

/// What a look showed.
#[derive(Debug, Default)]
pub struct SpotCheckReport {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Objects read.
    pub objects: u64,
}

/// Reads the samples. What is damaged is noted in the local database, so that the next backup stores it again.
///
/// # Errors
/// When the target does not answer; damage is the result.
pub async fn run_spot_check(
    repository: Arc<Repository>,
    local: &mut LocalState,
    samples: Samples,
    monitor: Monitor,
    control: RunControl,
) -> Result<SpotCheckReport, RunError> {
    let mut report = VerifyReport::default();
    let snapshots = names(&repository, ObjectKind::Snapshot).await?;
    let share = (snapshots.len() as f64 * samples.percent / 100.0).ceil();
    let count = samples.count.max(share as usize);
    let mut objects = 0;
    for (name, _) in choose(snapshots, Some(count))? {
        control.check()?;
        objects += 1;
        match repository.get_snapshot(SnapshotId(name.id())).await {
            Err(error) if error.is_damage() && !is_not_found(&error) => {
                report.find(name, FindingKind::Error, error);
            }
            Err(error) if !error.is_damage() => return Err(error.into()),
            _ => {}
        }
    }
    for (name, _) in choose(names(&repository, ObjectKind::IndexSegment).await?, Some(count))? {
        control.check()?;
        objects += 1;
        match read_segment(&repository, SegmentId(name.id())).await {
            Err(RunError::Repository(error)) if error.is_damage() => {
                report.find(name, FindingKind::Error, error);
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    // What a plan names may vanish under the reader.
    let (plans, _, _) = list_plans(&repository).await?;
    let doomed: HashSet<PackId> = plans.into_iter().flat_map(|(_, plan)| plan.packs).collect();
    let mut packs = names(&repository, ObjectKind::Pack).await?;
    packs.retain(|(name, _)| !doomed.contains(&PackId(name.id())));
    let candidates = choose(packs, Some(count.saturating_mul(CANDIDATES_PER_SAMPLE)))?;
    let wanted: HashSet<PackId> = candidates.iter().map(|(name, _)| PackId(name.id())).collect();
    let mut described: HashMap<PackId, PackDescription> = HashMap::new();
    repository
        .load_index(Some(local), |_, pack| {
            if wanted.contains(&pack.id) {
                described.insert(pack.id, pack);
            }
        })
        .await?;
    let (mut damaged, mut whole) = (Vec::new(), Vec::new());
    for (name, _) in candidates {
        let id = PackId(name.id());
        let Some(expected) = described.remove(&id) else {
            continue;
        };
        if damaged.len() + whole.len() == count {
            break;
        }
        control.check()?;
        let object = match repository.store.get(&name, None).await {
            Ok(object) => object,
            Err(error) if error.kind == StoreErrorKind::NotFound => continue,
            Err(error) if matches!(error.kind, StoreErrorKind::Unreadable | StoreErrorKind::Truncated) => {
                report.find(name, FindingKind::Modified, error);
                damaged.push(id);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        objects += 1;
        Progress::add(&monitor.progress.fetched_objects, 1);
        Progress::add(&monitor.progress.fetched_bytes, object.len() as u64);
        let reader = Arc::clone(&repository);
        let opened = tokio::task::spawn_blocking(move || open_pack(&reader, id, &object))
            .await
            .map_err(|error| RunError::Panicked {
                stage: "spot-check",
                message: error.to_string(),
            })?;
        match opened {
            Ok(found) if found == expected => whole.push(id),
            Ok(_) => {
                report.find(
                    name,
                    FindingKind::Modified,
                    "it is another pack than the index says",
                );
                damaged.push(id);
            }
            Err(error) => {
                report.find(name, FindingKind::Modified, error);
                damaged.push(id);
            }
        }
    }
    local.note_read_packs(&damaged, &whole)?;
    Ok(SpotCheckReport {
        findings: report.findings,
        objects,
    })
}

async fn names(repository: &Repository, kind: ObjectKind) -> Result<Vec<(ObjectName, u64)>, RunError> {
    let listing = repository.store.list(kind).await?;
    Ok(listing
        .objects
        .into_iter()
        .map(|info| (info.name, info.size_bytes))
        .collect())
}
