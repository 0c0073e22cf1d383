// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writes versions again without some of their files: those that a filter names, or those that cannot be restored any more.
//!
//! First everything is looked at and nothing written, so a version that would be left empty stops the purge before it begins. Then each changed version gets
//! a session, new directories, a segment, a manifest under the session's name, and only after that the old manifest goes (S-1). A crash in between
//! leaves both versions. File content is never touched: compaction reclaims it later.

mod tree_packs;
mod tree_rewriter;

use std::sync::Arc;

use duplicati_engine::{
    clock::Clock,
    format::{chunk_list::ChunkList, manifest::Manifest, path_text::PathText},
    id::{ChunkId, SnapshotId},
    index::{ChunkIndex, local::LocalState},
    repository::{FrameReader, Repository, RepositoryError},
    snapshot::TreeReader,
    storage::{ObjectName, StoreErrorKind},
};
use serde::Serialize;

pub use self::tree_rewriter::Removed;
use self::{
    tree_packs::TreePacks,
    tree_rewriter::{TreeRewriter, Unwanted},
};
use crate::{
    compact::sessions::{OwnSession, end_stale},
    control::RunControl,
    error::RunError,
    events::{Monitor, Phase, Severity},
    inventory::Inventory,
    verify::{LISTED_MAX, is_out_of_reach},
};

/// Opened tree frames kept, bytes.
const CACHE_BYTES: u64 = 16 << 20;

/// Decides by an absolute path; a folder's ends with `/`.
pub type PathFilter = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What to take out of versions.
#[derive(Clone)]
pub enum PurgeWhat {
    /// What a filter names.
    Matching(PathFilter),
    /// Files with content that no pack at the target holds, and what cannot be read of folders.
    Broken,
}

/// How to purge.
#[derive(Clone)]
pub struct PurgeOptions {
    /// The versions; all when none is named.
    pub snapshots: Vec<SnapshotId>,
    /// What goes.
    pub what: PurgeWhat,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Name everything that goes, instead of the first thousand.
    pub full: bool,
    /// Host name, for the session.
    pub host: String,
    /// Program and version, for the session.
    pub program: String,
}

/// One version that loses something.
#[derive(Debug, Clone, Serialize)]
pub struct PurgedSnapshot {
    /// Its name before.
    pub old: SnapshotId,
    /// Its name now; none in a dry run.
    pub new: Option<SnapshotId>,
    /// Its date.
    pub time: String,
    /// What it loses.
    pub removed: Removed,
}

/// What a purge did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PurgeReport {
    /// Nothing was changed.
    pub dry_run: bool,
    /// Versions that lose something.
    pub snapshots: Vec<PurgedSnapshot>,
    /// What goes, each path once for a version that first has it, up to a limit; folders end with `/`, and one that cannot be read stands for what was in it.
    pub removed_paths: Vec<PathText>,
    /// Packs stored.
    pub stored_packs: u64,
    /// Their size, bytes.
    pub stored_bytes: u64,
}

/// Why nothing was purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// A version would be left without files.
    #[error(
        "no file would be left in the version of {time} ({snapshot}), so nothing was changed; delete that version instead, or leave it out"
    )]
    WouldRemoveEntireFileset {
        /// The version.
        snapshot: SnapshotId,
        /// Its date.
        time: String,
    },
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<RepositoryError> for PurgeError {
    fn from(error: RepositoryError) -> Self {
        Self::Run(error.into())
    }
}

/// Purges.
///
/// # Errors
/// When a version would be left empty, with a write-only key, or when the target fails. What is done by then stays done, and running it again goes on.
pub async fn run_purge(
    repository: Arc<Repository>,
    mut local: Option<&mut LocalState>,
    options: PurgeOptions,
    clock: Arc<dyn Clock>,
    monitor: Monitor,
    control: RunControl,
) -> Result<PurgeReport, PurgeError> {
    if !repository.data.can_open() {
        let operation = "purging";
        return Err(RepositoryError::WriteOnlyKey { operation }.into());
    }
    monitor.progress.set_phase(Phase::Opening);
    let mut report = plan(&repository, local.as_deref_mut(), &options, &control).await?;
    report.dry_run = options.dry_run;
    if options.dry_run || report.snapshots.is_empty() {
        monitor.progress.set_phase(Phase::Done);
        return Ok(report);
    }
    // S-2: the sessions come before the plans that the second inventory lists.
    let machine = match local.as_deref() {
        Some(local) => local.machine().map_err(RunError::from)?,
        None => String::new(),
    };
    end_stale(&repository, None, &machine).await?;
    let mut sessions = Vec::new();
    let mut in_doubt = None;
    let mut outcome = Ok(());
    for _ in &report.snapshots {
        match OwnSession::begin(
            &repository,
            &options.host,
            &options.program,
            machine.clone(),
            clock.as_ref(),
        )
        .await
        {
            Ok(session) => sessions.push(session),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    if outcome.is_ok() {
        outcome = carry_out(
            &repository,
            local,
            &options,
            &sessions,
            &monitor,
            &control,
            &mut in_doubt,
            &mut report,
        )
        .await;
    }
    // A manifest of which nothing was heard may come to stand yet; without its session no collection would wait for it (P-10).
    for session in sessions.iter().filter(|session| Some(session.id) != in_doubt) {
        if let Err(error) = session.end(&repository).await {
            outcome = outcome.and(Err(error));
        }
    }
    monitor.progress.set_phase(Phase::Done);
    outcome?;
    Ok(report)
}

/// What the index and the target say about chunks.
struct Known {
    inventory: Inventory,
    index: Arc<ChunkIndex>,
}

impl Known {
    async fn take(repository: &Repository, local: Option<&mut LocalState>) -> Result<Self, RunError> {
        let mut inventory = Inventory::take(repository, local).await?;
        let index = Arc::new(std::mem::take(&mut inventory.index));
        Ok(Self { inventory, index })
    }

    fn reader(&self, repository: &Arc<Repository>) -> TreeReader {
        TreeReader::over(Arc::new(FrameReader::new(
            Arc::clone(repository),
            Arc::clone(&self.index),
            CACHE_BYTES,
        )))
    }

    fn is_lost(&self, id: &ChunkId) -> bool {
        is_out_of_reach(&self.index, &self.inventory, id)
    }
}

/// Looks at every chosen version and writes nothing.
async fn plan(
    repository: &Arc<Repository>,
    local: Option<&mut LocalState>,
    options: &PurgeOptions,
    control: &RunControl,
) -> Result<PurgeReport, PurgeError> {
    let known = Known::take(repository, local).await?;
    let is_lost = |id: &ChunkId| known.is_lost(id);
    let unwanted = match &options.what {
        PurgeWhat::Matching(filter) => Unwanted::Matching(filter.as_ref()),
        PurgeWhat::Broken => Unwanted::Lost(&is_lost),
    };
    let mut rewriter = TreeRewriter::new(known.reader(repository), unwanted, control);
    let mut report = PurgeReport::default();
    for (id, manifest) in &known.inventory.snapshots.snapshots {
        if !options.snapshots.is_empty() && !options.snapshots.contains(id) {
            continue;
        }
        let mut named = Vec::new();
        let room = if options.full {
            usize::MAX
        } else {
            LISTED_MAX - report.removed_paths.len()
        };
        let root = ChunkList::from(manifest.root.clone());
        let mut each = |path: &[u8]| {
            if named.len() < room {
                named.push(PathText(path.to_vec()));
            }
        };
        let outcome = rewriter.rewrite(&root, None, &mut each).await?;
        if outcome.removed.is_nothing() {
            continue;
        }
        if outcome.kept.files + outcome.kept.others == 0 {
            return Err(PurgeError::WouldRemoveEntireFileset {
                snapshot: *id,
                time: manifest.time.clone(),
            });
        }
        report.removed_paths.append(&mut named);
        report.snapshots.push(PurgedSnapshot {
            old: *id,
            new: None,
            time: manifest.time.clone(),
            removed: outcome.removed,
        });
    }
    Ok(report)
}

#[allow(
    clippy::too_many_arguments,
    reason = "called once; the run's parts as they are"
)]
async fn carry_out(
    repository: &Arc<Repository>,
    local: Option<&mut LocalState>,
    options: &PurgeOptions,
    sessions: &[OwnSession],
    monitor: &Monitor,
    control: &RunControl,
    in_doubt: &mut Option<SnapshotId>,
    report: &mut PurgeReport,
) -> Result<(), RunError> {
    let known = Known::take(repository, local).await?;
    let unreadable = known.inventory.unreadable_plans.iter().map(|(plan, _)| plan);
    if let Some(plan) = known
        .inventory
        .plans
        .iter()
        .map(|(plan, _)| plan)
        .chain(unreadable)
        .next()
    {
        // A listing in pages may show a collector neither the old manifest, gone by the page where it stood, nor the new one, on a page before.
        return Err(RunError::Refused(format!(
            "a collection is not over yet (plan {plan}), and it might miss a version that is written anew; run compact to its end (repair first, if the plan cannot be read), then purge again; nothing was changed"
        )));
    }
    monitor.progress.set_phase(Phase::Working);
    let is_lost = |id: &ChunkId| known.is_lost(id);
    let unwanted = match &options.what {
        PurgeWhat::Matching(filter) => Unwanted::Matching(filter.as_ref()),
        PurgeWhat::Broken => Unwanted::Lost(&is_lost),
    };
    let mut rewriter = TreeRewriter::new(known.reader(repository), unwanted, control);
    let mut packs = TreePacks::new(repository, &known.index, &known.inventory, monitor);
    let mut rewritten = Vec::new();
    for (place, session) in sessions.iter().enumerate() {
        let old = report.snapshots[place].old;
        // Deleted by somebody meanwhile: then there is nothing to write again.
        let Some((_, manifest)) = known
            .inventory
            .snapshots
            .snapshots
            .iter()
            .find(|(id, _)| *id == old)
        else {
            continue;
        };
        let root = ChunkList::from(manifest.root.clone());
        let outcome = rewriter.rewrite(&root, Some(&mut packs), &mut |_| {}).await?;
        if outcome.kept.files + outcome.kept.others == 0 {
            return Err(RunError::Refused(format!(
                "the version of {} lost more since it was looked at, and nothing would be left of it; nothing was changed, run it again",
                manifest.time
            )));
        }
        rewritten.push((
            place,
            session,
            Manifest {
                root: outcome.content.into(),
                totals: outcome.kept,
                ..manifest.clone()
            },
        ));
    }
    packs.finish().await?;
    report.stored_packs = packs.stored_packs;
    report.stored_bytes = packs.stored_bytes;
    monitor.progress.set_phase(Phase::Committing);
    for (place, session, manifest) in rewritten {
        control.check()?;
        let snapshot = &mut report.snapshots[place];
        *in_doubt = Some(session.id);
        commit(repository, session, &manifest).await?;
        *in_doubt = None;
        repository.store.delete(&ObjectName::from(snapshot.old)).await?;
        snapshot.new = Some(session.id);
        let name = session.id.to_string();
        monitor.tell(
            Severity::Information,
            "VersionRewritten",
            name.as_bytes(),
            format!("the version of {} was written again", manifest.time),
        );
    }
    Ok(())
}

/// Puts a manifest under its session's name; whoever fenced the session has won (S-3).
async fn commit(repository: &Repository, session: &OwnSession, manifest: &Manifest) -> Result<(), RunError> {
    match repository.put_manifest(session.id, manifest).await {
        Ok(_) => Ok(()),
        Err(RepositoryError::Store(error)) if error.kind == StoreErrorKind::AlreadyExists => {
            Err(RunError::Refused(
                "another machine took this run for dead and ended it; the versions that are not done stay as they were, run it again".to_owned(),
            ))
        }
        Err(error) => Err(error.into()),
    }
}
