// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Stopping a run: the first cause is kept, and every wait ends.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::error::RunError;

/// How long a run that somebody cancelled may go on tidying up at the target.
const TIDY_UP_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(500);

type Closer = Box<dyn Fn() + Send + Sync>;

/// Shared by everything that belongs to one run.
#[derive(Clone, Default)]
pub struct RunControl {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    tripped: AtomicBool,
    finish_early: AtomicBool,
    cause: Mutex<Option<RunError>>,
    closers: Mutex<Vec<Closer>>,
    notify: tokio::sync::Notify,
}

impl RunControl {
    /// A run that nobody has stopped.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the run with this cause unless one is known already. All inlets and budgets close, so every waiting worker wakes.
    pub fn trip(&self, error: RunError) {
        if !matches!(error, RunError::Interrupted) {
            self.inner
                .cause
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }
        self.inner.tripped.store(true, Ordering::SeqCst);
        for close in self
            .inner
            .closers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            close();
        }
        self.inner.notify.notify_waiters();
    }

    /// Waits until the run is over early; async workers select on it beside requests that may hang.
    pub async fn tripped(&self) {
        let notified = self.inner.notify.notified();
        tokio::pin!(notified);
        // Registered before the check, or a trip in between would be missed.
        notified.as_mut().enable();
        if !self.is_tripped() {
            notified.await;
        }
    }

    /// Waits for a request, but not beyond the end of the run: a target that does not answer must not keep anybody from cancelling.
    ///
    /// # Errors
    /// Why the run ended; the request is dropped then, and what it did at the target is not known. Nobody may take the run for over at the target, as by
    /// closing its session, while a request is under way whose late success would do harm.
    pub async fn until_tripped<T>(&self, work: impl Future<Output = T>) -> Result<T, RunError> {
        tokio::select! {
            outcome = work => Ok(outcome),
            () = self.tripped() => Err(self.cause().unwrap_or(RunError::Interrupted)),
        }
    }

    /// The same on a thread of its own.
    ///
    /// # Errors
    /// Why the run ended.
    pub fn block_on<T>(
        &self,
        runtime: &tokio::runtime::Handle,
        work: impl Future<Output = T>,
    ) -> Result<T, RunError> {
        runtime.block_on(self.until_tripped(work))
    }

    /// Whether somebody asked the run to end.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause(), Some(RunError::Cancelled))
    }

    /// Tidies up at the target after a run. After one that somebody cancelled it gets a moment only: what stays is what a crash leaves, and a later run removes it.
    pub async fn tidy_up<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        if self.is_cancelled() {
            tokio::time::timeout(TIDY_UP_TIME_MAX, work).await.ok()
        } else {
            Some(work.await)
        }
    }

    /// Ends the run because somebody asked.
    pub fn cancel(&self) {
        self.trip(RunError::Cancelled);
    }

    /// Asks the run to take no new work, and to commit what it has as a partial snapshot.
    pub fn finish_early(&self) {
        self.inner.finish_early.store(true, Ordering::SeqCst);
    }

    /// Whether [`finish_early`](Self::finish_early) was called.
    pub fn is_finishing_early(&self) -> bool {
        self.inner.finish_early.load(Ordering::Relaxed)
    }

    /// Whether the run is over.
    pub fn is_tripped(&self) -> bool {
        self.inner.tripped.load(Ordering::Relaxed)
    }

    /// Fails when the run is over; workers call this between pieces of work.
    ///
    /// # Errors
    /// [`RunError::Interrupted`].
    pub fn check(&self) -> Result<(), RunError> {
        if self.is_tripped() {
            Err(RunError::Interrupted)
        } else {
            Ok(())
        }
    }

    /// The first cause.
    pub fn cause(&self) -> Option<RunError> {
        self.inner
            .cause
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Registers what must be closed when the run ends early.
    pub fn on_trip(&self, close: impl Fn() + Send + Sync + 'static) {
        self.inner
            .closers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(close));
        if self.is_tripped() {
            self.trip(RunError::Interrupted);
        }
    }
}

/// Ends a task when the run is over early, whatever it waits for.
///
/// # Errors
/// Those of the task, and [`RunError::Interrupted`].
pub async fn guarded(
    work: impl Future<Output = Result<(), RunError>>,
    control: RunControl,
) -> Result<(), RunError> {
    tokio::select! {
        outcome = work => outcome,
        () = control.tripped() => Err(RunError::Interrupted),
    }
}
