// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads a few stored objects back, without looking at the structure: what a backup does at its end to see that the target gives out what it took.

use std::sync::Arc;

use duplicati_engine::{
    crypto::secret::random_id,
    format::{FormatError, index_segment::decode_segment, manifest::decode_snapshot},
    id::PackId,
    repository::{Repository, RepositoryError},
    storage::{ObjectKind, ObjectName},
};

use super::open_pack;
use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Progress},
    inventory::is_not_found,
};

/// Name for messages.
const NAME: &str = "sample";

/// What a quick look found.
#[derive(Debug, Default, Clone)]
pub struct SampleReport {
    /// Objects that were read.
    pub objects: u64,
    /// Objects that are damaged, and how.
    pub findings: Vec<(String, String)>,
}

/// Reads this many manifests, index segments and packs each, chosen at random.
///
/// # Errors
/// When the target does not answer; damage is the result.
pub async fn run_sample(
    repository: &Arc<Repository>,
    samples: usize,
    monitor: &Monitor,
    control: &RunControl,
) -> Result<SampleReport, RunError> {
    let mut report = SampleReport::default();
    if !repository.data.can_open() {
        return Ok(report);
    }
    for kind in [ObjectKind::Snapshot, ObjectKind::IndexSegment, ObjectKind::Pack] {
        let listed = repository.store.list(kind).await?.objects;
        let mut names: Vec<ObjectName> = listed.into_iter().map(|info| info.name).collect();
        for _ in 0..samples.min(names.len()) {
            control.check()?;
            let name = names.swap_remove(random_below(names.len())?);
            match read(repository, kind, name, monitor).await? {
                Ok(()) => report.objects += 1,
                // Removed since the listing.
                Err(error) if is_not_found(&error) => {}
                Err(error) if error.is_damage() => {
                    report.objects += 1;
                    report.findings.push((name.to_string(), error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(report)
}

fn random_below(count: usize) -> Result<usize, RunError> {
    let random: [u8; 16] = random_id()?;
    Ok(usize::from_le_bytes([
        random[0], random[1], random[2], random[3], random[4], random[5], random[6], random[7],
    ]) % count)
}

async fn read(
    repository: &Arc<Repository>,
    kind: ObjectKind,
    name: ObjectName,
    monitor: &Monitor,
) -> Result<Result<(), RepositoryError>, RunError> {
    let damaged = |error: FormatError| RepositoryError::object(&name, repository.store.location(), error);
    let read = match kind {
        ObjectKind::Snapshot => repository
            .get_object(&name, &repository.data)
            .await
            .and_then(|content| decode_snapshot(&content).map(|_| ()).map_err(damaged)),
        ObjectKind::IndexSegment => repository
            .get_object(&name, &repository.index)
            .await
            .and_then(|content| decode_segment(&content, |_| Ok(())).map_err(damaged)),
        _ => {
            let object = match repository.store.get(&name, None).await {
                Ok(object) => object,
                Err(error) => return Ok(Err(error.into())),
            };
            Progress::add(&monitor.progress.fetched_objects, 1);
            Progress::add(&monitor.progress.fetched_bytes, object.len() as u64);
            let (opener, id) = (Arc::clone(repository), PackId(name.id()));
            let opened =
                tokio::task::spawn_blocking(move || open_pack(&opener, id, &object).map(|_| ())).await;
            opened
                .map_err(|error| RunError::Check {
                    stage: NAME,
                    message: error.to_string(),
                })?
                .map_err(|error| RepositoryError::object(&name, repository.store.location(), error))
        }
    };
    Ok(read)
}
