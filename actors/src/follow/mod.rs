// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Makes a second target follow the first: copies what it lacks, object by object, and on request removes what the first has let go.
//!
//! Every object is opened before it is stored a second time, so damage does not spread. The order is that of `engine::mirror`: packs, segments, key
//! files, the config, manifests; so the copy is a whole repository at every moment, and a first copy that was cut off is none yet. Sessions, plans and
//! fences belong to runs at the first target and stay there. Cut off anywhere, the next run goes on from what both targets list.
//!
//! Reading order: this file, [`listing`] (what both hold), [`copier`] (one object), [`removal`] (what may go).

mod copier;
mod listing;
mod removal;

use std::sync::Arc;

use duplicati_engine::{
    clock::Clock,
    crypto::key_file::Unlock,
    index::local::LocalState,
    mirror::{Plan, plan, rank_of_kind},
    repository::{Repository, RepositoryError},
    storage::{ObjectInfo, ObjectKind, ObjectName, Store, StoreErrorKind},
};
use serde::Serialize;

pub(crate) use self::copier::{Copier, Job, Outcome, Work, get_if_readable, run as run_jobs};
use self::listing::SourceState;
use crate::{
    control::RunControl,
    error::RunError,
    events::{Monitor, Phase, Severity},
    object_check::{ObjectChecker, Proof},
};

/// Times that everything is listed again because the first target was compacted meanwhile.
const ROUNDS_MAX: usize = 5;

/// What is looked at of objects that both targets list with the same size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recheck {
    /// Nothing more.
    #[default]
    Names,
    /// The copy is opened.
    Open,
    /// Both are read and compared.
    Compare,
}

/// How to follow.
#[derive(Debug, Clone, Copy, Default)]
pub struct FollowOptions {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Remove what the first target has let go.
    pub remove: bool,
    /// What is done about objects that are there already.
    pub recheck: Recheck,
    /// Read each copy back.
    pub read_back: bool,
}

/// Something that was not done, or is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The object.
    pub object: String,
    /// In words.
    pub text: String,
}

/// What was done; in a dry run, what would be.
#[derive(Debug, Default, Serialize)]
pub struct FollowReport {
    /// Objects copied.
    pub copied: Vec<String>,
    /// Their size, bytes.
    pub copied_bytes: u64,
    /// Copies that were damaged and are whole now.
    pub replaced: Vec<String>,
    /// Objects removed.
    pub removed: Vec<String>,
    /// Objects that were there already.
    pub same: u64,
    /// Copied objects of which the key at hand opens only the outside.
    pub unproven: u64,
    /// Objects that only the second target has and that stay.
    pub extra: u64,
    /// Why they stay, when they were to go.
    pub kept_because: Vec<String>,
    /// What could not be copied.
    pub failures: Vec<Failure>,
    /// Names at the second target that are not ours; left alone.
    pub foreign: Vec<String>,
}

/// The first target, and what opens it.
pub struct Leader {
    /// The repository there.
    pub repository: Arc<Repository>,
    /// What opened it; none without encryption.
    pub unlock: Option<Arc<Unlock>>,
}

/// Makes `target` follow.
///
/// # Errors
/// When a target does not answer, or the second holds something else. What is damaged is part of the result.
pub async fn run_follow(
    leader: Leader,
    target: Arc<dyn Store>,
    mut local: Option<&mut LocalState>,
    options: FollowOptions,
    clock: Arc<dyn Clock>,
    monitor: Monitor,
    control: RunControl,
) -> Result<FollowReport, RunError> {
    monitor.progress.set_phase(Phase::Opening);
    let repository = leader.repository;
    let checker = ObjectChecker::new(Arc::clone(&repository), leader.unlock);
    let config = target_config(&repository, target.as_ref(), options.dry_run).await?;
    let copier = Copier {
        source: Arc::clone(&repository),
        target: Arc::clone(&target),
        checker,
        options,
        monitor: monitor.clone(),
    };
    let mut report = FollowReport::default();
    let mut newest_of_both: Option<Option<String>> = None;
    for _ in 0..ROUNDS_MAX {
        control.check().map_err(|_| cause(&control))?;
        monitor.progress.set_phase(Phase::Opening);
        let state = SourceState::take(&repository, local.as_deref_mut()).await?;
        let there = listing::of_target(&target, config, options.dry_run, &mut report.foreign).await?;
        if config.is_none() {
            refuse_strangers(&repository, &target, &state, &there)?;
        }
        // Only what both had before the first object was copied tells what the first can have let go since.
        let newest_of_both = newest_of_both.get_or_insert_with(|| state.newest_in(&there));
        let plan = plan(state.objects.clone(), there, false);
        monitor.progress.set_phase(Phase::Working);
        if !carry_out(&copier, &state, &plan, &mut report, &control).await? {
            continue;
        }
        for lacking in state.lacking {
            fail(&mut report, &monitor, lacking.to_string(), LACKING.to_owned());
        }
        monitor.progress.set_phase(Phase::Committing);
        let removal = removal::Removal {
            repository: &repository,
            target: &target,
            had_config: config.is_some(),
            config,
            newest_of_both: newest_of_both.as_deref(),
            options,
            monitor: &monitor,
            control: &control,
        };
        removal
            .carry_out(plan.remove, local.as_deref_mut(), clock, &mut report)
            .await?;
        monitor.progress.set_phase(Phase::Done);
        return Ok(report);
    }
    Err(RunError::Refused(format!(
        "the backup at {} was changed {ROUNDS_MAX} times while it was copied; run this again when no other command works on it",
        repository.store.location()
    )))
}

/// What is said of a pack that is named and not there.
const LACKING: &str = "the index of the first destination names it and the destination does not have it, so it cannot be copied";

fn cause(control: &RunControl) -> RunError {
    control.cause().unwrap_or(RunError::Cancelled)
}

fn fail(report: &mut FollowReport, monitor: &Monitor, object: String, text: String) {
    monitor.tell(Severity::Error, "NotCopied", object.as_bytes(), text.clone());
    report.failures.push(Failure { object, text });
}

/// The size of the config at the second target, if there is one. Another repository's is refused.
async fn target_config(
    repository: &Repository,
    target: &dyn Store,
    is_dry_run: bool,
) -> Result<Option<u64>, RunError> {
    match target.get(&ObjectName::CONFIG, None).await {
        Ok(content) => match repository.check_config(&content) {
            Ok(()) => Ok(Some(content.len() as u64)),
            Err(error) => Err(RunError::Refused(format!(
                "{} at {} is not that of the backup at {}: {error}; choose another folder, or, if this is the same backup with damage, use `repair` with --heal-from",
                ObjectName::CONFIG,
                target.location(),
                repository.store.location()
            ))),
        },
        Err(error) if error.kind == StoreErrorKind::NotFound => {
            let foreign = match target.list_foreign_root().await {
                Err(error) if is_dry_run && error.kind == StoreErrorKind::NotFound => Vec::new(),
                foreign => foreign?,
            };
            if foreign.is_empty() {
                return Ok(None);
            }
            let mut examples = foreign;
            examples.truncate(3);
            Err(RepositoryError::Occupied {
                location: target.location(),
                examples: examples.join(", "),
            }
            .into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Without a config only a first copy that was cut off may be there. Ways in and versions come last, so others mean another repository.
fn refuse_strangers(
    repository: &Repository,
    target: &Arc<dyn Store>,
    state: &SourceState,
    there: &[ObjectInfo],
) -> Result<(), RunError> {
    let is_known = |info: &ObjectInfo| state.objects.iter().any(|ours| ours.name == info.name);
    let stranger = there
        .iter()
        .find(|info| matches!(info.name.kind(), ObjectKind::Key | ObjectKind::Snapshot) && !is_known(info));
    let Some(stranger) = stranger else { return Ok(()) };
    Err(RunError::Refused(format!(
        "{} at {} is not in the backup at {}, and there is no {}: this looks like another backup that lost it; choose an empty folder",
        stranger.name,
        target.location(),
        repository.store.location(),
        ObjectName::CONFIG
    )))
}

/// Copies rank after rank. False means that something vanished at the first target, so that all must be listed again.
async fn carry_out(
    copier: &Copier,
    state: &SourceState,
    plan: &Plan<ObjectInfo>,
    report: &mut FollowReport,
    control: &RunControl,
) -> Result<bool, RunError> {
    report.same = 0;
    report.failures.clear();
    let mut jobs: Vec<Job> = Vec::new();
    let mut add = |entries: &[ObjectInfo], work: Work| {
        jobs.extend(entries.iter().map(|info| Job {
            name: info.name,
            size_bytes: info.size_bytes,
            described: state.described(&info.name),
            work,
        }));
    };
    add(&plan.copy, Work::Copy);
    add(&plan.replace, Work::Replace);
    // Object stores keep no time that would make one look newer; the source decides.
    add(&plan.newer, Work::Replace);
    add(&plan.same, Work::Recheck);
    jobs.sort_by_key(|job| rank_of_kind(job.name.kind()));
    while let Some(first) = jobs.first() {
        let kind = first.name.kind();
        let end = jobs.partition_point(|job| rank_of_kind(job.name.kind()) <= rank_of_kind(kind));
        let later = jobs.split_off(end);
        let mut has_vanished = false;
        let mut not_kept = 0;
        for (job, outcome) in run_jobs(copier, std::mem::replace(&mut jobs, later), control).await? {
            let name = job.name.to_string();
            match outcome {
                Outcome::Copied(proof) | Outcome::Replaced(proof) => {
                    report.unproven += u64::from(proof == Proof::Form);
                    report.copied_bytes += job.size_bytes;
                    if matches!(outcome, Outcome::Copied(_)) {
                        report.copied.push(name);
                    } else {
                        report.replaced.push(name);
                    }
                }
                Outcome::Same => report.same += 1,
                Outcome::NotForCopies => {}
                Outcome::Vanished => has_vanished = true,
                // Damage at the first is no new hole in the copy: whatever else is whole there goes on.
                Outcome::Failed(text) => fail(report, &copier.monitor, name, text),
                Outcome::NotKept(text) => {
                    not_kept += 1;
                    fail(report, &copier.monitor, name, text);
                }
            }
        }
        if not_kept > 0 {
            // What comes later relies on it, and what the destination does to one object it may do to others.
            for job in jobs.drain(..).filter(|job| job.work != Work::Recheck) {
                let text = format!(
                    "not copied, because the second destination does not keep {not_kept} of the files it needs; examine that destination"
                );
                fail(report, &copier.monitor, job.name.to_string(), text);
            }
            return Ok(true);
        }
        if has_vanished {
            return Ok(false);
        }
    }
    Ok(true)
}

impl SourceState {
    fn described(&self, name: &ObjectName) -> Option<[u8; 16]> {
        self.descriptions.get(&name.id()).copied()
    }
}
