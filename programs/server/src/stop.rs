// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What ends a server, and how long it may take.

use std::{
    io::{BufRead, Write},
    time::Duration,
};

use duplicati_api::state::App;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long the running job may take to put away what it has.
const GRACE: Duration = Duration::from_secs(20);
/// How long it may take to notice that it was cancelled.
const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// Share of the watchdog's time after which it is told that all is well.
const WATCHDOG_PARTS: u32 = 2;

/// SIGTERM and Ctrl-C, caught from the moment this is made.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one of them.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Lets the running job end and keep what it uploaded. A second signal, or the end of the grace, cancels it.
pub async fn wind_down(app: &App, signals: &mut Signals) {
    if let Some(scheduler) = app.scheduler.get() {
        scheduler.stop();
    }
    app.queue.close().await;
    tokio::select! {
        () = app.queue.idle() => return,
        () = signals.asked() => {}
        () = tokio::time::sleep(GRACE) => {}
    }
    if let Some(job) = &app.queue.state().active {
        tracing::warn!("the running job is cancelled");
        app.queue.abort(job.id).await;
    }
    // What does not end now ends with the process; a backup commits nothing halfway.
    let _ended = tokio::time::timeout(CANCEL_GRACE, app.queue.idle()).await.is_ok();
}

/// Tells systemd that the server is ready, and from then on that it lives. Without systemd nothing happens.
pub fn tell_ready() {
    let _told = sd_notify::notify(&[sd_notify::NotifyState::Ready]).is_ok();
    if let Some(interval) = sd_notify::watchdog_enabled() {
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(interval / WATCHDOG_PARTS);
            loop {
                ticks.tick().await;
                let _told = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]).is_ok();
            }
        });
    }
}

/// Tells systemd that the server ends.
pub fn tell_stopping() {
    let _told = sd_notify::notify(&[sd_notify::NotifyState::Stopping]).is_ok();
}

/// Answers a watchdog on standard input.
pub fn answer_pings() {
    let answering = std::thread::Builder::new()
        .name("keep-alive".to_owned())
        .spawn(|| {
            for line in std::io::stdin().lock().lines() {
                let mut output = std::io::stdout().lock();
                let answered = line.is_ok() && writeln!(output, "pong").and_then(|()| output.flush()).is_ok();
                if !answered {
                    return;
                }
            }
        });
    if let Err(error) = answering {
        tracing::warn!(%error, "the watchdog on standard input cannot be answered");
    }
}
