// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The figures as text and as one JSON object a line.

use serde_json::{Value, json};

use super::{
    capacity::{Capacity, Demand},
    end_to_end::RunFigures,
    load::{Cell, LoadReport},
    recommendation::Recommendation,
    settings::Settings,
};
use crate::{failure::Outcome, output::Console, output::text};

/// The requests to the target.
pub fn print_load(console: &Console, report: &LoadReport) -> Outcome<()> {
    console.row("Requests to the target (MB = 1,000,000 bytes; sizes are powers of 1024)")?;
    console.row(format!(
        "  {:<7} {:>10} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "request", "size", "at once", "requests", "per s", "MB/s", "p50 ms", "p90 ms", "p99 ms"
    ))?;
    for cell in &report.cells {
        let figures = &cell.figures;
        console.row(format!(
            "  {:<7} {:>10} {:>8} {:>9} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
            cell.kind.word(),
            short_size(cell.size_bytes),
            cell.concurrency,
            figures.requests,
            figures.requests_per_second(),
            figures.megabytes_per_second(),
            figures.p50_ms,
            figures.p90_ms,
            figures.p99_ms
        ))?;
        console.json(&cell_values(cell))?;
    }
    for line in &report.left_out {
        console.row(format!("  left out: {line}"))?;
        console.json(&json!({"type": "benchmark-left-out", "case": line}))?;
    }
    Ok(console.flush()?)
}

fn cell_values(cell: &Cell) -> Value {
    let figures = &cell.figures;
    json!({
        "type": "benchmark-request", "request": cell.kind.word(), "size": cell.size_bytes,
        "concurrency": cell.concurrency, "requests": figures.requests, "bytes": figures.bytes,
        "seconds": figures.seconds, "requests_per_second": figures.requests_per_second(),
        "megabytes_per_second": figures.megabytes_per_second(),
        "p50_ms": figures.p50_ms, "p90_ms": figures.p90_ms, "p99_ms": figures.p99_ms,
    })
}

/// What to put on the command line.
pub fn print_recommendation(console: &Console, made: &Recommendation) -> Outcome<()> {
    console.row(format!(
        "Recommended: --dblock-size={}mb --asynchronous-concurrent-upload-limit={} (uploads like these reached {:.1} MB/s)",
        made.pack_bytes >> 20,
        made.uploads,
        made.megabytes_per_second
    ))?;
    if made.is_still_rising {
        console.row("  The most uploads at once that were tried were the fastest; try more by --benchmark-concurrency")?;
    }
    console.json(&recommendation_values(made))?;
    Ok(console.flush()?)
}

/// The recommendation as JSON.
pub fn recommendation_values(made: &Recommendation) -> Value {
    json!({
        "type": "benchmark-recommendation", "dblock_size": made.pack_bytes, "uploads": made.uploads,
        "megabytes_per_second": made.megabytes_per_second, "is_still_rising": made.is_still_rising,
    })
}

/// The whole runs.
pub fn print_runs(console: &Console, runs: &[RunFigures]) -> Outcome<()> {
    console.row("Whole runs (GB = 1,000,000,000 bytes)")?;
    console.row(format!(
        "  {:<13} {:>10} {:>9} {:>10} {:>10} {:>8} {:>8} {:>9}  {}",
        "run", "data", "files", "stored", "read", "s", "CPU s", "GB/hour", "limited by"
    ))?;
    for run in runs {
        let limit = run.bottleneck.as_ref().map(ToString::to_string);
        console.row(format!(
            "  {:<13} {:>10} {:>9} {:>10} {:>10} {:>8.2} {:>8.2} {:>9.1}  {}",
            run.name,
            short_size(run.data_bytes),
            run.files,
            short_size(run.stored_bytes),
            short_size(run.fetched_bytes),
            run.seconds,
            run.cpu_seconds,
            run.gigabytes_per_hour(),
            limit.as_deref().unwrap_or("not known")
        ))?;
    }
    console.row("Stages (seconds of processor time; seconds that others waited for the stage)")?;
    for run in runs {
        for stage in &run.stages {
            console.row(format!(
                "  {:<13} {:<13} CPU {:>8.2}  waited for {:>8.2}",
                run.name, stage.stage, stage.cpu_seconds, stage.waited_seconds
            ))?;
        }
        console.json(&run_values(run))?;
    }
    Ok(console.flush()?)
}

fn run_values(run: &RunFigures) -> Value {
    let stages: Vec<Value> = run
        .stages
        .iter()
        .map(|stage| {
            json!({
                "stage": stage.stage, "items": stage.items, "bytes": stage.bytes,
                "cpu_seconds": stage.cpu_seconds, "waited_seconds": stage.waited_seconds,
            })
        })
        .collect();
    json!({
        "type": "benchmark-run", "run": run.name, "data_bytes": run.data_bytes, "files": run.files,
        "changed_bytes": run.changed_bytes, "stored_bytes": run.stored_bytes, "fetched_bytes": run.fetched_bytes,
        "seconds": run.seconds, "cpu_seconds": run.cpu_seconds, "gigabytes_per_hour": run.gigabytes_per_hour(),
        "bottleneck": run.bottleneck.as_ref().map(ToString::to_string), "stages": stages,
    })
}

/// How many clients there may be.
pub fn print_capacity(console: &Console, settings: &Settings, found: &Capacity) -> Outcome<()> {
    console.row(format!(
        "Clients of {} of which {} % change in a day: {} in {} on this machine one after another, {:.0} s each",
        text::size(settings.client_bytes),
        settings.change_percent,
        found.clients_of_machine,
        text::duration(settings.window),
        found.seconds_per_client
    ))?;
    if let Some(clients) = found.clients_of_target {
        console.row(format!(
            "  Each with a machine of its own: the target takes the uploads of {clients}"
        ))?;
    }
    console.json(&capacity_values(&demand(settings), found))?;
    Ok(console.flush()?)
}

/// What the settings ask for.
pub fn demand(settings: &Settings) -> Demand {
    Demand {
        client_bytes: settings.client_bytes,
        change_percent: settings.change_percent,
        window_seconds: settings.window.as_secs_f64(),
    }
}

/// The capacity as JSON.
pub fn capacity_values(demand: &Demand, found: &Capacity) -> Value {
    json!({
        "type": "benchmark-capacity", "client_bytes": demand.client_bytes, "change_percent": demand.change_percent,
        "window_seconds": demand.window_seconds, "seconds_per_client": found.seconds_per_client,
        "clients_of_machine": found.clients_of_machine, "clients_of_target": found.clients_of_target,
    })
}

fn short_size(bytes: u64) -> String {
    text::size(bytes).replace(".00", "").replace("bytes", "B")
}
