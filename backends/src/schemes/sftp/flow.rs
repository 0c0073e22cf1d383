// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How many bytes of transfers may be on their way over one connection.
//!
//! A far line needs many, or it idles; on a slow line the same number would make every small request wait for minutes behind
//! them. So the bound follows what is seen: it grows while answers come soon, and is halved when they take long.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::transfer::Waiting;

/// At the beginning, and at least; bytes. One write of the largest size passes.
const BYTES_MIN: usize = 256 << 10;
/// Answers that come sooner ask for more bytes: several round trips around the world.
const SOON: Duration = Duration::from_millis(1_000);
/// Answers that come later ask for fewer.
const LATE: Duration = Duration::from_millis(3_000);
/// A piece is at most this part of the bound, so that its answer is a sign of life.
const PIECES_MIN: usize = 4;
/// Smallest piece, bytes: what every server takes at once.
const PIECE_BYTES_MIN: usize = 32 << 10;

#[derive(Debug)]
pub(super) struct Flow {
    state: Mutex<State>,
    freed: Notify,
    bytes_max: usize,
}

#[derive(Debug)]
struct State {
    allowed: usize,
    in_flight: usize,
}

/// Bytes on their way; they count until this is dropped.
#[derive(Debug)]
pub(super) struct Passage<'a> {
    flow: &'a Flow,
    bytes: usize,
    since: Instant,
}

impl Flow {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            state: Mutex::new(State {
                allowed: BYTES_MIN,
                in_flight: 0,
            }),
            freed: Notify::new(),
            bytes_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size of a piece that may be at most `bytes_max`.
    pub(super) fn piece_bytes(&self, bytes_max: usize) -> usize {
        (self.lock().allowed / PIECES_MIN)
            .max(PIECE_BYTES_MIN)
            .min(bytes_max)
    }

    /// Lets a piece pass, if there is room for it now. One piece always passes.
    pub(super) fn try_pass(&self, bytes: usize) -> Option<Passage<'_>> {
        let mut state = self.lock();
        if state.in_flight > 0 && state.in_flight + bytes > state.allowed {
            return None;
        }
        state.in_flight += bytes;
        Some(Passage {
            flow: self,
            bytes,
            since: Instant::now(),
        })
    }

    /// Lets a piece pass that others wait for.
    pub(super) fn always_pass(&self, bytes: usize) -> Passage<'_> {
        self.lock().in_flight += bytes;
        Passage {
            flow: self,
            bytes,
            since: Instant::now(),
        }
    }

    /// Waits until there is room. Whoever holds passages of this flow must first wait for their answers.
    pub(super) async fn pass(&self, bytes: usize) -> Passage<'_> {
        loop {
            // Asked for before looking, so that no release in between is missed.
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(passage) = self.try_pass(bytes) {
                return passage;
            }
            // Others may hold their bytes back for our own limit. A server that is dead ends the session, and them with it.
            let _waiting = Waiting::of_this_task();
            freed.await;
        }
    }
}

impl Passage<'_> {
    /// The answer has come.
    pub(super) fn answered(self) {
        let took = self.since.elapsed();
        let mut state = self.flow.lock();
        if took > LATE {
            state.allowed = (state.allowed / 2).max(BYTES_MIN);
        } else if took < SOON {
            state.allowed = (state.allowed + self.bytes).min(self.flow.bytes_max);
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.flow.lock().in_flight -= self.bytes;
        self.flow.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bound_grows_while_answers_come_soon_and_shrinks_when_they_are_late() {
        let flow = Flow::new(1 << 20);
        for _ in 0..100 {
            let passage = flow.try_pass(32 << 10).unwrap();
            tokio::time::sleep(Duration::from_millis(80)).await;
            passage.answered();
        }
        assert_eq!(flow.lock().allowed, 1 << 20);
        for _ in 0..10 {
            let passage = flow.try_pass(32 << 10).unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
            passage.answered();
        }
        assert_eq!(flow.lock().allowed, BYTES_MIN);
        assert_eq!(flow.piece_bytes(255 << 10), BYTES_MIN / PIECES_MIN);
        assert_eq!(flow.lock().in_flight, 0);
    }

    #[tokio::test]
    async fn one_piece_always_passes_and_the_next_waits_for_room() {
        let flow = Flow::new(1 << 20);
        let first = flow.try_pass(10 << 20).unwrap();
        assert!(flow.try_pass(1).is_none());
        let waiting = flow.pass(1);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(first);
        waiting.await.answered();
    }
}
