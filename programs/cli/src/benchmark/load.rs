// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Single requests to the target: put, get, a part of an object, list, delete, at each size and concurrency.

use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use duplicati_actors::control::RunControl;
use duplicati_engine::{
    crypto::secret::random_id,
    storage::{ObjectKind, ObjectName, Store, StoreError},
};
use tokio::{task::JoinSet, time::Instant};

use super::{figures::Figures, noise::Noise, settings::Settings};

/// Objects of one size at one concurrency, at most.
const OBJECTS_MAX: u64 = 200;
/// Objects in memory at once, bytes.
const MEMORY_BYTES_MAX: u64 = 256 << 20;
/// The part of an object that is read by range, bytes: about what a restore asks for a few small files.
const RANGE_BYTES: u64 = 64 << 10;
/// Different places at which content begins, bytes: so no two objects are the same.
const SHIFT_BYTES: usize = 64 << 10;
/// The step between two such places, bytes.
const STEP_BYTES: usize = 64;
/// Kinds of requests whose time is bounded, in each size and concurrency.
const TIMED_KINDS: u32 = 3;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Put,
    Get,
    Range,
    List,
    Delete,
}

impl Kind {
    /// In output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Range => "range",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }
}

/// One measured case.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// What was asked.
    pub kind: Kind,
    /// Size of the objects, bytes.
    pub size_bytes: u64,
    /// Requests at once.
    pub concurrency: usize,
    /// What came out.
    pub figures: Figures,
}

/// Why measuring ended early.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target gave back something else than it got.
    #[error(
        "{object} at {location} came back otherwise than it was stored; this target cannot hold a backup"
    )]
    Changed { object: String, location: String },
    /// Somebody asked for it.
    #[error("the run was cancelled")]
    Cancelled,
}

/// What the requests showed.
#[derive(Debug, Default)]
pub struct LoadReport {
    /// Measured cases.
    pub cells: Vec<Cell>,
    /// Cases that were left out, and why.
    pub left_out: Vec<String>,
    /// Bytes uploaded.
    pub uploaded_bytes: u64,
}

/// Measures. Objects are removed case by case; whoever calls removes the folder, also after an error.
///
/// # Errors
/// When the target fails or gives back something else.
pub async fn measure(
    store: &Arc<dyn Store>,
    settings: &Settings,
    control: &RunControl,
    mut each: impl FnMut(&str),
) -> Result<LoadReport, LoadError> {
    let mut report = LoadReport::default();
    let cases = settings.sizes_bytes.len() * settings.concurrencies.len();
    let share_bytes = settings.upload_bytes_max / cases.max(1) as u64;
    let end = Instant::now() + settings.time_max;
    let mut left = u32::try_from(cases).unwrap_or(u32::MAX);
    for size_bytes in settings.sizes_bytes.iter().copied() {
        for concurrency in settings.concurrencies.iter().copied() {
            let now = Instant::now();
            let time = end.saturating_duration_since(now) / left.max(1);
            left = left.saturating_sub(1);
            let at_once = concurrency as u64;
            let rest = settings.upload_bytes_max - report.uploaded_bytes;
            let count = (share_bytes / size_bytes)
                .max(at_once)
                .min(OBJECTS_MAX.max(at_once));
            let reason = if at_once * size_bytes > MEMORY_BYTES_MAX {
                "it would take more than 256 MB of memory"
            } else if count * size_bytes > rest {
                "--benchmark-max-upload is used up"
            } else if time.is_zero() {
                "--benchmark-max-time is over"
            } else {
                each(&format!("{size_bytes} bytes, {concurrency} at once"));
                let case = Case {
                    store,
                    control,
                    size_bytes,
                    concurrency,
                    time: time / TIMED_KINDS,
                };
                case.run(count, &mut report).await?;
                continue;
            };
            report
                .left_out
                .push(format!("{size_bytes} bytes, {concurrency} at once: {reason}"));
        }
    }
    Ok(report)
}

struct Case<'a> {
    store: &'a Arc<dyn Store>,
    control: &'a RunControl,
    size_bytes: u64,
    concurrency: usize,
    /// For each kind of request.
    time: Duration,
}

impl Case<'_> {
    async fn run(&self, count: u64, report: &mut LoadReport) -> Result<(), LoadError> {
        let size = usize::try_from(self.size_bytes).unwrap_or(usize::MAX);
        let mut noise = vec![0; size + SHIFT_BYTES];
        Noise::unforeseen().fill(&mut noise);
        let noise = Bytes::from(noise);
        let objects: Vec<(ObjectName, Bytes)> = (0..count)
            .map(|number| {
                let begin = usize::try_from(number).unwrap_or(0) * STEP_BYTES % SHIFT_BYTES;
                let name = ObjectName::of(ObjectKind::Pack, random_id().unwrap_or([0; 16]));
                (name, noise.slice(begin..begin + size))
            })
            .collect();
        let store = self.store;
        let put = |(name, content): (ObjectName, Bytes)| {
            let store = Arc::clone(store);
            async move {
                let bytes = content.len() as u64;
                store.put(&name, content).await?;
                Ok(bytes)
            }
        };
        let (stored, uploaded) = self
            .requests(Kind::Put, objects.clone(), put, true, report)
            .await?;
        report.uploaded_bytes += uploaded;
        let objects = objects[..stored].to_vec();
        let get = |(name, content): (ObjectName, Bytes)| {
            let store = Arc::clone(store);
            async move {
                let found = store.get(&name, None).await?;
                same(&store, &name, &found, &content)?;
                Ok(found.len() as u64)
            }
        };
        self.requests(Kind::Get, objects.clone(), get, true, report)
            .await?;
        let range = |(name, content): (ObjectName, Bytes)| {
            let store = Arc::clone(store);
            async move {
                let length = RANGE_BYTES.min(content.len() as u64);
                let begin = (content.len() as u64 - length) / 2;
                let found = store.get(&name, Some(begin..begin + length)).await?;
                let expected = content.slice(begin as usize..(begin + length) as usize);
                same(&store, &name, &found, &expected)?;
                Ok(length)
            }
        };
        self.requests(Kind::Range, objects.clone(), range, true, report)
            .await?;
        let list = |_| {
            let store = Arc::clone(store);
            async move {
                store.list(ObjectKind::Pack).await?;
                Ok(0)
            }
        };
        let times = vec![(); self.concurrency];
        self.requests(Kind::List, times, list, true, report).await?;
        let delete = |(name, _): (ObjectName, Bytes)| {
            let store = Arc::clone(store);
            async move {
                store.delete(&name).await?;
                Ok(0)
            }
        };
        self.requests(Kind::Delete, objects, delete, false, report)
            .await?;
        Ok(())
    }

    /// Carries out requests, so many at once, until all are done or the time is over; says how many were done and what they moved.
    async fn requests<T, F>(
        &self,
        kind: Kind,
        things: Vec<T>,
        request: impl Fn(T) -> F,
        is_timed: bool,
        report: &mut LoadReport,
    ) -> Result<(usize, u64), LoadError>
    where
        F: Future<Output = Result<u64, LoadError>> + Send + 'static,
    {
        let begin = Instant::now();
        let mut waiting: VecDeque<T> = things.into();
        let mut running: JoinSet<(Duration, Result<u64, LoadError>)> = JoinSet::new();
        let (mut latencies, mut bytes) = (Vec::new(), 0);
        let mut failed = None;
        loop {
            // At least as many as run at once, or nothing was measured.
            let is_over = is_timed && begin.elapsed() > self.time && latencies.len() >= self.concurrency;
            let takes_more = failed.is_none() && !is_over && !self.control.is_tripped();
            while takes_more && running.len() < self.concurrency {
                let Some(thing) = waiting.pop_front() else { break };
                let request = request(thing);
                running.spawn(async move {
                    let begin = Instant::now();
                    let outcome = request.await;
                    (begin.elapsed(), outcome)
                });
            }
            match running.join_next().await {
                None => break,
                Some(Ok((latency, Ok(moved)))) => {
                    latencies.push(latency);
                    bytes += moved;
                }
                // The others end first, so that nothing is still on its way when the folder goes.
                Some(Ok((_, Err(error)))) => failed = failed.or(Some(error)),
                Some(Err(_)) => failed = failed.or(Some(LoadError::Cancelled)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if self.control.is_tripped() {
            return Err(LoadError::Cancelled);
        }
        let done = latencies.len();
        if let Some(figures) = Figures::of(latencies, bytes, begin.elapsed()) {
            report.cells.push(Cell {
                kind,
                size_bytes: self.size_bytes,
                concurrency: self.concurrency,
                figures,
            });
        }
        Ok((done, bytes))
    }
}

fn same(store: &Arc<dyn Store>, name: &ObjectName, found: &Bytes, expected: &Bytes) -> Result<(), LoadError> {
    if found == expected {
        return Ok(());
    }
    Err(LoadError::Changed {
        object: name.to_string(),
        location: store.location(),
    })
}

#[cfg(test)]
mod tests {
    use duplicati_backends::decorators::{Fault, FaultyStore, OperationKind, When};
    use duplicati_engine::storage::{StoreErrorKind, memory::MemoryStore};

    use super::*;

    fn settings() -> Settings {
        Settings {
            measures_target: true,
            measures_runs: false,
            sizes_bytes: vec![1 << 10, 100 << 10],
            concurrencies: vec![1, 4],
            upload_bytes_max: 8 << 20,
            time_max: Duration::from_secs(60),
            data_bytes: 1 << 20,
            compressible_percent: 50,
            change_percent: 2.0,
            client_bytes: 1 << 30,
            window: Duration::from_secs(3_600),
            plot: None,
        }
    }

    #[tokio::test]
    async fn every_case_is_measured_within_the_bounds_and_leaves_nothing() {
        let memory = Arc::new(MemoryStore::new());
        let store: Arc<dyn Store> = memory.clone();
        let report = measure(&store, &settings(), &RunControl::new(), |_| {})
            .await
            .unwrap();
        assert_eq!(report.cells.len(), 2 * 2 * 5);
        assert!(report.left_out.is_empty());
        assert!(report.uploaded_bytes <= 8 << 20);
        assert!(memory.inventory().is_empty());
        for cell in &report.cells {
            let figures = &cell.figures;
            assert!(figures.requests >= cell.concurrency as u64);
            assert!(figures.p50_ms <= figures.p90_ms && figures.p90_ms <= figures.p99_ms);
            let moved = match cell.kind {
                Kind::Put | Kind::Get => cell.size_bytes,
                Kind::Range => cell.size_bytes.min(RANGE_BYTES),
                Kind::List | Kind::Delete => 0,
            };
            assert_eq!(figures.bytes, moved * figures.requests, "{cell:?}");
            let rate = figures.bytes as f64 / 1e6 / figures.seconds;
            assert!((figures.megabytes_per_second() - rate).abs() < 1e-9);
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_the_bounds_is_left_out_and_said() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let settings = Settings {
            upload_bytes_max: 300 << 10,
            ..settings()
        };
        let report = measure(&store, &settings, &RunControl::new(), |_| {})
            .await
            .unwrap();
        assert!(report.uploaded_bytes <= 300 << 10, "{}", report.uploaded_bytes);
        assert!(
            report
                .left_out
                .iter()
                .any(|line| line.contains("--benchmark-max-upload"))
        );
    }

    #[tokio::test]
    async fn a_failing_request_ends_it_with_the_object_named() {
        for (kind, word) in [
            (OperationKind::Put, "put packs/"),
            (OperationKind::Get, "get packs/"),
            (OperationKind::List, "list"),
            (OperationKind::Delete, "delete packs/"),
        ] {
            let faulty = FaultyStore::new(Arc::new(MemoryStore::new())).with(
                When::every(move |operation| operation.kind == kind).after(3),
                Fault::FailBefore(StoreErrorKind::NoSpace),
            );
            let store: Arc<dyn Store> = Arc::new(faulty);
            let error = measure(&store, &settings(), &RunControl::new(), |_| {})
                .await
                .unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[tokio::test]
    async fn a_cancelled_run_ends_after_the_requests_at_hand() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let control = RunControl::new();
        control.cancel();
        let error = measure(&store, &settings(), &control, |_| {}).await.unwrap_err();
        assert!(matches!(error, LoadError::Cancelled));
    }
}
