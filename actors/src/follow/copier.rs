// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Copies objects from a repository to another target of it, several at once, each opened before it is stored.
//!
//! In: jobs from `lister`. Out: what became of each. Waits for the targets and for room in memory.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use duplicati_engine::{
    format::manifest::SnapshotObject,
    id::SnapshotId,
    repository::{Repository, RepositoryError},
    storage::{ObjectKind, ObjectName, Store, StoreError, StoreErrorKind},
};
use tokio::sync::Semaphore;

use super::{FollowOptions, Recheck};
use crate::{
    control::{RunControl, guarded},
    error::RunError,
    events::{Monitor, Progress},
    inlet::{Weighed, inlet},
    object_check::{ObjectChecker, Proof},
    stage::Worker,
    supervisor::{self, StagePlan},
};

/// Name of the stage that hands out jobs.
const LISTER: &str = "lister";
/// Name of the stage that copies.
const COPIER: &str = "copier";
/// Objects that are copied at the same time; a far target is filled by several transfers.
const COPIERS: usize = 4;
/// Bytes of objects in memory at once, KiB: a few packs of the usual size. A larger object goes alone.
const MEMORY_KIB_MAX: u32 = 192 << 10;

/// What to do with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It is not where it should go.
    Copy,
    /// It is there with another size.
    Replace,
    /// It is there with the same size.
    Recheck,
}

/// One object.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub name: ObjectName,
    /// Its size where it comes from, bytes.
    pub size_bytes: u64,
    /// Hash of what the index says about it, if it is a pack.
    pub described: Option<[u8; 16]>,
    /// What to do.
    pub work: Work,
}

impl Weighed for Job {
    fn weight_bytes(&self) -> u64 {
        self.size_bytes
    }
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is at both now.
    Copied(Proof),
    /// The copy was not right and is now.
    Replaced(Proof),
    /// Nothing was to be done.
    Same,
    /// It belongs to runs where it lies.
    NotForCopies,
    /// It is not, or no longer, where it should come from.
    Vanished,
    /// Why it was not copied.
    Failed(String),
    /// Why the target does not hold it although it was sent: nothing that relies on it may follow.
    NotKept(String),
}

/// What every worker needs.
#[derive(Clone)]
pub struct Copier {
    /// Where objects come from.
    pub source: Arc<Repository>,
    /// Where they go.
    pub target: Arc<dyn Store>,
    /// Opens objects.
    pub checker: ObjectChecker,
    /// How.
    pub options: FollowOptions,
    /// Where it is told.
    pub monitor: Monitor,
}

/// The content, or none when the medium cannot give it: that is damage of one object, and a sound copy takes its place.
pub async fn get_if_readable(store: &dyn Store, name: &ObjectName) -> Result<Option<Bytes>, StoreError> {
    match store.get(name, None).await {
        Ok(content) => Ok(Some(content)),
        Err(error) if matches!(error.kind, StoreErrorKind::Unreadable | StoreErrorKind::Truncated) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Carries out jobs; the order of the answers is not that of the jobs.
pub async fn run(
    copier: &Copier,
    jobs: Vec<Job>,
    control: &RunControl,
) -> Result<Vec<(Job, Outcome)>, RunError> {
    // Nothing to be looked at: neither target is asked.
    let (jobs, quiet): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| copier.has_work(job));
    let mut done: Vec<(Job, Outcome)> = quiet
        .into_iter()
        .map(|job| {
            let outcome = copier.without_work(&job);
            (job, outcome)
        })
        .collect();
    if jobs.is_empty() {
        return Ok(done);
    }
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let memory = Arc::new(Semaphore::new(MEMORY_KIB_MAX as usize));
    let (sender, receiver) = inlet(COPIER, COPIERS, control);
    let lister = Worker::task(async move {
        for job in jobs {
            sender.send(job).await?;
        }
        Ok(())
    });
    let copiers = (0..COPIERS)
        .map(|_| {
            let (copier, receiver, memory) = (copier.clone(), receiver.clone(), Arc::clone(&memory));
            let outcomes = Arc::clone(&outcomes);
            let work = async move {
                while let Some(job) = receiver.receive().await? {
                    // Two contents may be compared.
                    let kib = u32::try_from(job.size_bytes.saturating_mul(2) >> 10).unwrap_or(u32::MAX);
                    let _room = memory
                        .acquire_many(kib.clamp(1, MEMORY_KIB_MAX))
                        .await
                        .map_err(|_| RunError::Interrupted)?;
                    copier
                        .monitor
                        .progress
                        .set_current(job.name.to_string().as_bytes());
                    let outcome = copier.carry_out(&job).await?;
                    outcomes
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((job, outcome));
                }
                Ok(())
            };
            Worker::task(guarded(work, control.clone()))
        })
        .collect();
    drop(receiver);
    let stages = vec![
        StagePlan {
            name: COPIER,
            workers: copiers,
        },
        StagePlan {
            name: LISTER,
            workers: vec![lister],
        },
    ];
    supervisor::run(stages, control).await?;
    done.append(&mut outcomes.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(done)
}

impl Copier {
    fn has_work(&self, job: &Job) -> bool {
        match job.work {
            // Reading is no change, so a dry run may do it.
            Work::Recheck => self.options.recheck != Recheck::Names,
            Work::Copy | Work::Replace => !self.options.dry_run,
        }
    }

    fn without_work(&self, job: &Job) -> Outcome {
        match job.work {
            Work::Copy => Outcome::Copied(Proof::Content),
            Work::Replace => Outcome::Replaced(Proof::Content),
            Work::Recheck => Outcome::Same,
        }
    }

    async fn carry_out(&self, job: &Job) -> Result<Outcome, RunError> {
        match job.work {
            Work::Copy => self.copy(job).await,
            Work::Replace => self.replace(job, None).await,
            Work::Recheck => self.recheck(job).await,
        }
    }

    /// The content where it comes from, or what stands in the way.
    async fn fetch(&self, job: &Job) -> Result<Result<(Bytes, Proof), Outcome>, RunError> {
        let name = &job.name;
        let content = match self.source.store.get(name, None).await {
            Ok(content) => content,
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(Err(Outcome::Vanished)),
            Err(error) => {
                let error = RepositoryError::from(error);
                if error.is_damage() {
                    return Ok(Err(Outcome::Failed(error.to_string())));
                }
                return Err(error.into());
            }
        };
        Progress::add(&self.monitor.progress.fetched_objects, 1);
        Progress::add(&self.monitor.progress.fetched_bytes, content.len() as u64);
        if name.kind() == ObjectKind::Snapshot
            && let Ok(SnapshotObject::Fence(_)) = self.source.read_snapshot(SnapshotId(name.id()), &content)
        {
            return Ok(Err(Outcome::NotForCopies));
        }
        let checked = self.checker.check_apart(*name, content.clone(), job.described);
        Ok(match checked.await? {
            Ok(proof) => Ok((content, proof)),
            Err(error) => Err(Outcome::Failed(format!(
                "not copied, because it is damaged: {error}"
            ))),
        })
    }

    async fn copy(&self, job: &Job) -> Result<Outcome, RunError> {
        match self.fetch(job).await? {
            Err(outcome) => Ok(outcome),
            Ok((content, proof)) => self.put(job, content, Outcome::Copied(proof)).await,
        }
    }

    /// Puts the content in place of what is there; nothing goes before the replacement is at hand and known to be right.
    async fn replace(&self, job: &Job, there: Option<Bytes>) -> Result<Outcome, RunError> {
        let (content, proof) = match self.fetch(job).await? {
            Err(outcome) => return Ok(outcome),
            Ok(fetched) => fetched,
        };
        if there.as_ref() == Some(&content) {
            return Ok(Outcome::Same);
        }
        if proof == Proof::Form {
            return Ok(Outcome::Failed(
                "it differs between the two destinations, and the key at hand cannot tell which one is right"
                    .to_owned(),
            ));
        }
        if self.options.dry_run {
            return Ok(Outcome::Replaced(proof));
        }
        self.target.delete(&job.name).await?;
        self.put(job, content, Outcome::Replaced(proof)).await
    }

    async fn put(&self, job: &Job, content: Bytes, done: Outcome) -> Result<Outcome, RunError> {
        if self.options.dry_run {
            return Ok(done);
        }
        let size = content.len() as u64;
        match self.target.put(&job.name, content.clone()).await {
            Ok(()) => {}
            // The answer to an earlier try was lost, or another program copies the same.
            Err(error) if error.kind == StoreErrorKind::AlreadyExists => {
                if get_if_readable(self.target.as_ref(), &job.name).await?.as_ref() != Some(&content) {
                    return Ok(Outcome::NotKept(
                        "something else was stored under its name meanwhile; run this again".to_owned(),
                    ));
                }
            }
            Err(error) => return Err(error.into()),
        }
        Progress::add(&self.monitor.progress.stored_objects, 1);
        Progress::add(&self.monitor.progress.stored_bytes, size);
        if self.options.read_back
            && get_if_readable(self.target.as_ref(), &job.name).await?.as_ref() != Some(&content)
        {
            self.target.delete(&job.name).await?;
            return Ok(Outcome::NotKept(
                "it came back otherwise than it was sent, and was removed again".to_owned(),
            ));
        }
        Ok(done)
    }

    async fn recheck(&self, job: &Job) -> Result<Outcome, RunError> {
        let there = match get_if_readable(self.target.as_ref(), &job.name).await {
            Ok(Some(there)) => there,
            Ok(None) => return self.replace(job, None).await,
            Err(error) if error.kind == StoreErrorKind::NotFound => return self.copy(job).await,
            Err(error) => return Err(error.into()),
        };
        if self.options.recheck == Recheck::Open {
            let checked = self
                .checker
                .check_apart(job.name, there.clone(), job.described)
                .await?;
            if matches!(checked, Ok(Proof::Content)) {
                return Ok(Outcome::Same);
            }
        }
        self.replace(job, Some(there)).await
    }
}
