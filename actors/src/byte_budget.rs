// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes in flight across all stages of a run.
//!
//! A permit is taken where data enters memory, travels with it, shrinks when it is compressed, and returns when the target has it. So a slow
//! target stops the walker, whatever the queues could still hold.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use duplicati_engine::clock::{Clock, SystemClock};

use crate::{control::RunControl, error::RunError, metrics};

struct Inner {
    free: Mutex<u64>,
    returned: Condvar,
    total: u64,
    control: RunControl,
    /// Whether the bytes in use are told as a metric.
    is_measured: bool,
}

/// The budget of one run.
#[derive(Clone)]
pub struct ByteBudget {
    inner: Arc<Inner>,
}

/// Bytes taken from the budget; they return when it is dropped.
pub struct BytePermit {
    bytes: u64,
    inner: Arc<Inner>,
}

impl ByteBudget {
    /// A budget of `total_bytes`.
    pub fn new(total_bytes: u64, control: &RunControl) -> Self {
        Self::with_metric(total_bytes, control, false)
    }

    /// The budget whose use is the metric; a run has one, whatever else it counts this way.
    pub fn measured(total_bytes: u64, control: &RunControl) -> Self {
        Self::with_metric(total_bytes, control, true)
    }

    fn with_metric(total_bytes: u64, control: &RunControl, is_measured: bool) -> Self {
        let inner = Arc::new(Inner {
            free: Mutex::new(total_bytes),
            returned: Condvar::new(),
            total: total_bytes,
            control: control.clone(),
            is_measured,
        });
        let waking = Arc::downgrade(&inner);
        control.on_trip(move || {
            if let Some(inner) = waking.upgrade() {
                let _free = inner.free.lock().unwrap_or_else(PoisonError::into_inner);
                inner.returned.notify_all();
            }
        });
        Self { inner }
    }

    /// Takes bytes, waiting until they are free. More than the whole budget is clamped to it, or it would wait for ever.
    ///
    /// # Errors
    /// When the run is over.
    pub fn acquire(&self, bytes: u64) -> Result<BytePermit, RunError> {
        let bytes = bytes.min(self.inner.total);
        let mut free = self.inner.free.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = (*free < bytes).then(|| SystemClock.monotonic());
        while *free < bytes {
            self.inner.control.check()?;
            free = self
                .inner
                .returned
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(begin) = begin.filter(|_| self.inner.is_measured) {
            metrics::waited_for_budget(SystemClock.monotonic().saturating_sub(begin));
        }
        self.inner.control.check()?;
        *free -= bytes;
        self.inner.measure(*free);
        Ok(BytePermit {
            bytes,
            inner: Arc::clone(&self.inner),
        })
    }

    /// Takes bytes if they are free now; clamped as in [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// When the run is over.
    pub fn try_acquire(&self, bytes: u64) -> Result<Option<BytePermit>, RunError> {
        self.inner.control.check()?;
        let bytes = bytes.min(self.inner.total);
        let mut free = self.inner.free.lock().unwrap_or_else(PoisonError::into_inner);
        if *free < bytes {
            return Ok(None);
        }
        *free -= bytes;
        self.inner.measure(*free);
        Ok(Some(BytePermit {
            bytes,
            inner: Arc::clone(&self.inner),
        }))
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.inner.total - *self.inner.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BytePermit {
    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.inner.give(self.bytes - bytes);
            self.bytes = bytes;
        }
    }

    /// Joins another permit of the same budget.
    pub fn join(&mut self, mut other: BytePermit) {
        self.bytes += other.bytes;
        other.bytes = 0;
    }
}

impl Drop for BytePermit {
    fn drop(&mut self) {
        self.inner.give(self.bytes);
    }
}

impl Inner {
    fn give(&self, bytes: u64) {
        if bytes > 0 {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            *free += bytes;
            self.measure(*free);
            drop(free);
            self.returned.notify_all();
        }
    }

    fn measure(&self, free: u64) {
        if self.is_measured {
            metrics::budget_used(self.total - free);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_return_when_dropped_and_shrunk() {
        let budget = ByteBudget::new(100, &RunControl::new());
        let mut one = budget.acquire(60).unwrap();
        one.shrink_to(10);
        let two = budget.acquire(90).unwrap();
        assert_eq!(budget.used(), 100);
        one.join(two);
        drop(one);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_request_above_the_total_does_not_wait_for_ever() {
        let budget = ByteBudget::new(100, &RunControl::new());
        assert!(budget.acquire(1_000).is_ok());
    }

    #[test]
    fn waiting_ends_when_the_run_is_cancelled() {
        let control = RunControl::new();
        let budget = ByteBudget::new(10, &control);
        let _all = budget.acquire(10).unwrap();
        let waiting = std::thread::spawn({
            let budget = budget.clone();
            move || budget.acquire(1).is_err()
        });
        control.cancel();
        assert!(waiting.join().unwrap());
    }
}
