// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reclaims space: deletes packs that no snapshot needs and writes wasteful or small ones again.
//!
//! ```text
//! planner ─4→ fetcher ─2→ repacker ─1→ uploader ─16→ swapper      (what is needed moves into new packs and segments)
//! then: the copies that stay are read, plan object, sessions, marking again, and only then deletion: segments, packs, plan
//! ```
//!
//! Reading order: this file (the order of S-1 to S-3), [`survey`], [`wiring`] and its stages, [`twins`], [`sessions`], [`collector`]. The only file that
//! deletes packs and segments is [`collector`].

mod collector;
mod fetcher;
mod lacking;
mod planner;
mod repacker;
pub(crate) mod sessions;
mod survey;
mod swapper;
mod twins;
mod wiring;

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    clock::Clock,
    compaction::{CompactionPlan, Thresholds},
    crypto::secret::random_id,
    format::{manifest::encode_json, session::Plan},
    id::{PackId, PlanId},
    index::local::LocalState,
    repository::{Repository, RepositoryError},
    storage::ObjectName,
};
use serde::Serialize;

pub use self::sessions::OpenSession;
use self::sessions::{OwnSession, end_stale};
pub(crate) use self::{planner::read_segment, swapper::put_segment};
use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Phase, Severity},
    inventory::list_plans,
};

/// Age from which the remains of uploads that were cut off go, seconds: no upload of one object takes a day without a byte.
const TEMPORARY_AGE_SECONDS: i64 = 24 * 3600;

/// How to compact.
#[derive(Debug, Clone)]
pub struct CompactOptions {
    /// Size of new packs, bytes.
    pub pack_size_bytes: u64,
    /// When a pack is worth writing again.
    pub thresholds: Thresholds,
    /// zstd level of frames that are made anew.
    pub level: i32,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Nobody else uses the repository: open sessions of other machines are over. Needed where the target has no exclusive `put`.
    pub exclusive: bool,
    /// Sessions of other machines older than this are ended by a fence, seconds (S-4).
    pub session_age_seconds_max: i64,
    /// Host name, for the plan.
    pub host: String,
    /// Program and version, for the session.
    pub program: String,
}

/// Age from which the session of another machine is taken for dead, seconds: two weeks, longer than any first backup over a slow line should take. What a dead
/// session has stored waits that long for its collection; a backup that was taken for dead stores again what was collected.
pub const SESSION_AGE_SECONDS_MAX: i64 = 14 * 24 * 3600;

impl CompactOptions {
    /// The defaults for a pack size.
    pub fn new(pack_size_bytes: u64) -> Self {
        Self {
            pack_size_bytes,
            thresholds: Thresholds::for_pack_size(pack_size_bytes),
            level: duplicati_engine::compression::LEVEL_DEFAULT,
            dry_run: false,
            exclusive: false,
            session_age_seconds_max: SESSION_AGE_SECONDS_MAX,
            host: String::new(),
            program: String::new(),
        }
    }
}

/// What a compaction did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CompactReport {
    /// What was decided.
    pub plan: CompactionPlan,
    /// Nothing was changed.
    pub dry_run: bool,
    /// Packs deleted.
    pub deleted_packs: u64,
    /// Their size, bytes.
    pub deleted_bytes: u64,
    /// Segments deleted.
    pub deleted_segments: u64,
    /// Packs written.
    pub written_packs: u64,
    /// Their size, bytes.
    pub written_bytes: u64,
    /// Segments written.
    pub written_segments: u64,
    /// Packs that were condemned and stay, because a snapshot made meanwhile needs them or they are damaged.
    pub spared_packs: Vec<PackId>,
    /// Packs that could not be read, and why; nothing of them was deleted.
    pub damaged: Vec<String>,
    /// Sessions of others that are still open: deletion waits for a later run.
    pub waiting_for: Vec<OpenSession>,
    /// Another collection began at the same time; this one stood back.
    pub stood_back: bool,
    /// Sessions that were ended by a fence.
    pub fenced_sessions: u64,
    /// Earlier plans that are done now.
    pub finished_plans: u64,
}

impl CompactReport {
    /// Whether everything that was condemned is gone.
    pub fn is_finished(&self) -> bool {
        !self.dry_run && !self.stood_back && self.waiting_for.is_empty()
    }
}

/// Compacts the repository.
///
/// # Errors
/// When a snapshot, segment or plan cannot be read (then nothing is deleted, S-7), with a write-only key, or when the target fails.
pub async fn run_compact(
    repository: Arc<Repository>,
    local: Option<&mut LocalState>,
    options: CompactOptions,
    clock: Arc<dyn Clock>,
    monitor: Monitor,
    control: RunControl,
) -> Result<CompactReport, RunError> {
    if !repository.data.can_open() {
        let operation = "compacting";
        return Err(RepositoryError::WriteOnlyKey { operation }.into());
    }
    monitor.progress.set_phase(Phase::Opening);
    let own = if options.dry_run {
        None
    } else {
        let machine = local.as_deref().map_or(Ok(String::new()), LocalState::machine)?;
        let own = OwnSession::begin(
            &repository,
            &options.host,
            &options.program,
            machine.clone(),
            clock.as_ref(),
        )
        .await?;
        end_stale(&repository, Some(own.id), &machine).await?;
        Some(own)
    };
    let outcome = compact(
        &repository,
        local,
        &options,
        clock.as_ref(),
        &monitor,
        &control,
        own.as_ref(),
    )
    .await;
    // Whatever happened, what this run wrote is indexed or waste by now, and it will write nothing more.
    if let Some(own) = own {
        if control.is_tripped() && repository.store.capability().put_if_absent {
            // A request may be under way still, and must find the session. The next run of this machine ends it, and others may fence it. Where nobody can
            // do either, the session would only be in the way: there the user said that nobody else is at work.
            return outcome;
        }
        let ended = control
            .tidy_up(own.end(&repository))
            .await
            .unwrap_or(Err(RunError::Interrupted));
        if outcome.is_ok() {
            ended?;
            let older_than = clock.now().seconds.saturating_sub(TEMPORARY_AGE_SECONDS);
            // They only take room: a target that cannot remove them now does so after a later run.
            if let Err(error) = repository.store.remove_stale_temporaries(older_than).await {
                monitor.tell(Severity::Warning, "TemporariesNotRemoved", b"", error.to_string());
            }
        }
    }
    monitor.progress.set_phase(Phase::Done);
    outcome
}

async fn compact(
    repository: &Arc<Repository>,
    mut local: Option<&mut LocalState>,
    options: &CompactOptions,
    clock: &dyn Clock,
    monitor: &Monitor,
    control: &RunControl,
    own: Option<&OwnSession>,
) -> Result<CompactReport, RunError> {
    let surveying = survey::take(
        repository,
        local.as_deref_mut(),
        &options.thresholds,
        monitor,
        control,
    );
    let survey = control.until_tripped(surveying).await??;
    let mut report = CompactReport {
        plan: survey.plan.clone(),
        dry_run: options.dry_run,
        ..CompactReport::default()
    };
    let Some(own) = own else { return Ok(report) };
    let known_plans: HashSet<PlanId> = survey.inventory.plans.iter().map(|(id, _)| *id).collect();
    if survey.plan.is_empty() && known_plans.is_empty() {
        sessions::tidy(repository, own).await?;
        return Ok(report);
    }

    monitor.progress.set_phase(Phase::Working);
    let survey = Arc::new(survey);
    let mut moved = wiring::run(repository, &survey, options, monitor, control).await?;
    let twins = control
        .until_tripped(twins::prove(repository, &survey, monitor, control))
        .await??;
    if let Some(local) = local.as_deref_mut() {
        let damaged: Vec<PackId> = moved.failed.keys().chain(&twins.damaged).copied().collect();
        local.note_read_packs(&damaged, &[])?;
    }
    moved.failed.extend(twins.spared);
    let lacking = control
        .until_tripped(lacking::spare(repository, &survey, control))
        .await??;
    moved.failed.extend(lacking);
    // Who knows what is in them: `repair` looks through them, and takes them out of the index after that.
    for pack in &survey.plan.removed {
        if survey.inventory.damaged.contains(&pack.id) {
            let why = "it was found damaged before; run `repair`, which saves what still opens, and then compact again";
            moved.failed.entry(pack.id).or_insert_with(|| why.to_owned());
        }
    }
    report.written_packs = moved.packs;
    report.written_bytes = moved.bytes;
    report.written_segments = moved.segments;
    report.damaged = moved.failed.values().cloned().collect();
    let survey = Arc::into_inner(survey).ok_or_else(|| RunError::Check {
        stage: "compact",
        message: "a stage outlived its run".to_owned(),
    })?;

    // What was written is described now. If somebody fenced this session, it may have been collected before it was: then delete nothing.
    own.seal_off(repository).await?;
    control.check()?;
    monitor.progress.set_phase(Phase::Committing);
    let condemned: HashSet<PackId> = survey
        .plan
        .removed
        .iter()
        .map(|pack| pack.id)
        .filter(|id| !moved.failed.contains_key(id))
        .collect();
    let plan_id = put_plan(repository, options, clock, &condemned, &survey.plan).await?;
    if sees_other_plan(repository, plan_id, &known_plans).await? {
        // Nothing was deleted for this plan, so it can be taken back; the other collection or a later one goes on.
        repository.store.delete(&ObjectName::from(plan_id)).await?;
        monitor.tell(
            Severity::Warning,
            "CompactStoodBack",
            b"",
            "another machine began to compact at the same time; nothing was deleted here",
        );
        report.stood_back = true;
        return Ok(report);
    }
    let resolution = sessions::end_all(repository, own, plan_id, options, clock).await?;
    report.fenced_sessions = resolution.fenced;
    if !resolution.open.is_empty() {
        monitor.tell(
            Severity::Information,
            "CompactWaits",
            b"",
            format!(
                "{} other sessions are open; what was condemned is deleted by a later run",
                resolution.open.len()
            ),
        );
        report.waiting_for = resolution.open;
        return Ok(report);
    }
    control.check()?;
    collector::collect(
        repository,
        local,
        collector::Condemned {
            own_plan: plan_id,
            packs: condemned,
            plans: survey.inventory.plans,
            segments: survey.plan.segments.iter().copied().collect(),
            marked: survey.marked,
            missing_before: survey.marks.missing_count,
            marks: survey.marks,
            failed: moved.failed.into_keys().collect(),
            ended: resolution.ended,
        },
        monitor,
        control,
        &mut report,
    )
    .await?;
    if report.waiting_for.is_empty() {
        sessions::tidy(repository, own).await?;
    }
    Ok(report)
}

async fn put_plan(
    repository: &Repository,
    options: &CompactOptions,
    clock: &dyn Clock,
    condemned: &HashSet<PackId>,
    decided: &CompactionPlan,
) -> Result<PlanId, RunError> {
    let id = PlanId(random_id()?);
    let mut packs: Vec<PackId> = condemned.iter().copied().collect();
    packs.sort_unstable();
    let plan = Plan {
        version: 1,
        repository_id: repository.config.repository_id,
        created: duplicati_engine::clock::text(clock.now()),
        host: options.host.clone(),
        packs,
        segments: decided.segments.clone(),
    };
    repository
        .put_object(&ObjectName::from(id), &repository.index, &encode_json(&plan))
        .await?;
    Ok(id)
}

/// Whether a plan came up that was not known when chunks were counted: both collections could take the other's copy for the one that stays.
async fn sees_other_plan(
    repository: &Repository,
    own: PlanId,
    known: &HashSet<PlanId>,
) -> Result<bool, RunError> {
    let (plans, unreadable, _) = list_plans(repository).await?;
    Ok(plans
        .iter()
        .map(|(id, _)| id)
        .chain(unreadable.iter().map(|(id, _)| id))
        .any(|id| *id != own && !known.contains(id)))
}
