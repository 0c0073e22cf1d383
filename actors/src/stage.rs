// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The actor that owns a stage: it starts the stage's workers, hears how each ended, and ends itself with the last.
//!
//! CPU work and file calls run on named threads of the stage, network work in tasks; the actor only hears about them, so its mailbox stays
//! short and no handler blocks. A panic in a worker becomes a message like any other failure.

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin, time::Duration};

use futures_util::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::{control::RunControl, error::RunError, metrics};

type Outcome = Result<(), RunError>;

/// One worker of a stage.
pub enum Worker {
    /// Runs on a thread of its own.
    Thread(Box<dyn FnOnce() -> Outcome + Send>),
    /// Runs as a task of the runtime.
    Task(Pin<Box<dyn Future<Output = Outcome> + Send>>),
}

impl Worker {
    /// A worker on a thread.
    pub fn thread(work: impl FnOnce() -> Outcome + Send + 'static) -> Self {
        Self::Thread(Box::new(work))
    }

    /// A worker as a task.
    pub fn task(work: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self::Task(Box::pin(work))
    }
}

/// The actor.
pub struct Stage;

/// What a stage's actor hears.
pub enum StageMessage {
    /// A worker is done.
    WorkerEnded(Outcome),
}

/// What a stage is made of.
pub struct StageArguments {
    /// Name, as in metrics and messages.
    pub name: &'static str,
    /// Its workers.
    pub workers: Vec<Worker>,
    /// The run.
    pub control: RunControl,
}

/// Workers still at work.
pub struct StageState {
    running: usize,
    failed: Option<RunError>,
    control: RunControl,
}

impl Actor for Stage {
    type Msg = StageMessage;
    type State = StageState;
    type Arguments = StageArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<StageMessage>,
        arguments: StageArguments,
    ) -> Result<StageState, ActorProcessingErr> {
        let StageArguments {
            name,
            workers,
            control,
        } = arguments;
        let running = workers.len();
        for worker in workers {
            start(name, worker, myself.clone())?;
        }
        Ok(StageState {
            running,
            failed: None,
            control,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<StageMessage>,
        message: StageMessage,
        state: &mut StageState,
    ) -> Result<(), ActorProcessingErr> {
        let StageMessage::WorkerEnded(outcome) = message;
        state.running -= 1;
        if let Err(error) = outcome {
            // The others must wake now; the stage itself ends only when its last worker has.
            state.control.trip(error.clone());
            state.failed.get_or_insert(error);
        }
        if state.running > 0 {
            return Ok(());
        }
        match state.failed.take() {
            Some(error) => Err(Box::new(error)),
            None => {
                myself.stop(None);
                Ok(())
            }
        }
    }
}

fn start(
    name: &'static str,
    worker: Worker,
    stage: ActorRef<StageMessage>,
) -> Result<(), ActorProcessingErr> {
    let report = move |outcome: Result<Outcome, Box<dyn std::any::Any + Send>>| {
        let outcome = outcome.unwrap_or_else(|panic| Err(panicked(name, panic.as_ref())));
        // The stage outlives its workers, so this fails only when the whole runtime goes down.
        if stage.cast(StageMessage::WorkerEnded(outcome)).is_err() {
            tracing::debug!(stage = name, "a worker ended after its stage");
        }
    };
    match worker {
        Worker::Thread(work) => {
            std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                let outcome = std::panic::catch_unwind(AssertUnwindSafe(work));
                metrics::worked(name, thread_cpu_time());
                report(outcome);
            })?;
        }
        Worker::Task(work) => {
            tokio::spawn(async move { report(AssertUnwindSafe(work).catch_unwind().await) });
        }
    }
    Ok(())
}

/// Processor time of this thread since it began.
fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

fn panicked(stage: &'static str, panic: &(dyn std::any::Any + Send)) -> RunError {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned());
    RunError::Panicked { stage, message }
}
