// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The structure: every snapshot, tree chunk and file chunk is where the index says, in a pack of the right size.

use std::sync::Arc;

use duplicati_engine::{
    clock::Clock,
    compaction::{Referenced, TreeScan},
    crypto::age_file,
    format::chunk_list::ChunkList,
    id::ChunkId,
    index::{ChunkIndex, id_table::IdTable, local::LocalState},
    repository::{FrameReader, Repository},
    storage::ObjectName,
};

use super::{Finding, FindingKind, LISTED_MAX, VerifyReport, find_lost_files};
use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Phase, Severity},
    inventory::{Inventory, is_not_found},
};

/// Opened tree frames kept, bytes.
const CACHE_BYTES: u64 = 16 << 20;

/// How to check.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Name every lost file.
    pub full: bool,
}

/// Checks the structure.
///
/// # Errors
/// When the target does not answer; damage is the result.
pub async fn run_check(
    repository: Arc<Repository>,
    local: Option<&mut LocalState>,
    options: CheckOptions,
    _clock: Arc<dyn Clock>,
    monitor: Monitor,
    control: RunControl,
) -> Result<VerifyReport, RunError> {
    monitor.progress.set_phase(Phase::Opening);
    let taking = Inventory::take(&repository, local);
    let mut inventory = control.until_tripped(taking).await??;
    let index = Arc::new(std::mem::take(&mut inventory.index));
    monitor.progress.set_phase(Phase::Working);
    let mut report = VerifyReport::default();
    let examining = examine(&repository, &inventory, &index, &mut report, &control);
    control.until_tripped(examining).await??;
    let naming = name_lost_files(
        &repository,
        &inventory,
        &index,
        &mut report,
        options.full,
        &control,
    );
    control.until_tripped(naming).await??;
    tell(&report, &monitor);
    monitor.progress.set_phase(Phase::Done);
    Ok(report)
}

/// Tells every finding.
pub fn tell(report: &VerifyReport, monitor: &Monitor) {
    for finding in &report.findings {
        monitor.tell(
            Severity::Error,
            "Damage",
            finding.object.as_bytes(),
            format!("{:?}: {}", finding.kind, finding.text),
        );
    }
}

/// Looks at everything that listings, index and trees say.
pub async fn examine(
    repository: &Arc<Repository>,
    inventory: &Inventory,
    index: &Arc<ChunkIndex>,
    report: &mut VerifyReport,
    control: &RunControl,
) -> Result<(), RunError> {
    report.snapshots = inventory.snapshots.snapshots.len() as u64;
    report.segments = inventory.segments.len() as u64;
    report.packs = inventory.packs.len() as u64;
    for (id, error) in &inventory.snapshots.unreadable {
        // Removed between listing and reading is no damage.
        if !is_not_found(error)
            && !matches!(error, duplicati_engine::repository::RepositoryError::Object { .. } if !repository.data.can_open())
        {
            let text = format!(
                "{error}; bring it back from a copy of the destination, or let this version go: `delete --give-up={id}`"
            );
            report.find(ObjectName::from(*id), FindingKind::Error, text);
        }
    }
    for (id, error) in &inventory.unreadable_segments {
        report.find(ObjectName::from(*id), FindingKind::Error, error);
    }
    for (id, error) in &inventory.unreadable_plans {
        report.find(ObjectName::from(*id), FindingKind::Error, error);
    }
    for pack in &inventory.contradictions {
        report.find(
            ObjectName::from(*pack),
            FindingKind::Modified,
            "two index segments describe it differently",
        );
    }
    for pack in &inventory.damaged {
        if index.contains_pack(pack) && inventory.packs.contains_key(pack) {
            report.find(
                ObjectName::from(*pack),
                FindingKind::Modified,
                "it was found damaged before on this machine, and nothing is deduplicated against it; `repair` takes out of it what still opens",
            );
        }
    }
    for name in &inventory.foreign {
        report.waste.push(Finding {
            object: name.clone(),
            kind: FindingKind::Extra,
            text: "this name is not one of ours; it is left alone".to_owned(),
        });
    }
    for (id, size) in inventory.unindexed(index) {
        report.waste.push(Finding {
            object: ObjectName::from(id).to_string(),
            kind: FindingKind::Extra,
            text: format!(
                "no index segment describes these {size} bytes: a run that is not finished, or was cut off"
            ),
        });
    }
    if repository.data.can_open() {
        scan_trees(repository, inventory, index, report, control).await?;
    }
    for pack in index.packs() {
        let name = ObjectName::from(pack.id);
        match inventory.packs.get(&pack.id) {
            Some(size) if *size == pack.object_size => {}
            Some(size) => report.find(
                name,
                FindingKind::Modified,
                format!("it has {size} bytes, the index says {}", pack.object_size),
            ),
            None if inventory.doomed.contains(&pack.id) => {}
            None => report.find(
                name,
                FindingKind::Missing,
                "the index names it, the target does not list it",
            ),
        }
    }
    Ok(())
}

async fn scan_trees(
    repository: &Arc<Repository>,
    inventory: &Inventory,
    index: &Arc<ChunkIndex>,
    report: &mut VerifyReport,
    control: &RunControl,
) -> Result<(), RunError> {
    let frames = FrameReader::new(Arc::clone(repository), Arc::clone(index), CACHE_BYTES);
    let mut scan = TreeScan::new();
    for (id, manifest) in &inventory.snapshots.snapshots {
        control.check()?;
        let name = ObjectName::from(*id);
        let mut lost: IdTable<()> = std::mem::take(&mut report.lost);
        let mut problems: Vec<String> = Vec::new();
        let mut each = |reference: Referenced<'_>| match reference {
            Referenced::Chunk(class, chunk) => match index.find(chunk) {
                Some(place) if index.frame(place.frame).class != class => {
                    lost.insert(&chunk.prefix(), ());
                    problems.push(format!("chunk {chunk} is in a pack of the wrong class"));
                }
                Some(_) if is_out_of_reach(index, inventory, chunk) => {
                    lost.insert(&chunk.prefix(), ());
                }
                Some(_) => {}
                None => {
                    if lost.insert(&chunk.prefix(), ()) {
                        problems.push(format!("chunk {chunk} is in no pack known"));
                    }
                }
            },
            Referenced::Unreadable(chunk, error) => {
                if lost.insert(&chunk.prefix(), ()) {
                    problems.push(error.to_string());
                }
            }
        };
        scan.add_directory(&ChunkList::from(manifest.root.clone()), &mut each);
        for file in &manifest.control_files {
            let list = ChunkList {
                depth: file.depth,
                ids: file.ids.clone(),
            };
            scan.add_file(&list, &mut each);
        }
        scan.run(&frames, &mut each).await?;
        report.lost = lost;
        problems.truncate(LISTED_MAX);
        for problem in problems {
            report.find(name, FindingKind::Missing, problem);
        }
    }
    Ok(())
}

/// Whether a chunk's pack is missing or ends before it.
pub(crate) fn is_out_of_reach(index: &ChunkIndex, inventory: &Inventory, id: &ChunkId) -> bool {
    let Some(place) = index.find(id) else { return true };
    let frame = index.frame(place.frame);
    let Some(size) = inventory.packs.get(&frame.pack) else {
        return true;
    };
    if *size == frame.object_size {
        return false;
    }
    let end = frame.offset + u64::from(frame.stored_size);
    if frame.age_header.is_empty() {
        return end > *size;
    }
    let (_, range, _) = age_file::block_range(frame.age_header.len(), frame.object_size, frame.offset, end);
    range.end > *size
}

/// Walks for names when anything is lost.
pub async fn name_lost_files(
    repository: &Arc<Repository>,
    inventory: &Inventory,
    index: &Arc<ChunkIndex>,
    report: &mut VerifyReport,
    full: bool,
    control: &RunControl,
) -> Result<(), RunError> {
    if report.lost.is_empty() || !repository.data.can_open() {
        return Ok(());
    }
    let frames = Arc::new(FrameReader::new(
        Arc::clone(repository),
        Arc::clone(index),
        CACHE_BYTES,
    ));
    let VerifyReport {
        lost,
        lost_files,
        lost_file_count,
        ..
    } = report;
    let lost = &*lost;
    find_lost_files(
        frames,
        &inventory.snapshots.snapshots,
        &|id| lost.get(&id.prefix()).is_some(),
        control,
        |file| {
            *lost_file_count += 1;
            if full || lost_files.len() < LISTED_MAX {
                lost_files.push(file);
            }
        },
    )
    .await
}
