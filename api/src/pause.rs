// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Pausing for a while or until told otherwise. The end is stored, so that a restart does not shorten a pause.

use std::{sync::PoisonError, time::Duration};

use duplicati_actors::schedule::Repeat;
use jiff::{SignedDuration, Timestamp};

use crate::{database::DatabaseError, hub::Change, state::App};

const STORED: &str = "paused-until";
/// What is stored for a pause without an end.
const WITHOUT_END: &str = "0";
/// Ticks of 100 ns from year 1 to 1970, and ticks per second.
const EPOCH_TICKS: i128 = 621_355_968_000_000_000;
const TICKS_PER_SECOND: i128 = 10_000_000;
/// A clock that is set during a pause is noticed this soon, seconds.
const LOOK_SECONDS: u64 = 30;

fn ticks(time: Timestamp) -> String {
    (EPOCH_TICKS + i128::from(time.as_second()) * TICKS_PER_SECOND).to_string()
}

fn of_ticks(text: &str) -> Option<Timestamp> {
    let ticks: i128 = text.trim().parse().ok()?;
    let seconds = (ticks - EPOCH_TICKS) / TICKS_PER_SECOND;
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

/// Pauses for a number of seconds, or without an end.
///
/// # Errors
/// When the database fails.
pub async fn pause(app: &App, seconds: Option<i64>) -> Result<(), DatabaseError> {
    let end = seconds.and_then(|seconds| app.now().checked_add(SignedDuration::from_secs(seconds)).ok());
    let stored = end.map_or_else(|| WITHOUT_END.to_owned(), ticks);
    app.settings
        .set_server(&app.database, &[(STORED.to_owned(), Some(stored))])
        .await?;
    begin(app, end).await;
    Ok(())
}

async fn begin(app: &App, end: Option<Timestamp>) {
    *app.pause_end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    app.queue.pause().await;
    app.hub.tell(Change::Status);
    if let Some(end) = end {
        let app = app.clone();
        tokio::spawn(async move { wait(&app, end).await });
    }
}

/// Ends a pause when its time has come, unless it was changed since.
async fn wait(app: &App, end: Timestamp) {
    loop {
        let is_mine = *app.pause_end.lock().unwrap_or_else(PoisonError::into_inner) == Some(end);
        if !is_mine || !app.queue.state().is_paused {
            return;
        }
        let left = duplicati_actors::schedule::seconds_until(app.now(), end);
        match left {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds.min(LOOK_SECONDS))).await,
            None => {
                if app.now() < end {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
                if let Err(error) = resume(app).await {
                    tracing::error!(%error, "failed to end the pause");
                }
                return;
            }
        }
    }
}

/// Goes on.
///
/// # Errors
/// When the database fails.
pub async fn resume(app: &App) -> Result<(), DatabaseError> {
    app.settings
        .set_server(&app.database, &[(STORED.to_owned(), Some(String::new()))])
        .await?;
    *app.pause_end.lock().unwrap_or_else(PoisonError::into_inner) = None;
    app.queue.resume().await;
    app.hub.tell(Change::Status);
    app.wake_scheduler();
    Ok(())
}

/// Pauses as it was before the restart, or as long as a start is to wait, whichever ends later.
pub async fn at_start(app: &App) {
    let now = app.now();
    let delay = Repeat::parse(&app.settings.server_or_default("startup-delay"))
        .ok()
        .and_then(|delay| delay.flat_seconds())
        .and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok());
    let stored = app.settings.server_or_default(STORED);
    if stored.trim() == WITHOUT_END {
        return begin(app, None).await;
    }
    let end = of_ticks(&stored).filter(|end| *end > now).max(delay);
    if end.is_some() {
        begin(app, end).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_count_from_the_first_year() {
        let time: Timestamp = "2026-08-22T13:00:00Z".parse().unwrap();
        assert_eq!(of_ticks(&ticks(time)), Some(time));
        assert_eq!(of_ticks("621355968000000000"), Some(Timestamp::UNIX_EPOCH));
        for wrong in ["", "x", "99999999999999999999999999999999"] {
            assert_eq!(of_ticks(wrong), None);
        }
    }
}
