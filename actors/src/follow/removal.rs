// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Removes from the second target what the first has let go, and nothing that it has lost.
//!
//! A listing cannot tell the two apart. So nothing goes unless the first target is whole in its structure: then every version there has all it needs, and
//! what it does not list is needed by none of them. Copying takes long, and meanwhile both may change: so both are listed again right before, and only
//! what the first lacks in both listings goes, unless the second listing shows that somebody worked there. A version that is newer than
//! the newest that both had before anything was copied is never taken for one that was let go: the first may be an old state of itself that went on
//! from there, or somebody backed up to the second.

use std::{collections::HashSet, sync::Arc};

use duplicati_engine::{
    clock::Clock,
    format::manifest::SnapshotObject,
    id::SnapshotId,
    index::local::LocalState,
    mirror::plan,
    repository::Repository,
    storage::{ObjectInfo, ObjectKind, ObjectName, Store},
};

use super::{FollowOptions, FollowReport, SourceState, get_if_readable, listing};
use crate::{
    control::RunControl,
    error::RunError,
    events::Monitor,
    verify::{CheckOptions, run_check},
};

const WRITERS: &str = "somebody backs up to the second destination or compacts it, or did and was cut off; compact it to end that";

/// What removing needs.
pub struct Removal<'a> {
    /// The first target.
    pub repository: &'a Arc<Repository>,
    /// The second.
    pub target: &'a Arc<dyn Store>,
    /// Whether the second was a repository when this began.
    pub had_config: bool,
    /// The size of its config now.
    pub config: Option<u64>,
    /// Date of the newest version that both had before anything was copied.
    pub newest_of_both: Option<&'a str>,
    /// How.
    pub options: FollowOptions,
    /// Where it is told.
    pub monitor: &'a Monitor,
    /// Stops it.
    pub control: &'a RunControl,
}

impl Removal<'_> {
    /// Removes what may go of `extra`, which comes in the order of removal.
    pub async fn carry_out(
        &self,
        mut extra: Vec<ObjectInfo>,
        mut local: Option<&mut LocalState>,
        clock: Arc<dyn Clock>,
        report: &mut FollowReport,
    ) -> Result<(), RunError> {
        report.extra = extra.len() as u64;
        if extra.is_empty() || !self.options.remove {
            return Ok(());
        }
        let mut reason = self
            .reason_to_keep_all(local.as_deref_mut(), clock, report)
            .await?;
        if reason.is_none() {
            reason = self.changed_meanwhile(&mut extra, local).await?;
        }
        if let Some(reason) = reason {
            report.kept_because.push(reason);
            return Ok(());
        }
        let kept = self.versions_to_keep(&mut extra, report).await?;
        if kept > 0 {
            report.kept_because.push(format!(
                "with {kept} versions that stay at the second destination stay all data and key files there"
            ));
            // Their way in as well: a first destination that was set back may have lost key files that were added since.
            extra.retain(|info| info.name.kind() == ObjectKind::Snapshot);
        }
        for info in extra {
            self.control.check()?;
            if !self.options.dry_run {
                self.target.delete(&info.name).await?;
            }
            report.removed.push(info.name.to_string());
            report.extra -= 1;
        }
        Ok(())
    }

    async fn reason_to_keep_all(
        &self,
        local: Option<&mut LocalState>,
        clock: Arc<dyn Clock>,
        report: &FollowReport,
    ) -> Result<Option<String>, RunError> {
        let reason = |text: &str| Ok(Some(text.to_owned()));
        if !report.failures.is_empty() {
            return reason("not everything could be copied");
        }
        if !self.repository.data.can_open() {
            return reason("a write-only key cannot tell whether the first destination is whole");
        }
        if !self.had_config {
            return reason("the second destination was not a backup when this began");
        }
        if self.has_writers().await? {
            return reason(WRITERS);
        }
        let check = run_check(
            Arc::clone(self.repository),
            local,
            CheckOptions::default(),
            clock,
            self.monitor.clone(),
            self.control.clone(),
        )
        .await?;
        if !check.is_clean() {
            return reason("the first destination is damaged, so what it does not have may be lost there");
        }
        Ok(None)
    }

    /// Whether somebody writes to the second target, or was cut off.
    async fn has_writers(&self) -> Result<bool, RunError> {
        for kind in [ObjectKind::Session, ObjectKind::Plan] {
            if !self.target.list(kind).await?.objects.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lists both once more: leaves in `extra` what is still extra, or says why nothing may go.
    async fn changed_meanwhile(
        &self,
        extra: &mut Vec<ObjectInfo>,
        local: Option<&mut LocalState>,
    ) -> Result<Option<String>, RunError> {
        let reason = |text: &str| Ok(Some(text.to_owned()));
        // Sessions before versions: whoever has ended its session since then has put its version before.
        if self.has_writers().await? {
            return reason(WRITERS);
        }
        let there =
            listing::of_target(self.target, self.config, self.options.dry_run, &mut Vec::new()).await?;
        let state = SourceState::take(self.repository, local).await?;
        let now = plan(state.objects, there, false);
        // A dry run has copied nothing, so everything is still to be copied.
        let is_behind = !now.copy.is_empty() || !now.replace.is_empty() || !now.newer.is_empty();
        if is_behind && !self.options.dry_run {
            return reason("one of the destinations was changed while this ran; run it again");
        }
        let known: HashSet<ObjectName> = extra.iter().map(|info| info.name).collect();
        let still: HashSet<ObjectName> = now.remove.iter().map(|info| info.name).collect();
        if !still.is_subset(&known) {
            return reason(
                "the second destination has files that were not there or not extra when this began; run it again",
            );
        }
        extra.retain(|info| still.contains(&info.name));
        Ok(None)
    }

    /// Takes the versions that must stay out of `extra`, and says how many stay.
    async fn versions_to_keep(
        &self,
        extra: &mut Vec<ObjectInfo>,
        report: &mut FollowReport,
    ) -> Result<usize, RunError> {
        let mut going = Vec::with_capacity(extra.len());
        let mut kept = 0;
        for info in extra.drain(..) {
            if info.name.kind() != ObjectKind::Snapshot {
                going.push(info);
                continue;
            }
            let Some(sealed) = get_if_readable(self.target.as_ref(), &info.name).await? else {
                kept += 1;
                report
                    .kept_because
                    .push(format!("{} cannot be read at the second destination", info.name));
                continue;
            };
            let read = self.repository.read_snapshot(SnapshotId(info.name.id()), &sealed);
            let why = match read {
                Ok(SnapshotObject::Manifest(manifest)) => match self.newest_of_both {
                    Some(newest) if manifest.time.as_str() < newest => None,
                    _ => Some(format!(
                        "{} of {} is newer than every version that both destinations had: the first may have been set back, or somebody backed up \
                         to the second; if it is to go, delete it at the second destination",
                        info.name, manifest.time
                    )),
                },
                Ok(SnapshotObject::Fence(_)) => {
                    // Costs a few bytes and keeps a name taken.
                    continue;
                }
                Err(error) => Some(error.to_string()),
            };
            match why {
                None => going.push(info),
                Some(why) => {
                    kept += 1;
                    report.kept_because.push(why);
                }
            }
        }
        *extra = going;
        Ok(kept)
    }
}
