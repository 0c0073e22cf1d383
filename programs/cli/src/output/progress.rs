// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Showing how far a run is: a bar for a person, a line now and then for a log, objects for a program.

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use duplicati_actors::events::{Monitor, Phase, Progress, ProgressSnapshot};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Console, json::ProgressLine, text};

const BAR_INTERVAL_MS: u64 = 150;
const JSON_INTERVAL_MS: u64 = 1_000;
const LINE_INTERVAL_MS: u64 = 5_000;
const BAR_DRAWS_PER_SECOND: u8 = 10;
/// Longest part of a path that the bar shows, in characters.
const PATH_CHARACTERS_MAX: usize = 60;

/// What the run moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Backup,
    Restore,
    /// Anything that fetches stored files.
    Maintenance,
}

/// Shows the progress of a run until it is dropped.
pub struct ProgressDisplay {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    console: Arc<Console>,
}

impl ProgressDisplay {
    /// Begins to show what `monitor` counts.
    pub fn start(console: &Arc<Console>, monitor: &Monitor, work: Work) -> Self {
        let mut display = Self {
            stop: None,
            thread: None,
            console: Arc::clone(console),
        };
        if !console.shows_progress() {
            return display;
        }
        let (stop, stopped) = mpsc::channel();
        let (console, progress) = (Arc::clone(console), Arc::clone(&monitor.progress));
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || show(&console, &progress, work, &stopped));
        // Without a thread to spare the run goes on unseen.
        if let Ok(thread) = thread {
            display.stop = Some(stop);
            display.thread = Some(thread);
        }
        display
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _panicked_or_not = thread.join();
        }
        self.console.set_bar(None);
    }
}

fn show(console: &Console, progress: &Progress, work: Work, stopped: &mpsc::Receiver<()>) {
    if console.shows_bar() {
        return show_bar(console, progress, work, stopped);
    }
    let interval = if console.is_json() {
        JSON_INTERVAL_MS
    } else {
        LINE_INTERVAL_MS
    };
    while stopped.recv_timeout(Duration::from_millis(interval)) == Err(mpsc::RecvTimeoutError::Timeout) {
        let counters = progress.snapshot();
        if console.is_json() {
            let line = ProgressLine::new(progress.phase(), progress.current(), counters);
            let _seen_or_not = console.json(&line).and_then(|()| console.flush());
        } else {
            console.notice(plain_line(progress.phase(), &counters, work));
        }
    }
}

fn show_bar(console: &Console, progress: &Progress, work: Work, stopped: &mpsc::Receiver<()>) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(BAR_DRAWS_PER_SECOND));
    bar.set_style(style("{spinner} {binary_bytes_per_sec}  {wide_msg}"));
    console.set_bar(Some(bar.clone()));
    let mut has_length = false;
    while stopped.recv_timeout(Duration::from_millis(BAR_INTERVAL_MS)) == Err(mpsc::RecvTimeoutError::Timeout)
    {
        let counters = progress.snapshot();
        if counters.expected_bytes > 0 {
            if !has_length {
                has_length = true;
                bar.set_style(style(
                    "{spinner} [{bar:30}] {percent:>3}% {binary_bytes_per_sec} ETA {eta}  {wide_msg}",
                ));
            }
            bar.set_length(counters.expected_bytes.max(moved_bytes(&counters, work)));
        }
        bar.set_position(moved_bytes(&counters, work));
        let current: String = {
            let shown = text::display_path(&progress.current()).to_string();
            let skipped = shown.chars().count().saturating_sub(PATH_CHARACTERS_MAX);
            shown.chars().skip(skipped).collect()
        };
        bar.set_message(format!(
            "{}  {current}",
            plain_line(progress.phase(), &counters, work)
        ));
        bar.tick();
    }
    bar.finish_and_clear();
    console.set_bar(None);
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn moved_bytes(counters: &ProgressSnapshot, work: Work) -> u64 {
    match work {
        Work::Backup => counters.examined_bytes,
        Work::Restore => counters.restored_bytes,
        Work::Maintenance => counters.fetched_bytes,
    }
}

fn plain_line(phase: Phase, counters: &ProgressSnapshot, work: Work) -> String {
    match (phase, work) {
        (Phase::Opening, _) => "Reading the list of stored data".to_owned(),
        (Phase::Committing, Work::Backup) => "Storing the new version".to_owned(),
        (_, Work::Backup) => {
            let examined = format!(
                "Examined {} ({}), stored {}",
                text::count(counters.examined_files, "file", "files"),
                text::size(counters.examined_bytes),
                text::size(counters.stored_bytes)
            );
            match counters.expected_files.checked_sub(counters.examined_files) {
                // What is expected is what the last backup met.
                Some(left) if left > 0 => {
                    format!(
                        "{examined}, about {} to examine",
                        text::count(left, "file", "files")
                    )
                }
                _ => examined,
            }
        }
        (_, Work::Restore) => format!(
            "Restored {} ({}), downloaded {}",
            text::count(counters.restored_files, "file", "files"),
            text::size(counters.restored_bytes),
            text::size(counters.fetched_bytes)
        ),
        (_, Work::Maintenance) => format!(
            "Read {} ({}), stored {}",
            text::count(counters.fetched_objects, "object", "objects"),
            text::size(counters.fetched_bytes),
            text::size(counters.stored_bytes)
        ),
    }
}
