// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whole runs at the target: a first backup, one without a change, one with changes, a restore.

use std::{
    future::Future,
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use duplicati_actors::{
    backup::{BackupOptions, run_backup},
    control::RunControl,
    error::RunError,
    events::{Monitor, ProgressSnapshot},
    inventory::load_reading_index,
    restore::{RestoreRequest, restore},
};
use duplicati_engine::{
    crypto::{key_file::KeyHolder, secret::random_id},
    format::config::ChunkingParameters,
    index::local::LocalState,
    repository::{CreateOptions, Repository},
    restore::RestoreOptions,
};
use duplicati_programs_common::error_id::ids;
use tokio::time::Instant;

use super::{
    data::{self, Data},
    scratch::Scratch,
    settings::Settings,
    stages::{Bottleneck, Readings, Run, StageFigures, bottleneck},
};
use crate::{
    commands::backup_options::{benchmark_options, chunk_size_bytes},
    connection::folder_identity,
    failure::{Outcome, failed},
    invocation::Invocation,
    machine,
};
use duplicati_programs_common::destination::Destination;

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFigures {
    /// In output.
    pub name: &'static str,
    /// Bytes that were backed up, looked at, or restored.
    pub data_bytes: u64,
    /// Files of these.
    pub files: u64,
    /// Bytes of them that were new or had changed.
    pub changed_bytes: u64,
    /// Bytes stored at the target.
    pub stored_bytes: u64,
    /// Bytes read from it.
    pub fetched_bytes: u64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Processor time of the program, seconds.
    pub cpu_seconds: f64,
    /// What its stages did.
    pub stages: Vec<StageFigures>,
    /// What limited it; none where stages cannot be measured.
    pub bottleneck: Option<Bottleneck>,
}

impl RunFigures {
    /// Gigabytes (10^9) of data in an hour.
    pub fn gigabytes_per_hour(&self) -> f64 {
        self.data_bytes as f64 / super::GB / self.seconds * 3_600.0
    }
}

/// A folder of this machine that goes with everything in it.
struct LocalFolder(PathBuf);

impl LocalFolder {
    fn make(invocation: &Invocation) -> Outcome<Self> {
        let id = random_id().unwrap_or([0; 16]);
        let digits: String = id.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let path = invocation
            .environment
            .current_folder
            .join(invocation.temporary_folder())
            .join(format!("duplicati-benchmark-{digits}"));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| trouble(format!("failed to make the folder {}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for LocalFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a folder of the benchmark could not be removed");
        }
    }
}

fn trouble(message: String) -> crate::failure::Failure {
    failed(ids::UNEXPECTED_FAILURE, message)
}

/// What all runs share.
struct Runs<'a> {
    invocation: &'a Invocation,
    repository: Arc<Repository>,
    database: PathBuf,
    sources: Vec<Vec<u8>>,
    destinations: Vec<(u64, u64)>,
    link_megabytes_per_second: Option<f64>,
    end: Instant,
    time_max: Duration,
}

/// Carries out the runs. Local folders go when it ends; whoever calls removes the folder at the target.
pub async fn run(
    invocation: &Invocation,
    settings: &Settings,
    scratch: &Scratch,
    destination: &Destination,
    link_megabytes_per_second: Option<f64>,
) -> Outcome<Vec<RunFigures>> {
    let folder = LocalFolder::make(invocation)?;
    let source = source_folder(invocation, settings, &folder.0)?;
    let made = folder.0.join("data");
    let io = |error: std::io::Error| trouble(format!("failed to make data for the benchmark: {error}"));
    let data = match &source {
        // A folder of the user is read and not changed: what changes lies beside it.
        Some(_) => None,
        None => Some(Data::make(&made, settings.data_bytes, settings.compressible_percent).map_err(io)?),
    };
    let passphrase: String = random_id()
        .map_err(|error| trouble(error.to_string()))?
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let create = CreateOptions {
        holder: Some(KeyHolder::Passphrase(passphrase.into())),
        chunking: ChunkingParameters::around(chunk_size_bytes(&invocation.options)),
        label: "benchmark".to_owned(),
        created: invocation.now().timestamp().to_string(),
    };
    let repository = Arc::new(Repository::create(Arc::clone(&scratch.careful), create).await?);
    let mut runs = Runs {
        invocation,
        repository,
        database: folder.0.join("local.sqlite"),
        sources: vec![bytes_of(source.as_deref().unwrap_or(&made))],
        destinations: folder_identity(destination).into_iter().collect(),
        link_megabytes_per_second,
        end: Instant::now() + settings.time_max,
        time_max: settings.time_max,
    };
    let first = runs.backup("first backup", None).await?;
    let data_bytes = first.data_bytes;
    let mut figures = vec![first];
    figures.push(runs.backup("unchanged", Some(0)).await?);
    let changed = match &data {
        Some(data) => data.change(settings.change_percent).map_err(io)?,
        None => {
            let bytes = (data_bytes as f64 * settings.change_percent / 100.0) as u64;
            runs.sources.push(bytes_of(&made));
            Data::make(&made, bytes.max(1), settings.compressible_percent)
                .map_err(io)?
                .bytes
        }
    };
    figures.push(runs.backup("changed", Some(changed)).await?);
    figures.push(runs.restore(&folder.0.join("restored"), data.as_ref()).await?);
    Ok(figures)
}

fn bytes_of(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// The folder that the user names, if it is one and not too large.
fn source_folder(invocation: &Invocation, settings: &Settings, ours: &Path) -> Outcome<Option<PathBuf>> {
    let Some(text) = invocation.argument(1) else {
        return Ok(None);
    };
    let path = invocation.environment.current_folder.join(text);
    let refused = |what: String| {
        failed(
            ids::NO_SOURCES,
            format!("the source folder {} {what}", path.display()),
        )
    };
    let whole = path
        .canonicalize()
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    if !whole.is_dir() {
        return Err(refused("is not a folder".to_owned()));
    }
    if ours.canonicalize().is_ok_and(|ours| ours.starts_with(&whole)) {
        return Err(refused(
            "holds the temporary folder; name another one by --tempdir".to_owned(),
        ));
    }
    let (bytes, _) = data::size_of(&whole, settings.data_bytes)
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    if bytes > settings.data_bytes {
        return Err(refused(format!(
            "holds more than the {} bytes of --benchmark-data-size; give a larger value, or a smaller folder",
            settings.data_bytes
        )));
    }
    if bytes == 0 {
        return Err(refused("holds no data".to_owned()));
    }
    Ok(Some(whole))
}

impl Runs<'_> {
    /// A backup. `changed` is how much of the data changed; everything if it is none.
    async fn backup(&self, name: &'static str, changed: Option<u64>) -> Outcome<RunFigures> {
        let local = LocalState::open(&self.database, self.repository.config.repository_id)?;
        let options = BackupOptions {
            sources: self.sources.clone(),
            destinations: self.destinations.clone(),
            ..benchmark_options(self.invocation)?
        };
        let monitor = Monitor::silent();
        let meter = Meter::start(self.invocation);
        let report = self
            .bounded(|control| {
                run_backup(
                    Arc::clone(&self.repository),
                    local,
                    options,
                    Arc::clone(&self.invocation.clock),
                    monitor.clone(),
                    control,
                )
            })
            .await?;
        let counters = report.progress;
        if counters.files_with_error > 0 {
            self.invocation.log.warning(
                "FilesNotMeasured",
                &format!(
                    "{} files could not be read for the {name} run",
                    counters.files_with_error
                ),
            );
        }
        let changed = changed.unwrap_or(counters.examined_bytes);
        Ok(meter.stop(
            self,
            name,
            &counters,
            counters.examined_bytes,
            counters.examined_files,
            changed,
        ))
    }

    async fn restore(&self, to: &Path, data: Option<&Data>) -> Outcome<RunFigures> {
        let monitor = Monitor::silent();
        let meter = Meter::start(self.invocation);
        let listing = self.repository.list_snapshots().await?;
        let Some((_, manifest)) = listing.snapshots.last() else {
            return Err(trouble("the benchmark finds no version to restore".to_owned()));
        };
        std::fs::create_dir(to)
            .map_err(|error| trouble(format!("failed to make the folder {}: {error}", to.display())))?;
        let options = RestoreOptions {
            target: Some(to.to_owned()),
            ..RestoreOptions::default()
        };
        let (index, _) = load_reading_index(&self.repository, None).await?;
        let request = RestoreRequest::new(Arc::clone(&self.repository), Arc::new(index), manifest, options);
        self.bounded(|control| restore(request, monitor.clone(), control))
            .await?;
        let counters = monitor.progress.snapshot();
        let (bytes, files) = data::size_of(to, u64::MAX)
            .map_err(|error| trouble(format!("failed to look at what was restored: {error}")))?;
        if let Some(data) = data
            && data.bytes != bytes
        {
            return Err(trouble(format!(
                "the restore gave {bytes} of {} bytes; the target lost data, test it before it is used",
                data.bytes
            )));
        }
        Ok(meter.stop(self, "restore", &counters, bytes, files, bytes))
    }

    /// A run that ends when somebody cancels, or when the time is over.
    async fn bounded<T, F>(&self, start: impl FnOnce(RunControl) -> F) -> Outcome<T>
    where
        F: Future<Output = Result<T, RunError>>,
    {
        let control = RunControl::new();
        let work = start(control.clone());
        tokio::pin!(work);
        let cause = tokio::select! {
            outcome = &mut work => return Ok(outcome?),
            () = self.invocation.control.tripped() => failed(ids::RUN_CANCELLED, "the run was cancelled"),
            () = tokio::time::sleep_until(self.end) => failed(
                ids::RUN_CANCELLED,
                format!(
                    "the runs took longer than the {} s of --benchmark-max-time; give it more, or less data by --benchmark-data-size",
                    self.time_max.as_secs()
                ),
            ),
        };
        control.cancel();
        // It puts away what it has at hand.
        let _cut_off = work.await;
        Err(cause)
    }
}

/// What is read before and after a run.
struct Meter {
    begin: Duration,
    cpu_begin: Duration,
    readings: Option<Readings>,
}

impl Meter {
    fn start(invocation: &Invocation) -> Self {
        Self {
            readings: readings(),
            cpu_begin: machine::process_cpu_time(),
            begin: invocation.clock.monotonic(),
        }
    }

    fn stop(
        self,
        runs: &Runs<'_>,
        name: &'static str,
        counters: &ProgressSnapshot,
        data_bytes: u64,
        files: u64,
        changed_bytes: u64,
    ) -> RunFigures {
        let took = runs.invocation.clock.monotonic().saturating_sub(self.begin);
        let seconds = took.as_secs_f64().max(1e-6);
        let cpu_seconds = machine::process_cpu_time()
            .saturating_sub(self.cpu_begin)
            .as_secs_f64();
        let after = readings();
        let measured = self.readings.zip(after);
        let stages = measured
            .as_ref()
            .map(|(before, after)| after.stages_since(before))
            .unwrap_or_default();
        let moved = counters.stored_bytes.max(counters.fetched_bytes);
        let limit = measured.map(|(before, after)| {
            bottleneck(Run {
                stages: &stages,
                budget_wait_seconds: after.budget_wait_since(&before),
                seconds,
                cpu_seconds,
                processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
                megabytes_per_second: moved as f64 / super::MB / seconds,
                link_megabytes_per_second: runs.link_megabytes_per_second,
            })
        });
        RunFigures {
            name,
            data_bytes,
            files,
            changed_bytes,
            stored_bytes: counters.stored_bytes,
            fetched_bytes: counters.fetched_bytes,
            seconds,
            cpu_seconds,
            stages,
            bottleneck: limit,
        }
    }
}

fn readings() -> Option<Readings> {
    machine::metrics().map(|handle| Readings::parse(&handle.render()))
}
