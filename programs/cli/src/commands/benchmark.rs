// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `benchmark`: measures a destination and this machine, and leaves nothing behind.

use duplicati_actors::events::ProgressSnapshot;
use duplicati_engine::storage::StoreErrorKind;
use duplicati_programs_common::{ExitCode, destination::Destination, error_id::ids};
use serde_json::Value;

use crate::{
    benchmark::{
        capacity::{Capacity, Measured, capacity},
        chart,
        end_to_end::{self, RunFigures},
        load::{self, Cell, LoadError},
        recommendation::{Recommendation, recommend},
        report,
        scratch::{self, Scratch},
        settings::Settings,
    },
    connection::Target,
    failure::{Failure, Outcome, failed, wrong_arguments},
    invocation::Invocation,
    machine,
    results::CommandResult,
};

/// What came out.
#[derive(Default)]
struct Measurements {
    cells: Vec<Cell>,
    recommendation: Option<Recommendation>,
    runs: Vec<RunFigures>,
    capacity: Option<Capacity>,
}

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    let settings = Settings::from_options(&invocation.options)?;
    if let Some(parent) = settings.plot.as_deref().and_then(|path| path.parent()) {
        let parent = invocation.environment.current_folder.join(parent);
        if !parent.is_dir() {
            return Err(failed(
                ids::INVALID_OPTION_VALUE,
                format!(
                    "--plot names a file in {}, which is not a folder",
                    parent.display()
                ),
            ));
        }
    }
    // From here on, so that the first run is counted like the others.
    let _collected = machine::metrics();
    let text = invocation
        .argument(0)
        .ok_or_else(|| wrong_arguments("the destination is missing"))?;
    let (destination, address) = Target::address(invocation, text, &invocation.options)?;
    refuse_absent(&Target::of(invocation)?).await?;
    for name in scratch::remove_stale(&address, invocation.clock.as_ref()).await {
        invocation.log.information(
            "StaleBenchmarkRemoved",
            &format!("Removed {name}, which an earlier benchmark left when it was killed"),
        );
    }
    let scratch = Scratch::below(&address, invocation.clock.as_ref())?;
    let measured = match scratch.make().await {
        Ok(()) => measure(invocation, &settings, &scratch, &destination).await,
        Err(error) => Err(error.into()),
    };
    let cleaned = scratch.remove().await;
    if let Err(error) = &cleaned {
        invocation.log.warning(
            "BenchmarkNotRemoved",
            &format!(
                "The folder {} at the destination could not be removed: {error}; remove it by hand",
                scratch.name
            ),
        );
    }
    let measured = measured?;
    if let Some(path) = &settings.plot {
        let path = invocation.environment.current_folder.join(path);
        let svg = chart::draw(&scratch_location(&destination), &measured.cells, &measured.runs);
        std::fs::write(&path, svg).map_err(|error| {
            failed(
                ids::UNEXPECTED_FAILURE,
                format!("failed to write the file {} of --plot: {error}", path.display()),
            )
        })?;
    }
    CommandResult::new(invocation)
        .with(
            "Recommendation",
            measured
                .recommendation
                .as_ref()
                .map(report::recommendation_values),
        )
        .with(
            "Capacity",
            measured
                .capacity
                .as_ref()
                .map(|found| report::capacity_values(&report::demand(&settings), found)),
        )
        .with(
            "MeasuredRequests",
            measured
                .cells
                .iter()
                .map(|cell| cell.figures.requests)
                .sum::<u64>(),
        )
        .with("MeasuredRuns", Value::from(measured.runs.len()))
        .finish(invocation, None, &ProgressSnapshot::default(), ExitCode::Success)
}

/// The destination for the title: its kind and folder, no secret.
fn scratch_location(destination: &Destination) -> String {
    format!(
        "{}://{}{}",
        destination.scheme,
        destination.host,
        destination.path.to_string_lossy()
    )
}

/// A folder that a benchmark made would stay behind, so it makes none.
async fn refuse_absent(target: &Target) -> Outcome<()> {
    match target.store.prepare(false).await {
        Err(error) if error.kind == StoreErrorKind::NotFound => Err(failed(
            ids::EMPTY_REMOTE_LOCATION,
            format!(
                "there is no folder {}; make it first, as a benchmark leaves nothing behind and makes none",
                target.store.location()
            ),
        )),
        prepared => Ok(prepared?),
    }
}

async fn measure(
    invocation: &Invocation,
    settings: &Settings,
    scratch: &Scratch,
    destination: &Destination,
) -> Outcome<Measurements> {
    let console = &invocation.console;
    let mut found = Measurements::default();
    if settings.measures_target {
        let told = |case: &str| tracing::info!("benchmark: {case}");
        let report = load::measure(&scratch.measured, settings, &invocation.control, told).await?;
        report::print_load(console, &report)?;
        found.recommendation = recommend(&report.cells);
        if let Some(made) = &found.recommendation {
            report::print_recommendation(console, made)?;
        }
        found.cells = report.cells;
    }
    if settings.measures_runs {
        // Between a folder of this machine and us there is no link.
        let link = found
            .recommendation
            .map(|made| made.megabytes_per_second)
            .filter(|_| destination.scheme != "file");
        found.runs = end_to_end::run(invocation, settings, scratch, destination, link).await?;
        report::print_runs(console, &found.runs)?;
        let uploads = found.recommendation.map(|made| made.megabytes_per_second);
        if let [_, unchanged, changed, _] = found.runs.as_slice() {
            let measured = Measured {
                data_bytes: unchanged.data_bytes,
                unchanged_seconds: unchanged.seconds,
                changed_seconds: changed.seconds,
                changed_bytes: changed.changed_bytes,
                stored_bytes: changed.stored_bytes,
                link_megabytes_per_second: uploads,
            };
            let capacity = capacity(&measured, &report::demand(settings));
            report::print_capacity(console, settings, &capacity)?;
            found.capacity = Some(capacity);
        }
    }
    Ok(found)
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => error.into(),
            LoadError::Changed { .. } => failed(ids::REMOTE_OPERATION_FAILED, error.to_string()),
            LoadError::Cancelled => failed(ids::RUN_CANCELLED, error.to_string()),
        }
    }
}
