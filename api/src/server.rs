// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Serving, and what goes on beside it: progress, the pruning of logs, the end.

use std::{sync::Arc, time::Duration};

use duplicati_actors::scheduler::Scheduler;
use jiff::SignedDuration;
use tokio::sync::broadcast::error::RecvError;

use crate::{
    https::listener::{Listener, Peer},
    hub::Change,
    pause,
    routes::routes,
    schedules::Schedules,
    state::App,
};

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// How often old rows leave the logs.
const PRUNE_INTERVAL: Duration = Duration::from_secs(6 * 3_600);

/// Starts what runs beside the routes.
///
/// # Errors
/// When an actor does not start.
pub async fn start(app: &App) -> Result<(), duplicati_actors::error::RunError> {
    pause::at_start(app).await;
    let port = Arc::new(Schedules(Arc::downgrade(app)));
    let scheduler = Scheduler::start(port, Arc::clone(&app.clock)).await?;
    let mut proposed = scheduler.watch();
    // Set once, here.
    let _first = app.scheduler.set(scheduler).is_ok();
    let hub = Arc::clone(app);
    tokio::spawn(async move {
        while proposed.changed().await.is_ok() {
            hub.hub.tell(Change::Status);
        }
    });
    tokio::spawn(follow_queue(Arc::clone(app)));
    tokio::spawn(follow_ends(Arc::clone(app)));
    Ok(())
}

/// Tells what the queue does, and once a second how far it is.
async fn follow_queue(app: App) {
    let mut state = app.queue.watch();
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    let mut last = app.clock.monotonic();
    loop {
        tokio::select! {
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
                state.borrow_and_update();
                app.hub.tell(Change::Queue);
                app.hub.tell(Change::Progress);
            }
            _ = ticks.tick() => {
                let now = app.clock.monotonic();
                let seconds = now.saturating_sub(last).as_secs_f64();
                last = now;
                let queue = app.queue.state();
                if let Some(job) = &queue.active {
                    let counters = job.progress.snapshot();
                    app.rates
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .look(job.id, &counters, seconds);
                    app.hub.tell(Change::Progress);
                }
            }
        }
    }
}

async fn follow_ends(app: App) {
    let mut finished = app.queue.finished();
    loop {
        match finished.recv().await {
            Ok(job) => app.hub.tell(Change::Completed(job)),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Removes rows of logs that are older than a number of seconds, now and then.
pub async fn prune_logs(app: App, keep_seconds: i64) {
    let mut ticks = tokio::time::interval(PRUNE_INTERVAL);
    loop {
        ticks.tick().await;
        let Ok(before) = app.now().checked_sub(SignedDuration::from_secs(keep_seconds)) else {
            continue;
        };
        if let Err(error) = app.database.prune_logs(before.as_second()).await {
            tracing::warn!(%error, "failed to remove old rows of the logs");
        }
    }
}

/// Serves until told to stop. Open connections are not waited for: web sockets would never end.
///
/// # Errors
/// When the listener fails.
pub async fn serve(app: &App, listener: Listener, stop: impl Future<Output = ()>) -> std::io::Result<()> {
    let service = routes(app).into_make_service_with_connect_info::<Peer>();
    tokio::select! {
        served = async { axum::serve(listener, service).await } => served,
        () = stop => Ok(()),
    }
}
