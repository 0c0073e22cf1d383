// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The queue of jobs: strictly one runs at a time, in order, so that two can never meet on one repository or one local database.
//!
//! Jobs are futures; what they do is not known here. The state is published, so looking at it never waits for a running job.

mod actor;
mod state;
#[cfg(test)]
mod tests;

use std::{future::Future, pin::Pin, sync::Arc};

use duplicati_engine::clock::Clock;
use ractor::{ActorRef, rpc::CallResult};
use tokio::sync::{broadcast, watch};

use crate::{control::RunControl, error::RunError, events::Progress};
use actor::Message;
pub use state::{Job, JobState, QueueState};

/// Jobs that wait at most; more means that something asks in a loop.
pub const QUEUED_JOBS_MAX: usize = 1_000;
/// Finished jobs that are remembered, for clients that ask how theirs ended.
pub const FINISHED_JOBS_MAX: usize = 100;
/// The first number given to a job.
const FIRST_JOB_ID: u64 = 2;
/// Finished jobs that a slow listener may be behind.
const FINISHED_CHANNEL_JOBS: usize = 64;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    Completed,
    Failed { message: String, detail: String },
}

/// What a job gets.
pub struct JobContext {
    pub id: u64,
    /// Stops it.
    pub control: RunControl,
    /// Where it counts.
    pub progress: Arc<Progress>,
}

/// A job's work.
pub type JobFuture = Pin<Box<dyn Future<Output = JobOutcome> + Send>>;
type Work = Box<dyn FnOnce(JobContext) -> JobFuture + Send>;

/// A job to be queued.
pub struct JobRequest {
    /// Whose it is.
    pub backup_id: Option<String>,
    /// What it does, for people.
    pub kind: &'static str,
    /// Before all others that wait.
    pub first: bool,
    /// When a job of the same kind and backup waits or runs, that one is meant.
    pub once: bool,
    work: Work,
}

impl JobRequest {
    /// A job of a backup.
    pub fn new<F>(
        backup_id: Option<String>,
        kind: &'static str,
        work: impl FnOnce(JobContext) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = JobOutcome> + Send + 'static,
    {
        Self {
            backup_id,
            kind,
            first: false,
            once: false,
            work: Box::new(move |context| Box::pin(work(context))),
        }
    }

    /// Puts it before all that wait.
    #[must_use]
    pub fn first(mut self, first: bool) -> Self {
        self.first = first;
        self
    }

    /// Lets one of the same kind and backup stand for it.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    #[error("{QUEUED_JOBS_MAX} jobs are waiting already; try again when some have run")]
    Full,
    #[error("the program is about to end")]
    Closing,
}

/// The handle of the queue.
#[derive(Clone)]
pub struct JobQueue {
    actor: ActorRef<Message>,
    state: watch::Receiver<Arc<QueueState>>,
    finished: broadcast::Sender<Job>,
}

impl JobQueue {
    /// Starts an empty queue.
    ///
    /// # Errors
    /// When the actor does not start.
    pub async fn start(clock: Arc<dyn Clock>) -> Result<Self, RunError> {
        let (publish, state) = watch::channel(Arc::new(QueueState::default()));
        let (finished, _) = broadcast::channel(FINISHED_CHANNEL_JOBS);
        let arguments = actor::Arguments {
            clock,
            publish,
            finished: finished.clone(),
        };
        let (actor, _ends_with_the_program) = ractor::Actor::spawn(None, actor::QueueActor, arguments)
            .await
            .map_err(|error| RunError::Refused(format!("the queue of jobs did not start: {error}")))?;
        Ok(Self {
            actor,
            state,
            finished,
        })
    }

    /// Queues a job and gives its number.
    ///
    /// # Errors
    /// When too many wait, or the program ends.
    pub async fn enqueue(&self, request: JobRequest) -> Result<u64, QueueError> {
        match self
            .actor
            .call(|reply| Message::Enqueue(request, reply), None)
            .await
        {
            Ok(CallResult::Success(answer)) => answer,
            _ => Err(QueueError::Closing),
        }
    }

    /// Asks a job to end soon and keep what it has; one that waits is taken out. Says whether there is such a job.
    pub async fn stop(&self, id: u64) -> bool {
        self.tell(|reply| Message::Stop { id, reply }).await
    }

    /// Ends a job now. Says whether there is such a job.
    pub async fn abort(&self, id: u64) -> bool {
        self.tell(|reply| Message::Abort { id, reply }).await
    }

    /// Starts no further job until [`resume`](Self::resume).
    pub async fn pause(&self) {
        self.tell(|reply| Message::SetPaused { paused: true, reply })
            .await;
    }

    /// Goes on.
    pub async fn resume(&self) {
        self.tell(|reply| Message::SetPaused { paused: false, reply })
            .await;
    }

    /// Takes no more jobs, drops those that wait, and asks the running one to end soon.
    pub async fn close(&self) {
        self.tell(Message::Close).await;
    }

    async fn tell(&self, message: impl FnOnce(ractor::RpcReplyPort<bool>) -> Message) -> bool {
        matches!(
            self.actor.call(message, None).await,
            Ok(CallResult::Success(true))
        )
    }

    /// The present state.
    pub fn state(&self) -> Arc<QueueState> {
        Arc::clone(&self.state.borrow())
    }

    /// Follows the state.
    pub fn watch(&self) -> watch::Receiver<Arc<QueueState>> {
        self.state.clone()
    }

    /// Hears of each job that ends.
    pub fn finished(&self) -> broadcast::Receiver<Job> {
        self.finished.subscribe()
    }

    /// Waits until nothing runs.
    pub async fn idle(&self) {
        let mut state = self.state.clone();
        // The sender lives as long as the actor, which lives as long as this handle.
        let _gone = state.wait_for(|state| state.active.is_none()).await.is_err();
    }
}
