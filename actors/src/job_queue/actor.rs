// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The actor that owns the queue. A running job is a task of its own; its end comes back as a message.

use std::{collections::VecDeque, sync::Arc};

use duplicati_engine::clock::Clock;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::{broadcast, watch};

use super::{
    FIRST_JOB_ID, Job, JobContext, JobOutcome, JobRequest, JobState, QUEUED_JOBS_MAX, QueueError, QueueState,
    Work,
};
use crate::control::RunControl;

pub(super) struct QueueActor;

pub(super) enum Message {
    Enqueue(JobRequest, RpcReplyPort<Result<u64, QueueError>>),
    Stop { id: u64, reply: RpcReplyPort<bool> },
    Abort { id: u64, reply: RpcReplyPort<bool> },
    SetPaused { paused: bool, reply: RpcReplyPort<bool> },
    Close(RpcReplyPort<bool>),
    Ended { id: u64, outcome: JobOutcome },
}

pub(super) struct Arguments {
    pub clock: Arc<dyn Clock>,
    pub publish: watch::Sender<Arc<QueueState>>,
    pub finished: broadcast::Sender<Job>,
}

struct Waiting {
    job: Job,
    work: Work,
}

pub(super) struct State {
    arguments: Arguments,
    /// Without `waiting`, which is filled in when it is published.
    shown: QueueState,
    waiting: VecDeque<Waiting>,
    control: Option<RunControl>,
    next_id: u64,
    is_closing: bool,
}

impl Actor for QueueActor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            arguments,
            shown: QueueState::default(),
            waiting: VecDeque::new(),
            control: None,
            next_id: FIRST_JOB_ID,
            is_closing: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Enqueue(request, reply) => {
                let answer = state.enqueue(request);
                state.run_next(&myself);
                state.publish();
                answer_to(reply, answer);
            }
            Message::Stop { id, reply } => {
                let is_known = state.end(id, RunControl::finish_early);
                state.publish();
                answer_to(reply, is_known);
            }
            Message::Abort { id, reply } => {
                let is_known = state.end(id, RunControl::cancel);
                state.publish();
                answer_to(reply, is_known);
            }
            Message::SetPaused { paused, reply } => {
                state.shown.is_paused = paused;
                state.run_next(&myself);
                state.publish();
                answer_to(reply, true);
            }
            Message::Close(reply) => {
                state.is_closing = true;
                while let Some(waiting) = state.waiting.pop_front() {
                    state.drop_waiting(waiting.job);
                }
                if let Some(control) = &state.control {
                    control.finish_early();
                }
                state.publish();
                answer_to(reply, true);
            }
            Message::Ended { id, outcome } => {
                state.ended(id, outcome);
                state.run_next(&myself);
                state.publish();
            }
        }
        Ok(())
    }
}

fn answer_to<T: ractor::Message>(reply: RpcReplyPort<T>, answer: T) {
    // Whoever asked may have gone away.
    let _heard = reply.send(answer).is_ok();
}

impl State {
    fn enqueue(&mut self, request: JobRequest) -> Result<u64, QueueError> {
        if self.is_closing {
            return Err(QueueError::Closing);
        }
        let is_same =
            |job: &&Job| job.kind == request.kind && job.backup_id == request.backup_id && request.once;
        let waiting = self.waiting.iter().map(|waiting| &waiting.job);
        if let Some(job) = self.shown.active.iter().chain(waiting).find(is_same) {
            return Ok(job.id);
        }
        if self.waiting.len() >= QUEUED_JOBS_MAX {
            return Err(QueueError::Full);
        }
        let id = self.next_id;
        self.next_id += 1;
        let waiting = Waiting {
            job: Job {
                id,
                backup_id: request.backup_id,
                kind: request.kind,
                state: JobState::Waiting,
                started: None,
                finished: None,
                progress: Arc::default(),
            },
            work: request.work,
        };
        if request.first {
            self.waiting.push_front(waiting);
        } else {
            self.waiting.push_back(waiting);
        }
        Ok(id)
    }

    fn run_next(&mut self, myself: &ActorRef<Message>) {
        if self.shown.active.is_some() || self.shown.is_paused || self.is_closing {
            return;
        }
        let Some(Waiting { mut job, work }) = self.waiting.pop_front() else {
            return;
        };
        let control = RunControl::new();
        let context = JobContext {
            id: job.id,
            control: control.clone(),
            progress: Arc::clone(&job.progress),
        };
        let (id, myself) = (job.id, myself.clone());
        tokio::spawn(async move {
            // A task of its own, so that a panic ends the job and not this one, which reports it.
            let outcome = match tokio::spawn(work(context)).await {
                Ok(outcome) => outcome,
                Err(error) => JobOutcome::Failed {
                    message: "the job ended by a defect of the program".to_owned(),
                    detail: error.to_string(),
                },
            };
            // Without a queue nobody needs to know.
            let _told = myself.cast(Message::Ended { id, outcome }).is_ok();
        });
        job.state = JobState::Running;
        job.started = Some(self.arguments.clock.now());
        self.shown.active = Some(job);
        self.control = Some(control);
    }

    fn ended(&mut self, id: u64, outcome: JobOutcome) {
        if let Some(job) = self.shown.active.take_if(|job| job.id == id) {
            self.control = None;
            self.finish(job, outcome);
        }
    }

    fn finish(&mut self, mut job: Job, outcome: JobOutcome) {
        job.state = JobState::Ended(outcome);
        job.finished = Some(self.arguments.clock.now());
        self.shown.remember(job.clone());
        self.publish();
        // Nobody may be listening.
        let _heard = self.arguments.finished.send(job).is_ok();
    }

    fn drop_waiting(&mut self, job: Job) {
        let outcome = JobOutcome::Failed {
            message: "the job was cancelled before it began".to_owned(),
            detail: String::new(),
        };
        self.finish(job, outcome);
    }

    fn end(&mut self, id: u64, how: impl FnOnce(&RunControl)) -> bool {
        if self.shown.active.as_ref().is_some_and(|job| job.id == id) {
            if let Some(control) = &self.control {
                how(control);
            }
            return true;
        }
        if let Some(position) = self.waiting.iter().position(|waiting| waiting.job.id == id) {
            if let Some(waiting) = self.waiting.remove(position) {
                self.drop_waiting(waiting.job);
            }
            return true;
        }
        self.shown.find(id).is_some()
    }

    fn publish(&self) {
        let mut shown = self.shown.clone();
        shown.waiting = self.waiting.iter().map(|waiting| waiting.job.clone()).collect();
        self.arguments.publish.send_replace(Arc::new(shown));
    }
}
