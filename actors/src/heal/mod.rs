// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Brings back what one target has lost from another that holds the same repository.
//!
//! What is missing or damaged is fetched from the second target, opened, compared with what the index says, and put under its own name. What is damaged
//! at both is named and not touched. A version that only the second has may have been deleted on purpose, so it comes back only on request; a key file
//! likewise, unless nothing else opens the repository.
//!
//! Whoever heals is a writer and has a session (S-2). Packs that a collection means to delete are left to `repair`.
//!
//! Reading order: this file, [`entrance`] (config and key files), [`findings`] (what is wrong), [`lacking`] (data that no index there names any more).

mod entrance;
mod findings;
mod lacking;

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    clock::Clock,
    id::PackId,
    index::local::LocalState,
    repository::Repository,
    storage::{ObjectKind, ObjectName, Store},
};
use serde::Serialize;

use crate::{
    compact::sessions::OwnSession,
    control::RunControl,
    error::RunError,
    events::{Monitor, Phase, Severity},
    follow::{Copier, Failure, FollowOptions, Job, Leader, Outcome, Work, get_if_readable, run_jobs},
    inventory::Inventory,
    object_check::{ObjectChecker, Proof},
};

/// How to heal.
#[derive(Debug, Clone, Default)]
pub struct HealOptions {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Read every pack, instead of those only that look wrong or were found damaged on this machine before.
    pub read_everything: bool,
    /// Bring back versions that only the second target has.
    pub bring_back_versions: bool,
    /// Host name.
    pub host: String,
    /// Program and version.
    pub program: String,
}

/// What was done; in a dry run, what would be.
#[derive(Debug, Default, Serialize)]
pub struct HealReport {
    /// Objects that were missing and are there.
    pub brought_back: Vec<String>,
    /// Objects that were damaged and are whole.
    pub replaced: Vec<String>,
    /// Their size, bytes.
    pub healed_bytes: u64,
    /// What could not be healed; it was not touched.
    pub failures: Vec<Failure>,
    /// Versions that only the second target has.
    pub versions_elsewhere: u64,
    /// Key files that only the second target has; a removed way in stays removed.
    pub keys_elsewhere: u64,
}

/// The work on one target.
pub(crate) struct Healer {
    /// The target to be healed.
    pub first: Arc<Repository>,
    /// The one that helps.
    pub second: Arc<Repository>,
    pub checker: ObjectChecker,
    pub options: HealOptions,
    pub monitor: Monitor,
    pub control: RunControl,
    pub report: HealReport,
    /// Packs that are whole by now.
    pub healed_packs: Vec<PackId>,
}

/// Heals `first` from `second`. Nothing is written to the second.
///
/// # Errors
/// When a target does not answer, or they are not the same repository; then nothing was changed.
pub async fn run_heal(
    first: Arc<dyn Store>,
    second: Leader,
    local: Option<&mut LocalState>,
    options: HealOptions,
    clock: Arc<dyn Clock>,
    monitor: Monitor,
    control: RunControl,
) -> Result<HealReport, RunError> {
    monitor.progress.set_phase(Phase::Opening);
    let Leader { repository, unlock } = second;
    let mut healer = Healer {
        first: Arc::new(repository.at(first)),
        checker: ObjectChecker::new(Arc::clone(&repository), unlock),
        second: repository,
        options,
        monitor,
        control,
        report: HealReport::default(),
        healed_packs: Vec::new(),
    };
    entrance::open(&mut healer).await?;
    let machine = local.as_deref().map_or(Ok(String::new()), LocalState::machine)?;
    let own = if healer.options.dry_run {
        None
    } else {
        let (host, program) = (&healer.options.host, &healer.options.program);
        Some(OwnSession::begin(&healer.first, host, program, machine, clock.as_ref()).await?)
    };
    let outcome = heal(&mut healer, local.as_deref()).await;
    if let Some(own) = own {
        let ended = own.end(&healer.first).await;
        outcome?;
        ended?;
    } else {
        outcome?;
    }
    if let Some(local) = local
        && !healer.options.dry_run
    {
        local.note_read_packs(&[], &healer.healed_packs)?;
    }
    healer.monitor.progress.set_phase(Phase::Done);
    Ok(healer.report)
}

async fn heal(healer: &mut Healer, local: Option<&LocalState>) -> Result<(), RunError> {
    // Without the local copy: it may hold what the target has lost (S-5).
    let inventory = Arc::new(Inventory::take(&healer.first, None).await?);
    let noted = local.map_or(Ok(HashSet::new()), LocalState::damaged_packs)?;
    healer.monitor.progress.set_phase(Phase::Working);
    let segments = findings::segments(healer, &inventory).await?;
    let packs = findings::packs(healer, &inventory, &segments, noted).await?;
    // As a writer would: data, then what describes it, then versions (S-1).
    findings::heal_data(healer, &inventory, segments, packs).await?;
    let mut versions = findings::versions(healer, &inventory).await?;
    let mut remaining = Vec::new();
    if !healer.options.dry_run {
        remaining = lacking::bring(healer, &inventory, &mut versions).await?;
        // Packs that were counted on may have been condemned meanwhile. A plan that comes later than this waits for the own session.
        findings::refuse_during_collection(healer, &mut versions).await?;
    }
    healer.carry_out(versions.damaged).await?;
    healer.carry_out(versions.elsewhere).await?;
    for finding in remaining {
        let mut failures = healer.report.failures.iter();
        if !failures.any(|failure| failure.object == finding.object) {
            healer.fail(finding.object, finding.text);
        }
    }
    Ok(())
}

impl Healer {
    /// Fetches from the second target and puts; says what became of it.
    pub async fn carry_out(&mut self, jobs: Vec<Job>) -> Result<(), RunError> {
        let copier = Copier {
            source: Arc::clone(&self.second),
            target: Arc::clone(&self.first.store),
            checker: self.checker.clone(),
            options: FollowOptions {
                dry_run: self.options.dry_run,
                ..FollowOptions::default()
            },
            monitor: self.monitor.clone(),
        };
        for (job, outcome) in run_jobs(&copier, jobs, &self.control).await? {
            let name = job.name.to_string();
            let healed = match outcome {
                Outcome::Copied(_) => &mut self.report.brought_back,
                Outcome::Replaced(_) => &mut self.report.replaced,
                // What was replaced by another program meanwhile is right as well.
                Outcome::Same | Outcome::NotForCopies => continue,
                Outcome::Vanished => {
                    let there = self.second.store.location();
                    self.fail(name, format!("{there} does not have it either"));
                    continue;
                }
                Outcome::Failed(text) | Outcome::NotKept(text) => {
                    self.fail(name, text);
                    continue;
                }
            };
            healed.push(name.clone());
            self.report.healed_bytes += job.size_bytes;
            if job.name.kind() == ObjectKind::Pack {
                self.healed_packs.push(PackId(job.name.id()));
            }
            self.monitor.tell(
                Severity::Information,
                "Healed",
                name.as_bytes(),
                "brought back from the second destination",
            );
        }
        Ok(())
    }

    /// Whether a pack of the first target can be read and is the one described.
    pub async fn is_right(&self, name: ObjectName, described: [u8; 16]) -> Result<bool, RunError> {
        let Some(content) = get_if_readable(self.first.store.as_ref(), &name).await? else {
            return Ok(false);
        };
        let checked = self.checker.check_apart(name, content, Some(described)).await?;
        Ok(checked.is_ok_and(|proof| proof == Proof::Content))
    }

    /// Notes what cannot be healed.
    pub fn fail(&mut self, object: String, text: String) {
        self.monitor
            .tell(Severity::Error, "NotHealed", object.as_bytes(), text.clone());
        self.report.failures.push(Failure { object, text });
    }
}

/// The job of an object whose size at the second target is known, or not.
pub(crate) fn job(name: ObjectName, size_bytes: u64, described: Option<[u8; 16]>, is_there: bool) -> Job {
    Job {
        name,
        size_bytes,
        described,
        work: if is_there { Work::Replace } else { Work::Copy },
    }
}
