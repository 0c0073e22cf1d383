// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A store that fails on order: refusals, lost answers, hanging requests and crashes.
//!
//! There is no half-written object here: promise 1 of the port excludes it. What a crash may leave is a temporary file,
//! which [`FaultyStore::on_cut_off`] lets a test place where its kind of store would have it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use duplicati_engine::storage::{ObjectName, Store, StoreError, StoreErrorKind, StoreFuture};
use tokio::sync::watch;

use super::{
    decorate_store,
    operation::{Answer, Around, Operation},
};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens at the target, and the call fails.
    FailBefore(StoreErrorKind),
    /// The target does it, and the answer is lost: the call fails.
    FailAfterCommit(StoreErrorKind),
    /// The process dies before the target did anything: this and every later call fails.
    CrashBefore,
    /// The process dies after the target did it: this and every later call fails.
    CrashAfterCommit,
    /// The call waits for [`FaultyStore::release`] and then goes on as if nothing had been.
    Hang,
}

type Predicate = Box<dyn Fn(&Operation) -> bool + Send>;
type Hook = Box<dyn Fn(&ObjectName, &Bytes) + Send + Sync>;

/// Which calls a fault meets.
pub struct When {
    number: Option<u64>,
    predicate: Predicate,
    /// Matching calls that pass unharmed first.
    skip: u64,
    /// Calls that are met after that.
    times: u64,
}

impl When {
    /// The call with this number; the first call to the store is 0.
    pub fn number(number: u64) -> Self {
        Self {
            number: Some(number),
            ..Self::every(|_| true)
        }
    }

    /// Every call that matches.
    pub fn every(predicate: impl Fn(&Operation) -> bool + Send + 'static) -> Self {
        Self {
            number: None,
            predicate: Box::new(predicate),
            skip: 0,
            times: u64::MAX,
        }
    }

    /// Lets the first `skip` matching calls pass.
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// Meets only so many calls.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    fn meets(&mut self, number: u64, operation: &Operation) -> bool {
        if self.times == 0
            || self.number.is_some_and(|wanted| wanted != number)
            || !(self.predicate)(operation)
        {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

#[derive(Default)]
struct Script {
    rules: Vec<(When, Fault)>,
    calls: u64,
    is_crashed: bool,
}

/// A store with a script of faults. Without rules it passes everything through.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    script: Mutex<Script>,
    on_cut_off: Option<Hook>,
    is_released: watch::Sender<bool>,
    hanging: watch::Sender<u64>,
}

impl FaultyStore {
    /// Passes everything to `inner` until rules are added.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            script: Mutex::new(Script::default()),
            on_cut_off: None,
            is_released: watch::Sender::new(false),
            hanging: watch::Sender::new(0),
        }
    }

    /// Adds a rule; the first one that meets a call decides.
    pub fn with(self, when: When, fault: Fault) -> Self {
        self.add(when, fault);
        self
    }

    /// Called with each object whose `put` a crash cut off, to leave behind what the kind of store would leave.
    pub fn on_cut_off(mut self, hook: impl Fn(&ObjectName, &Bytes) + Send + Sync + 'static) -> Self {
        self.on_cut_off = Some(Box::new(hook));
        self
    }

    /// Adds a rule to a store in use.
    pub fn add(&self, when: When, fault: Fault) {
        self.lock().rules.push((when, fault));
    }

    /// Crashes now: every later call fails.
    pub fn crash(&self) {
        self.lock().is_crashed = true;
    }

    /// Whether a crash has happened.
    pub fn is_crashed(&self) -> bool {
        self.lock().is_crashed
    }

    /// Calls so far; also the number of the next one.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Lets all hanging calls go on, and later ones pass.
    pub fn release(&self) {
        self.is_released.send_replace(true);
    }

    /// Waits until so many calls have come to hang (counted from the start).
    pub async fn wait_until_hanging(&self, calls: u64) {
        let mut hanging = self.hanging.subscribe();
        // The sender lives in `self`, so the channel cannot close meanwhile.
        let _ = hanging.wait_for(|count| *count >= calls).await;
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that meets this call, if any.
    fn next_fault(&self, operation: &Operation) -> Option<Fault> {
        let script = &mut *self.lock();
        let number = script.calls;
        script.calls += 1;
        if script.is_crashed {
            return Some(Fault::CrashBefore);
        }
        let fault = script
            .rules
            .iter_mut()
            .find_map(|(when, fault)| when.meets(number, operation).then_some(*fault));
        if matches!(fault, Some(Fault::CrashBefore | Fault::CrashAfterCommit)) {
            script.is_crashed = true;
            if let (Some(hook), Some(name), Some(content), Some(Fault::CrashBefore)) =
                (&self.on_cut_off, &operation.name, &operation.content, fault)
            {
                hook(name, content);
            }
        }
        fault
    }

    fn error(&self, operation: &Operation, kind: StoreErrorKind, message: &str) -> StoreError {
        operation.error(kind, self.inner.location(), message)
    }

    async fn hang(&self) {
        self.hanging.send_modify(|count| *count += 1);
        // As above: the channel cannot close.
        let _ = self
            .is_released
            .subscribe()
            .wait_for(|is_released| *is_released)
            .await;
    }
}

impl Around for FaultyStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    fn around<'a, T: Answer + 'a>(
        &'a self,
        operation: Operation,
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            const CRASHED: &str = "the process has crashed (on order)";
            match self.next_fault(&operation) {
                None => {}
                Some(Fault::FailBefore(kind)) => {
                    return Err(self.error(&operation, kind, "refused (on order)"));
                }
                Some(Fault::FailAfterCommit(kind)) => {
                    call.await?;
                    return Err(self.error(&operation, kind, "the answer was lost (on order)"));
                }
                Some(Fault::CrashBefore) => {
                    return Err(self.error(&operation, StoreErrorKind::Other, CRASHED));
                }
                Some(Fault::CrashAfterCommit) => {
                    call.await?;
                    return Err(self.error(&operation, StoreErrorKind::Other, CRASHED));
                }
                Some(Fault::Hang) => {
                    self.hang().await;
                    // A process that died meanwhile sends nothing any more.
                    if self.is_crashed() {
                        return Err(self.error(&operation, StoreErrorKind::Other, CRASHED));
                    }
                }
            }
            call.await
        })
    }
}
decorate_store!(FaultyStore);

#[cfg(test)]
mod tests {
    use duplicati_engine::storage::{ObjectKind, memory::MemoryStore};

    use super::*;
    use crate::decorators::OperationKind;

    fn name(id: u8) -> ObjectName {
        ObjectName::of(ObjectKind::Pack, [id; 16])
    }

    fn content() -> Bytes {
        Bytes::from_static(b"content")
    }

    #[tokio::test]
    async fn refused_call_changes_nothing_and_lost_answer_does() {
        let memory = Arc::new(MemoryStore::new());
        let store = FaultyStore::new(memory.clone())
            .with(When::number(0), Fault::FailBefore(StoreErrorKind::NoSpace))
            .with(
                When::number(1),
                Fault::FailAfterCommit(StoreErrorKind::Unavailable),
            );
        assert_eq!(
            store.put(&name(1), content()).await.unwrap_err().kind,
            StoreErrorKind::NoSpace
        );
        assert!(memory.inventory().is_empty());
        assert_eq!(
            store.put(&name(1), content()).await.unwrap_err().kind,
            StoreErrorKind::Unavailable
        );
        assert_eq!(memory.inventory().len(), 1);
        assert_eq!(
            store.put(&name(1), content()).await.unwrap_err().kind,
            StoreErrorKind::AlreadyExists
        );
    }

    #[tokio::test]
    async fn nothing_works_after_a_crash() {
        let memory = Arc::new(MemoryStore::new());
        let cut_off = Arc::new(Mutex::new(Vec::new()));
        let seen = cut_off.clone();
        let store = FaultyStore::new(memory.clone())
            .with(
                When::every(|operation| operation.kind == OperationKind::Put).after(1),
                Fault::CrashBefore,
            )
            .on_cut_off(move |name, _| seen.lock().unwrap().push(*name));
        store.put(&name(1), content()).await.unwrap();
        store.put(&name(2), content()).await.unwrap_err();
        store.get(&name(1), None).await.unwrap_err();
        store.put(&name(3), content()).await.unwrap_err();
        assert!(store.is_crashed());
        assert_eq!(memory.inventory().len(), 1);
        assert_eq!(*cut_off.lock().unwrap(), [name(2)]);
    }

    #[tokio::test]
    async fn hanging_call_goes_on_when_released() {
        let memory = Arc::new(MemoryStore::new());
        let store =
            Arc::new(FaultyStore::new(memory.clone()).with(When::every(|_| true).times(1), Fault::Hang));
        let hanging = tokio::spawn({
            let store = store.clone();
            async move { store.put(&name(1), content()).await }
        });
        store.wait_until_hanging(1).await;
        assert!(memory.inventory().is_empty());
        store.put(&name(2), content()).await.unwrap();
        store.release();
        hanging.await.unwrap().unwrap();
        assert_eq!(memory.inventory().len(), 2);
    }
}
