// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Ctrl-C and a request to terminate do to a run.

use std::future::Future;

use duplicati_programs_common::{ExitCode, error_id::ids};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    failure::{Outcome, failed},
    invocation::Invocation,
};

/// How long a cancelled run may take to put its things away before the program ends without it, milliseconds.
const CANCEL_GRACE_MS: u64 = 800;

/// The same for a benchmark, which removes what it has stored at the target, milliseconds: a slow target takes its time.
const CLEANING_GRACE_MS: u64 = 120_000;

/// From now on a signal ends the program at once: the command is over, and only a script or a report is waited for. Without this it would be
/// swallowed, because whoever listened for signals during the command does so for the rest of the process.
pub fn end_at_once() {
    let (ready, is_ready) = std::sync::mpsc::channel();
    let wait = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            let _waited_for = ready.send(());
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(ExitCode::Failed.code().into());
        });
    };
    // Without a thread to spare, the limits of time of scripts and reports remain.
    let started = std::thread::Builder::new().name("signals".to_owned()).spawn(wait);
    if started.is_ok() {
        // An error means that the thread gave up.
        let _listening = is_ready.recv();
    }
}

/// Runs a command so that signals reach it: the first Ctrl-C lets a backup end with a partial version, a second one or SIGTERM cancels.
pub async fn guard(
    invocation: &Invocation,
    command: impl Future<Output = Outcome<ExitCode>>,
) -> Outcome<ExitCode> {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return command.await;
    };
    tokio::pin!(command);
    // Only a backup has something to keep when it ends early.
    let mut may_finish_early = invocation.spec.name == "backup";
    loop {
        let cancel = tokio::select! {
            outcome = &mut command => return outcome,
            _ = interrupt.recv() => !may_finish_early,
            _ = terminate.recv() => true,
        };
        if cancel {
            break;
        }
        may_finish_early = false;
        invocation.control.finish_early();
        invocation
            .console
            .notice("Stopping after the work at hand; press Ctrl-C again to cancel at once");
    }
    invocation.console.notice("Cancelling");
    invocation.control.cancel();
    let grace = if invocation.spec.name == "benchmark" {
        CLEANING_GRACE_MS
    } else {
        CANCEL_GRACE_MS
    };
    let cancelled = || Err(failed(ids::RUN_CANCELLED, "the run was cancelled"));
    tokio::select! {
        outcome = command => outcome,
        () = tokio::time::sleep(std::time::Duration::from_millis(grace)) => cancelled(),
        // Whoever asks again wants it now.
        _ = interrupt.recv() => cancelled(),
        _ = terminate.recv() => cancelled(),
    }
}
