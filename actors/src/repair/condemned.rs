// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Needed chunks in packs that a collection plan names and no segment describes.
//!
//! A collector that is cut off leaves such packs behind, and most of them hold nothing but waste, so they are opened only when something is lost. They are
//! never described again: the plan may still be carried out. What is needed of them goes into new packs (S-3).

use super::*;

/// Copies lost chunks out of condemned packs, each once: should the copy be found lost again, another try would go on for ever. Returns whether any was found.
///
/// # Errors
/// When the target fails, or somebody took this run for dead.
#[allow(
    clippy::too_many_arguments,
    reason = "called once; the run's parts as they are"
)]
pub(super) async fn rescue(
    repository: &Arc<Repository>,
    options: &RepairOptions,
    lost: &IdTable<()>,
    machine: String,
    clock: &dyn Clock,
    control: &RunControl,
    report: &mut RepairReport,
    copied: &mut HashSet<[u8; 16]>,
) -> Result<bool, RunError> {
    // S-2: the session comes before the plans.
    let own = OwnSession::begin(repository, &options.host, &options.program, machine, clock).await?;
    let outcome = copy(repository, lost, &own, control, report, copied).await;
    let ended = own.end(repository).await;
    let found = outcome?;
    ended?;
    Ok(found)
}

async fn copy(
    repository: &Arc<Repository>,
    lost: &IdTable<()>,
    own: &OwnSession,
    control: &RunControl,
    report: &mut RepairReport,
    copied: &mut HashSet<[u8; 16]>,
) -> Result<bool, RunError> {
    let mut inventory = Inventory::take(repository, None).await?;
    let index = std::mem::take(&mut inventory.index);
    let mut work = Work::new(repository, false);
    for (id, size_bytes) in inventory.unindexed(&index) {
        control.check()?;
        if inventory.doomed.contains(&id) {
            let is_wanted =
                |chunk: &ChunkId| lost.get(&chunk.prefix()).is_some() && !copied.contains(&chunk.prefix());
            work.salvage(id, size_bytes, &[], is_wanted).await?;
        }
    }
    if work.salvager.chunks == 0 {
        return Ok(false);
    }
    work.store().await?;
    own.seal_off(repository).await?;
    copied.extend(work.salvager.secured());
    report.salvaged_chunks += work.salvager.chunks;
    report.stored_packs.append(&mut work.salvager.packs);
    Ok(true)
}
