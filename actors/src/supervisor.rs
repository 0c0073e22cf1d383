// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The actor that owns a run: it starts the stages linked to itself, keeps the first cause of a failure, and ends when all stages have.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;

use crate::{
    control::RunControl,
    error::RunError,
    stage::{Stage, StageArguments, Worker},
};

/// A stage to be started.
pub struct StagePlan {
    /// Name, as in metrics and messages.
    pub name: &'static str,
    /// Its workers.
    pub workers: Vec<Worker>,
}

struct Supervisor;

struct SupervisorArguments {
    stages: Vec<StagePlan>,
    control: RunControl,
    ended: oneshot::Sender<()>,
}

struct SupervisorState {
    running: usize,
    control: RunControl,
    ended: Option<oneshot::Sender<()>>,
}

impl Actor for Supervisor {
    type Msg = ();
    type State = SupervisorState;
    type Arguments = SupervisorArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        arguments: SupervisorArguments,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let SupervisorArguments {
            stages,
            control,
            ended,
        } = arguments;
        let mut running = 0;
        for StagePlan { name, workers } in stages {
            let stage = StageArguments {
                name,
                workers,
                control: control.clone(),
            };
            if let Err(error) = Stage::spawn_linked(None, Stage, stage, myself.get_cell()).await {
                control.trip(RunError::Refused(format!("stage {name} did not start: {error}")));
                break;
            }
            running += 1;
        }
        let mut state = SupervisorState {
            running,
            control,
            ended: Some(ended),
        };
        state.end_if_done(&myself);
        Ok(state)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(..) => state.running -= 1,
            SupervisionEvent::ActorFailed(_, error) => {
                state.running -= 1;
                // The stage has told the control already; this covers a stage that failed outside its workers.
                state.control.trip(RunError::Refused(error.to_string()));
            }
            _ => {}
        }
        state.end_if_done(&myself);
        Ok(())
    }
}

impl SupervisorState {
    fn end_if_done(&mut self, myself: &ActorRef<()>) {
        if self.running == 0 {
            if let Some(ended) = self.ended.take() {
                // Nobody waits any more when the caller was dropped; the run is over all the same.
                let _nobody_waits = ended.send(()).is_err();
            }
            myself.stop(None);
        }
    }
}

/// Runs stages to their end. When this returns, no worker of the run is left.
///
/// # Errors
/// The first cause, when any stage failed or the run was cancelled.
pub async fn run(stages: Vec<StagePlan>, control: &RunControl) -> Result<(), RunError> {
    let (ended, end) = oneshot::channel();
    let arguments = SupervisorArguments {
        stages,
        control: control.clone(),
        ended,
    };
    let (_supervisor, handle) = Supervisor::spawn(None, Supervisor, arguments)
        .await
        .map_err(|error| RunError::Refused(format!("the run did not start: {error}")))?;
    let heard = end.await;
    handle
        .await
        .map_err(|error| RunError::Refused(format!("the run's supervisor was lost: {error}")))?;
    match control.cause() {
        Some(cause) => Err(cause),
        None if heard.is_err() || control.is_tripped() => {
            Err(RunError::Refused("the run's supervisor ended early".to_owned()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inlet::{Weighed, inlet};

    struct Number(u64);
    impl Weighed for Number {
        fn weight_bytes(&self) -> u64 {
            8
        }
    }

    fn pipeline(
        control: &RunControl,
        consumer: impl FnOnce(u64) -> Result<(), RunError> + Send + Copy + 'static,
    ) -> Vec<StagePlan> {
        let (sender, receiver) = inlet("consumer", 2, control);
        let producer =
            Worker::thread(move || (0..1_000).try_for_each(|number| sender.send_blocking(Number(number))));
        let consumer = Worker::thread(move || {
            while let Some(Number(number)) = receiver.receive_blocking()? {
                consumer(number)?;
            }
            Ok(())
        });
        vec![
            StagePlan {
                name: "producer",
                workers: vec![producer],
            },
            StagePlan {
                name: "consumer",
                workers: vec![consumer],
            },
        ]
    }

    #[tokio::test]
    async fn a_run_ends_when_its_stages_do() {
        let control = RunControl::new();
        run(pipeline(&control, |_| Ok(())), &control).await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_in_one_stage_ends_all_and_is_the_cause() {
        let control = RunControl::new();
        let stages = pipeline(&control, |number| {
            if number == 500 {
                panic!("on purpose")
            } else {
                Ok(())
            }
        });
        let error = run(stages, &control).await.unwrap_err();
        assert!(
            matches!(&error, RunError::Panicked { stage: "consumer", message } if message == "on purpose"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_first_cause_wins_over_what_follows_from_it() {
        let control = RunControl::new();
        let stages = pipeline(&control, |number| {
            if number == 10 {
                Err(RunError::Refused("first".to_owned()))
            } else {
                Ok(())
            }
        });
        assert_eq!(run(stages, &control).await.unwrap_err().to_string(), "first");
    }

    #[tokio::test]
    async fn cancel_wakes_a_full_pipeline() {
        let control = RunControl::new();
        let (sender, receiver) = inlet("stuck", 1, &control);
        let producer =
            Worker::thread(move || (0..10).try_for_each(|number| sender.send_blocking(Number(number))));
        let (waiting, waits) = oneshot::channel::<()>();
        let stuck = Worker::task(async move {
            let _first = receiver.receive().await?;
            let _told = waiting.send(()).is_ok();
            std::future::pending::<()>().await;
            Ok(())
        });
        let stuck = match stuck {
            Worker::Task(work) => {
                let control = control.clone();
                Worker::task(async move {
                    tokio::select! { outcome = work => outcome, () = control.tripped() => Err(RunError::Interrupted) }
                })
            }
            other => other,
        };
        let stages = vec![
            StagePlan {
                name: "producer",
                workers: vec![producer],
            },
            StagePlan {
                name: "stuck",
                workers: vec![stuck],
            },
        ];
        let run = tokio::spawn({
            let control = control.clone();
            async move { run(stages, &control).await }
        });
        waits.await.unwrap();
        control.cancel();
        assert!(matches!(run.await.unwrap(), Err(RunError::Cancelled)));
    }
}
