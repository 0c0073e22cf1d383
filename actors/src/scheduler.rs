// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The actor that wakes jobs when they are due.
//!
//! It keeps nothing that matters: at each look it reads the schedules anew, starts what is due, publishes what comes next, and sleeps until
//! then, or until it is woken. So a clock that jumps and a machine that slept need no special case.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use duplicati_engine::clock::Clock;
use jiff::{Timestamp, tz::TimeZone};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    error::RunError,
    schedule::{Schedule, seconds_until},
};

/// Longest sleep, seconds: a clock that was set forward is noticed this soon.
const SLEEP_SECONDS_MAX: u64 = 300;

/// A future of the port.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Schedules with the backup that each belongs to, and the zone of their wall clock.
pub type Schedules = (Vec<(String, Schedule)>, TimeZone);

/// What the scheduler needs of the rest of the program.
pub trait SchedulePort: Send + Sync + 'static {
    /// All schedules. An error is logged, and looked at again later.
    fn schedules(&self) -> PortFuture<'_, Result<Schedules, String>>;

    /// Queues a run that is due, unless one of this backup runs or waits. `next` is to be stored when it has ended.
    fn start<'a>(&'a self, backup_id: &'a str, next: Timestamp) -> PortFuture<'a, ()>;
}

/// Next runs, soonest first.
pub type Proposed = Arc<Vec<(String, Timestamp)>>;

/// The handle of the scheduler.
#[derive(Clone)]
pub struct Scheduler {
    actor: ActorRef<Message>,
    proposed: watch::Receiver<Proposed>,
}

/// Messages to the actor.
pub enum Message {
    Look(Option<RpcReplyPort<()>>),
}

impl Scheduler {
    /// Starts it; the first look is at once.
    ///
    /// # Errors
    /// When the actor does not start.
    pub async fn start(port: Arc<dyn SchedulePort>, clock: Arc<dyn Clock>) -> Result<Self, RunError> {
        let (publish, proposed) = watch::channel(Proposed::default());
        let arguments = Arguments { port, clock, publish };
        let (actor, _ends_with_the_program) = Actor::spawn(None, SchedulerActor, arguments)
            .await
            .map_err(|error| RunError::Refused(format!("the scheduler did not start: {error}")))?;
        let scheduler = Self { actor, proposed };
        scheduler.wake();
        Ok(scheduler)
    }

    /// Looks again soon: something about the schedules has changed.
    pub fn wake(&self) {
        // Without an actor the program is ending.
        let _told = self.actor.cast(Message::Look(None)).is_ok();
    }

    /// Looks again, and returns when that is done.
    pub async fn look(&self) {
        let _ended = self
            .actor
            .call(|reply| Message::Look(Some(reply)), None)
            .await
            .is_err();
    }

    /// What comes next.
    pub fn proposed(&self) -> Proposed {
        Arc::clone(&self.proposed.borrow())
    }

    /// Follows what comes next.
    pub fn watch(&self) -> watch::Receiver<Proposed> {
        self.proposed.clone()
    }

    /// Starts nothing any more.
    pub fn stop(&self) {
        self.actor.stop(None);
    }
}

struct SchedulerActor;

struct Arguments {
    port: Arc<dyn SchedulePort>,
    clock: Arc<dyn Clock>,
    publish: watch::Sender<Proposed>,
}

struct State {
    arguments: Arguments,
    sleeping: Option<AbortHandle>,
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(sleeping) = &self.sleeping {
            sleeping.abort();
        }
    }
}

impl Actor for SchedulerActor {
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
            sleeping: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        Message::Look(reply): Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let sleep = state.look().await;
        if let Some(sleeping) = state.sleeping.take() {
            sleeping.abort();
        }
        let task = tokio::spawn(async move {
            tokio::time::sleep(sleep).await;
            let _told = myself.cast(Message::Look(None)).is_ok();
        });
        state.sleeping = Some(task.abort_handle());
        if let Some(reply) = reply {
            let _heard = reply.send(()).is_ok();
        }
        Ok(())
    }
}

impl State {
    /// One look; returns how long to sleep after it.
    async fn look(&self) -> Duration {
        let Arguments { port, clock, publish } = &self.arguments;
        let longest = Duration::from_secs(SLEEP_SECONDS_MAX);
        let (schedules, zone) = match port.schedules().await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "failed to read the schedules; they are read again in {SLEEP_SECONDS_MAX} seconds");
                return longest;
            }
        };
        let present = clock.now();
        let now =
            Timestamp::new(present.seconds, present.nanoseconds as i32).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut proposed = Vec::with_capacity(schedules.len());
        for (backup_id, schedule) in schedules {
            match schedule.due(now, &zone) {
                Some(due) => {
                    if due.now {
                        port.start(&backup_id, due.next).await;
                    }
                    proposed.push((backup_id, due.next));
                }
                None => tracing::warn!(backup = %backup_id, "the schedule has no time that can be reached"),
            }
        }
        proposed.sort_by_key(|(_, next)| *next);
        let sleep = proposed
            .first()
            .and_then(|(_, next)| seconds_until(now, *next))
            // One more, because the whole second has begun.
            .map_or(longest, |seconds| Duration::from_secs(seconds + 1).min(longest));
        publish.send_replace(Arc::new(proposed));
        sleep
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::schedule::Repeat;

    /// A clock that tests set; the one of the test kit lives in a crate that depends on this one.
    struct SetClock(Mutex<Timestamp>);

    impl SetClock {
        fn at(text: &str) -> Arc<Self> {
            Arc::new(Self(Mutex::new(time(text))))
        }

        fn set(&self, text: &str) {
            *self.0.lock().unwrap() = time(text);
        }
    }

    impl Clock for SetClock {
        fn now(&self) -> duplicati_engine::clock::Timestamp {
            duplicati_engine::clock::Timestamp::from_seconds(self.0.lock().unwrap().as_second())
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[derive(Default)]
    struct FakePort {
        schedules: Mutex<Vec<(String, Schedule)>>,
        started: Mutex<Vec<(String, Timestamp)>>,
    }

    impl SchedulePort for FakePort {
        fn schedules(&self) -> PortFuture<'_, Result<Schedules, String>> {
            let schedules = self.schedules.lock().unwrap().clone();
            Box::pin(async move { Ok((schedules, TimeZone::UTC)) })
        }

        fn start<'a>(&'a self, backup_id: &'a str, next: Timestamp) -> PortFuture<'a, ()> {
            self.started.lock().unwrap().push((backup_id.to_owned(), next));
            // What the end of the job does.
            let mut schedules = self.schedules.lock().unwrap();
            for (id, schedule) in schedules.iter_mut() {
                if id == backup_id {
                    schedule.last_run = Some(schedule.time);
                    schedule.time = next;
                }
            }
            Box::pin(async {})
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn daily(first: &str) -> Schedule {
        Schedule {
            time: time(first),
            repeat: Repeat::parse("1D").unwrap(),
            last_run: None,
            allowed_days: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_job_starts_when_its_time_has_come_and_not_before() {
        let clock = SetClock::at("2026-03-01T12:00:00Z");
        let port = Arc::new(FakePort::default());
        port.schedules
            .lock()
            .unwrap()
            .push(("1".to_owned(), daily("2026-03-01T13:00:00Z")));
        let scheduler = Scheduler::start(port.clone(), clock.clone()).await.unwrap();
        scheduler.look().await;
        assert!(port.started.lock().unwrap().is_empty());
        assert_eq!(
            *scheduler.proposed(),
            [("1".to_owned(), time("2026-03-01T13:00:00Z"))]
        );
        clock.set("2026-03-01T13:00:00Z");
        scheduler.look().await;
        scheduler.look().await;
        assert_eq!(
            *port.started.lock().unwrap(),
            [("1".to_owned(), time("2026-03-02T13:00:00Z"))]
        );
    }

    #[tokio::test]
    async fn a_machine_that_slept_for_days_catches_up_with_one_run() {
        let clock = SetClock::at("2026-03-01T12:00:00Z");
        let port = Arc::new(FakePort::default());
        port.schedules
            .lock()
            .unwrap()
            .push(("1".to_owned(), daily("2026-03-01T13:00:00Z")));
        let scheduler = Scheduler::start(port.clone(), clock.clone()).await.unwrap();
        scheduler.look().await;
        clock.set("2026-03-09T20:00:00Z");
        scheduler.look().await;
        scheduler.look().await;
        assert_eq!(
            *port.started.lock().unwrap(),
            [("1".to_owned(), time("2026-03-10T13:00:00Z"))]
        );
    }

    #[tokio::test]
    async fn what_comes_next_is_sorted_by_time() {
        let clock = SetClock::at("2026-03-01T12:00:00Z");
        let port = Arc::new(FakePort::default());
        port.schedules.lock().unwrap().extend([
            ("late".to_owned(), daily("2026-03-01T15:00:00Z")),
            ("soon".to_owned(), daily("2026-03-01T14:00:00Z")),
        ]);
        let scheduler = Scheduler::start(port, clock).await.unwrap();
        scheduler.look().await;
        let ids: Vec<_> = scheduler.proposed().iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(ids, ["soon", "late"]);
    }
}
