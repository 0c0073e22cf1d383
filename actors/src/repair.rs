// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Describes anew what the index has lost. Deletes nothing but segments whose packs are all described elsewhere (S-7).

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    clock::Clock,
    format::{codec::Decoder, index_segment::PackDescription},
    id::{PackId, SegmentId},
    index::local::LocalState,
    repository::{ObjectProblem, Repository, RepositoryError},
    storage::ObjectName,
};
use serde::Serialize;

use crate::{
    compact::{put_segment, read_segment, sessions::OwnSession},
    control::RunControl,
    error::RunError,
    events::{Monitor, Phase, Severity},
    inventory::{Inventory, is_not_found, list_sessions},
    verify::{CheckOptions, VerifyReport, open_pack, run_check},
};

/// How to repair.
#[derive(Debug, Clone, Default)]
pub struct RepairOptions {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Nobody else uses the repository: a plan that cannot be read is nobody's any more.
    pub exclusive: bool,
    /// Host name.
    pub host: String,
    /// Program and version.
    pub program: String,
    /// Name every lost file.
    pub full: bool,
}

/// What a repair did.
#[derive(Default, Serialize)]
pub struct RepairReport {
    /// Packs that no readable segment described and one does now.
    pub described_packs: Vec<PackId>,
    /// Packs whose footer cannot be read, and why; they stay.
    pub unreadable_packs: Vec<String>,
    /// Packs that the target does not have; the index does not name them any more, so the next backup stores their chunks again.
    pub missing_packs: Vec<PackId>,
    /// Segments removed, because others describe all that they did.
    pub removed_segments: Vec<SegmentId>,
    /// Plans removed because they could not be read.
    pub removed_plans: u64,
    /// What is still wrong afterwards, with the files that are lost.
    pub remaining: VerifyReport,
}

/// Repairs.
///
/// # Errors
/// When the target fails; running it again goes on.
pub async fn run_repair(
    repository: Arc<Repository>,
    mut local: Option<&mut LocalState>,
    options: RepairOptions,
    clock: Arc<dyn Clock>,
    monitor: Monitor,
    control: RunControl,
) -> Result<RepairReport, RunError> {
    monitor.progress.set_phase(Phase::Opening);
    let mut report = RepairReport::default();
    let own = if options.dry_run {
        None
    } else {
        let machine = local.as_deref().map_or(Ok(String::new()), LocalState::machine)?;
        Some(
            OwnSession::begin(
                &repository,
                &options.host,
                &options.program,
                machine,
                clock.as_ref(),
            )
            .await?,
        )
    };
    let outcome = repair(
        &repository,
        local.as_deref_mut(),
        &options,
        own.as_ref(),
        &monitor,
        &control,
        &mut report,
    )
    .await;
    if let Some(own) = own {
        let ended = own.end(&repository).await;
        outcome?;
        ended?;
    } else {
        outcome?;
    }
    let check = CheckOptions { full: options.full };
    // A segment that stays although it cannot be read would be hidden by the local copy.
    let local = local.filter(|_| report.unreadable_packs.is_empty());
    report.remaining = run_check(repository, local, check, clock, monitor, control).await?;
    Ok(report)
}

async fn repair(
    repository: &Arc<Repository>,
    local: Option<&mut LocalState>,
    options: &RepairOptions,
    own: Option<&OwnSession>,
    monitor: &Monitor,
    control: &RunControl,
    report: &mut RepairReport,
) -> Result<(), RunError> {
    // Without the local copy: it may hold what the target has lost (S-5).
    let mut inventory = Inventory::take(repository, None).await?;
    let index = std::mem::take(&mut inventory.index);
    monitor.progress.set_phase(Phase::Working);
    let remembered = match local.as_deref() {
        Some(local) => local.stored_packs()?,
        None => Vec::new(),
    };
    let mut described = Vec::new();
    let mut covered_all = true;
    for (id, size) in inventory.unindexed(&index) {
        control.check()?;
        if inventory.doomed.contains(&id) {
            continue;
        }
        match describe(repository, id, size, &remembered).await {
            Ok(description) => {
                described.push(description);
                report.described_packs.push(id);
            }
            Err(RunError::Repository(error)) if error.is_damage() => {
                covered_all &= is_not_found(&error);
                report
                    .unreadable_packs
                    .push(format!("{}: {error}", ObjectName::from(id)));
            }
            Err(error) => return Err(error),
        }
    }
    report.missing_packs = index
        .packs()
        .map(|pack| pack.id)
        .filter(|id| !inventory.packs.contains_key(id) && !inventory.doomed.contains(id))
        .collect();
    // Segments that name missing packs are replaced by ones that do not: otherwise every later backup would rely on what is not there.
    let missing: HashSet<PackId> = report.missing_packs.iter().copied().collect();
    let mut replaced: Vec<SegmentId> = Vec::new();
    let mut moved = HashSet::new();
    for segment in inventory
        .segments
        .iter()
        .filter(|segment| segment.packs.iter().any(|pack| missing.contains(pack)))
    {
        for pack in read_segment(repository, segment.id).await? {
            if !missing.contains(&pack.id) && moved.insert(pack.id) {
                described.push(encoded(&pack));
            }
        }
        replaced.push(segment.id);
    }
    for (id, error) in &inventory.unreadable_segments {
        // What a newer program wrote is not ours to remove (F-8).
        let is_newer = matches!(
            error,
            RepositoryError::Object {
                source: ObjectProblem::Format(duplicati_engine::format::FormatError::UnknownVersion { .. }),
                ..
            }
        );
        if covered_all && !is_newer && !is_not_found(error) {
            replaced.push(*id);
        }
    }
    report.removed_segments.clone_from(&replaced);
    let Some(own) = own else { return Ok(()) };
    if !described.is_empty() {
        put_segment(repository, &described).await?;
    }
    // If somebody took this run for dead, what it described may be collected: then the old segments stay.
    own.seal_off(repository).await?;
    for segment in replaced {
        repository.store.delete(&ObjectName::from(segment)).await?;
    }
    if let Some(local) = local {
        let gone: Vec<PackId> = remembered
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| !inventory.packs.contains_key(id) || report.described_packs.contains(id))
            .collect();
        local.remove_stored_packs(&gone)?;
    }
    settle_plans(repository, &inventory, own, options, monitor, report).await
}

/// Removes plans that cannot be read once no collector can act on them: each has a session object as long as it lives.
async fn settle_plans(
    repository: &Repository,
    inventory: &Inventory,
    own: &OwnSession,
    options: &RepairOptions,
    monitor: &Monitor,
    report: &mut RepairReport,
) -> Result<(), RunError> {
    if inventory.unreadable_plans.is_empty() {
        return Ok(());
    }
    let others = list_sessions(repository)
        .await?
        .into_iter()
        .filter(|(id, _)| *id != own.id)
        .count();
    if others > 0 && !options.exclusive {
        monitor.tell(
            Severity::Warning,
            "PlanUnreadable",
            b"",
            format!("a collection plan cannot be read and {others} sessions are open; repair again when no other machine uses the repository, and say so"),
        );
        return Ok(());
    }
    for (id, _) in &inventory.unreadable_plans {
        repository.store.delete(&ObjectName::from(*id)).await?;
        report.removed_plans += 1;
    }
    Ok(())
}

fn encoded(pack: &PackDescription) -> Vec<u8> {
    let mut encoded = Vec::new();
    pack.encode(&mut encoded);
    encoded
}

/// A pack's description: from what this machine remembers when that fits, else from the pack's own footer.
async fn describe(
    repository: &Arc<Repository>,
    id: PackId,
    size: u64,
    remembered: &[(PackId, Vec<u8>)],
) -> Result<Vec<u8>, RunError> {
    let known = remembered
        .iter()
        .find(|(known, _)| *known == id)
        .and_then(|(_, description)| {
            PackDescription::decode(&mut Decoder::new("remembered pack", description))
                .ok()
                .filter(|pack| pack.id == id && pack.object_size_bytes == size)
                .map(|pack| encoded(&pack))
        });
    if let Some(known) = known {
        return Ok(known);
    }
    let name = ObjectName::from(id);
    let object = repository.store.get(&name, None).await?;
    let repository = Arc::clone(repository);
    tokio::task::spawn_blocking(move || {
        open_pack(&repository, id, &object)
            .map(|pack| encoded(&pack))
            .map_err(|error| {
                RunError::from(RepositoryError::object(&name, repository.store.location(), error))
            })
    })
    .await
    .map_err(|error| RunError::Panicked {
        stage: "repair",
        message: error.to_string(),
    })?
}
