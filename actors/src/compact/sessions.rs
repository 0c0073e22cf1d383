// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sessions as a collector sees them: its own, and ending those of others (S-2 to S-4).

use std::collections::HashSet;

use duplicati_engine::{
    clock::{self, Clock, Timestamp},
    crypto::secret::random_id,
    format::{
        manifest::{SnapshotObject, encode_json},
        session::{Fence, Session},
    },
    id::{PlanId, SnapshotId},
    repository::{Repository, RepositoryError, SnapshotListing},
    storage::{ObjectKind, ObjectName, StoreErrorKind},
};
use serde::Serialize;

use super::CompactOptions;
use crate::{
    error::RunError,
    inventory::{list_plans, list_sessions},
};

/// Somebody who may still be writing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenSession {
    /// Its name, and that of the snapshot it may commit.
    pub id: SnapshotId,
    /// Where it runs.
    pub host: String,
    /// Since when, by its own clock.
    pub started: String,
}

/// The session of whoever writes packs here: other collectors leave alone what it has stored and not described yet.
pub struct OwnSession {
    /// Its name.
    pub id: SnapshotId,
    machine: String,
}

/// Name of a session's object.
pub fn session_name(id: SnapshotId) -> ObjectName {
    ObjectName::of(ObjectKind::Session, id.0)
}

/// Puts a session object under a name that nobody used before.
///
/// # Errors
/// When the target fails.
pub async fn put_session(
    repository: &Repository,
    id: SnapshotId,
    host: &str,
    program: &str,
    machine: &str,
    started: Timestamp,
) -> Result<(), RunError> {
    let session = Session {
        version: 1,
        repository_id: repository.config.repository_id,
        started: clock::text(started),
        host: host.to_owned(),
        program: program.to_owned(),
        machine: machine.to_owned(),
    };
    let content = encode_json(&session);
    repository
        .put_object(&session_name(id), &repository.index, &content)
        .await?;
    Ok(())
}

impl OwnSession {
    /// Puts the session object. Plans are listed after this (S-2).
    ///
    /// # Errors
    /// When the target fails.
    pub async fn begin(
        repository: &Repository,
        host: &str,
        program: &str,
        machine: String,
        clock: &dyn Clock,
    ) -> Result<Self, RunError> {
        let id = SnapshotId(random_id()?);
        put_session(repository, id, host, program, &machine, clock.now()).await?;
        Ok(Self { id, machine })
    }

    /// Ends this session by its own fence, once everything written is described. From here on nobody else can end it.
    ///
    /// # Errors
    /// When somebody has fenced it already: then what it wrote may be gone, and it must delete nothing.
    pub async fn seal_off(&self, repository: &Repository) -> Result<(), RunError> {
        match put_fence(repository, self.id, PlanId([0; 16])).await? {
            FenceOutcome::Put => Ok(()),
            FenceOutcome::Taken => Err(RunError::Refused(
                "another machine took this run for dead and ended it; nothing was deleted, run it again"
                    .to_owned(),
            )),
        }
    }

    /// Removes the session object and its own fence. Nobody else ever writes under this name.
    ///
    /// # Errors
    /// When the target fails.
    pub async fn end(&self, repository: &Repository) -> Result<(), RunError> {
        repository.store.delete(&session_name(self.id)).await?;
        match repository.get_snapshot(self.id).await {
            // Only the own fence goes: a manifest or another's fence stays.
            Ok(SnapshotObject::Fence(fence)) if fence.plan == PlanId([0; 16]) => {
                repository.store.delete(&ObjectName::from(self.id)).await?;
            }
            Ok(_) | Err(_) => {}
        }
        Ok(())
    }
}

/// What became of a fence.
pub enum FenceOutcome {
    /// It stands: nothing can be committed under the name.
    Put,
    /// A manifest or another fence stands there.
    Taken,
}

/// Puts a fence under a session's name.
///
/// # Errors
/// When the target fails.
pub async fn put_fence(
    repository: &Repository,
    session: SnapshotId,
    plan: PlanId,
) -> Result<FenceOutcome, RunError> {
    let fence = Fence {
        version: 1,
        kind: "fence".to_owned(),
        id: Some(session),
        plan,
    };
    let name = ObjectName::from(session);
    match repository
        .put_object(&name, &repository.index, &encode_json(&fence))
        .await
    {
        Ok(_) => Ok(FenceOutcome::Put),
        Err(RepositoryError::Store(error)) if error.kind == StoreErrorKind::AlreadyExists => {
            Ok(FenceOutcome::Taken)
        }
        Err(error) => Err(error.into()),
    }
}

/// What became of the other sessions.
pub struct Resolution {
    /// Those that are still open.
    pub open: Vec<OpenSession>,
    /// Those that were ended here.
    pub fenced: u64,
    /// Those that had ended.
    pub ended: Vec<OpenSession>,
}

/// Ends every session that can be taken for dead. Called after the plan is stored, so whoever is not listed here sees the plan.
pub async fn end_all(
    repository: &Repository,
    own: &OwnSession,
    plan: PlanId,
    options: &CompactOptions,
    clock: &dyn Clock,
) -> Result<Resolution, RunError> {
    let sessions = list_sessions(repository).await?;
    let ended = ended_sessions(repository).await?;
    let is_exclusive_put = repository.store.capability().put_if_absent;
    let mut resolution = Resolution {
        open: Vec::new(),
        fenced: 0,
        ended: Vec::new(),
    };
    for (id, session) in sessions {
        if id == own.id {
            continue;
        }
        if ended.contains(&id) {
            resolution.ended.push(describe(id, session));
            continue;
        }
        let is_over = options.exclusive
            || match &session {
                Err(error) if error.is_newer() => false,
                // A damaged session says nothing; ending it costs its owner another try, never data.
                Err(_) => is_exclusive_put,
                Ok(session) if !own.machine.is_empty() && session.machine == own.machine => true,
                Ok(session) => is_exclusive_put && is_old(session, options, clock),
            };
        if !is_over {
            resolution.open.push(describe(id, session));
        } else if matches!(put_fence(repository, id, plan).await?, FenceOutcome::Put) {
            resolution.fenced += 1;
        }
    }
    Ok(resolution)
}

fn describe(id: SnapshotId, session: Result<Session, RepositoryError>) -> OpenSession {
    let (host, started) = session.map_or_else(
        |error| (String::new(), error.to_string()),
        |session| (session.host, session.started),
    );
    OpenSession { id, host, started }
}

/// Sessions that had ended and under whose names nothing stands any more: their manifests were deleted since, and whoever has not heard that its commit
/// succeeded may try it again.
pub fn reopened(ended: Vec<OpenSession>, now: &SnapshotListing) -> Vec<OpenSession> {
    let taken: HashSet<SnapshotId> = now
        .snapshots
        .iter()
        .map(|(id, _)| *id)
        .chain(now.fences.iter().copied())
        .chain(now.unreadable.iter().map(|(id, _)| *id))
        .collect();
    ended
        .into_iter()
        .filter(|session| !taken.contains(&session.id))
        .collect()
}

fn is_old(session: &Session, options: &CompactOptions, clock: &dyn Clock) -> bool {
    clock::parse_text(&session.started).is_none_or(|started| {
        clock.now().seconds.saturating_sub(started.seconds) > options.session_age_seconds_max
    })
}

/// Ends sessions of this local database that an earlier run left behind: a fence under the name, then the session object goes. Returns how many are over now.
///
/// # Errors
/// When the target fails.
pub async fn end_stale(
    repository: &Repository,
    own: Option<SnapshotId>,
    machine: &str,
) -> Result<u64, RunError> {
    // Without exclusive puts a fence would not keep its owner from committing.
    if machine.is_empty() || !repository.store.capability().put_if_absent {
        return Ok(0);
    }
    let mut count = 0;
    for (id, session) in list_sessions(repository).await? {
        if Some(id) == own || !session.is_ok_and(|session| session.machine == machine) {
            continue;
        }
        put_fence(repository, id, PlanId([0; 16])).await?;
        // A manifest under the name has ended it as well, but is no fence (P-11).
        if let Ok(SnapshotObject::Fence(_)) = repository.get_snapshot(id).await {
            repository.store.delete(&session_name(id)).await?;
            count += 1;
        }
    }
    Ok(count)
}

/// Names under which a manifest or fence stands.
async fn ended_sessions(repository: &Repository) -> Result<HashSet<SnapshotId>, RunError> {
    let listing = repository.store.list(ObjectKind::Snapshot).await?;
    Ok(listing
        .objects
        .iter()
        .map(|info| SnapshotId(info.name.id()))
        .collect())
}

/// Removes session objects behind fences. Fences stay: whoever sleeps behind one may wake up at any time. A manifest is no fence: it can be deleted, and
/// then only the session object says that somebody may still try to put it again (P-11).
pub async fn tidy(repository: &Repository, own: &OwnSession) -> Result<u64, RunError> {
    let (plans, unreadable, _) = list_plans(repository).await?;
    if !plans.is_empty() || !unreadable.is_empty() {
        // A plan that waits asks later which sessions have ended.
        return Ok(0);
    }
    let sessions = list_sessions(repository).await?;
    let ended = ended_sessions(repository).await?;
    let mut removed = 0;
    for (id, session) in sessions {
        if id == own.id || session.is_err() || !ended.contains(&id) {
            continue;
        }
        if let Ok(SnapshotObject::Fence(_)) = repository.get_snapshot(id).await {
            repository.store.delete(&session_name(id)).await?;
            removed += 1;
        }
    }
    Ok(removed)
}
