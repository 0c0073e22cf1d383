// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Slows down whoever guesses passwords, without locking out who knows it.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

/// Failures of one address within [`WINDOW_SECONDS`] before it is slowed down.
const FAILURES_PER_ADDRESS: usize = 5;
/// Failures of all addresses together before everybody is.
const FAILURES_IN_ALL: usize = 30;
const WINDOW_SECONDS: i64 = 60;
/// How long a slowed attempt waits.
const DELAY: Duration = Duration::from_secs(2);
/// Slowed attempts that wait at once; more are refused.
const WAITING_MAX: usize = 8;
/// Passwords checked at once: each check takes memory and a processor.
const CHECKS_MAX: usize = 2;

/// Counts failures.
pub struct Throttle {
    failures: Mutex<VecDeque<(i64, IpAddr)>>,
    waiting: Semaphore,
    /// One slowed attempt after the other.
    slow_lane: Semaphore,
    checks: Semaphore,
    delay: Duration,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            failures: Mutex::default(),
            waiting: Semaphore::new(WAITING_MAX),
            slow_lane: Semaphore::new(1),
            checks: Semaphore::new(CHECKS_MAX),
            delay: DELAY,
        }
    }
}

impl Throttle {
    /// Runs the check of an attempt, after a wait if there were too many failures. False is a failure.
    pub async fn attempt(&self, address: IpAddr, now: i64, check: impl Future<Output = bool>) -> bool {
        let is_right = if self.is_slowed(address, now) {
            let Ok(_place) = self.waiting.try_acquire() else {
                return false;
            };
            let Ok(_turn) = self.slow_lane.acquire().await else {
                return false;
            };
            tokio::time::sleep(self.delay).await;
            self.checked(check).await
        } else {
            self.checked(check).await
        };
        if !is_right {
            let mut failures = self.lock();
            if failures.len() == FAILURES_IN_ALL * 2 {
                failures.pop_front();
            }
            failures.push_back((now, address));
        }
        is_right
    }

    async fn checked(&self, check: impl Future<Output = bool>) -> bool {
        let Ok(_place) = self.checks.acquire().await else {
            return false;
        };
        check.await
    }

    fn is_slowed(&self, address: IpAddr, now: i64) -> bool {
        let mut failures = self.lock();
        failures.retain(|(time, _)| now - time < WINDOW_SECONDS && *time <= now);
        let mut by_address: HashMap<IpAddr, usize> = HashMap::new();
        for (_, address) in failures.iter() {
            *by_address.entry(*address).or_default() += 1;
        }
        failures.len() >= FAILURES_IN_ALL
            || by_address
                .get(&address)
                .is_some_and(|count| *count >= FAILURES_PER_ADDRESS)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(i64, IpAddr)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_guesses_is_slowed_and_another_one_is_not() {
        let throttle = Throttle::default();
        let guesser: IpAddr = "10.0.0.1".parse().unwrap();
        let user: IpAddr = "10.0.0.2".parse().unwrap();
        for _ in 0..FAILURES_PER_ADDRESS {
            assert!(!throttle.is_slowed(guesser, 100));
            assert!(!throttle.attempt(guesser, 100, async { false }).await);
        }
        assert!(throttle.is_slowed(guesser, 100));
        assert!(!throttle.is_slowed(user, 100));
        assert!(!throttle.is_slowed(guesser, 100 + WINDOW_SECONDS));
    }

    #[tokio::test]
    async fn many_addresses_together_slow_everybody() {
        let throttle = Throttle::default();
        for number in 0..FAILURES_IN_ALL as u8 {
            let address = IpAddr::from([10, 0, 0, number]);
            throttle.attempt(address, 100, async { false }).await;
        }
        assert!(throttle.is_slowed(IpAddr::from([10, 1, 1, 1]), 100));
    }

    #[tokio::test]
    async fn a_slowed_attempt_with_the_right_password_succeeds() {
        let throttle = Throttle {
            delay: Duration::ZERO,
            ..Throttle::default()
        };
        let address = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..FAILURES_PER_ADDRESS {
            throttle.attempt(address, 100, async { false }).await;
        }
        assert!(throttle.attempt(address, 100, async { true }).await);
    }
}
