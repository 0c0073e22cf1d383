// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a run tells the world: events for single facts, counters for progress. Libraries emit, programs decide what to show.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How bad an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Of interest when looking for something.
    Verbose,
    /// Worth a line.
    Information,
    /// Something was not as it should be; the run goes on.
    Warning,
    /// Something was lost or not done; the run goes on.
    Error,
}

/// One fact.
#[derive(Debug, Clone)]
pub struct Event {
    /// How bad.
    pub severity: Severity,
    /// Stable identifier, for filters: `FileUnreadable`, `PackStored`, …
    pub id: &'static str,
    /// The path or object it is about, raw bytes.
    pub subject: Vec<u8>,
    /// In words.
    pub message: String,
}

/// Who hears events. Called from many threads; must not block for long.
pub trait EventSink: Send + Sync {
    /// Takes an event.
    fn event(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync> EventSink for F {
    fn event(&self, event: Event) {
        self(event);
    }
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Phase {
    /// Opening repository and index.
    Opening,
    /// Walking, reading, storing.
    Working,
    /// Index and manifest.
    Committing,
    /// Over.
    Done,
}

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        /// Counters of one run; all only rise, unless the run starts over.
        #[derive(Debug, Default)]
        pub struct Progress {
            phase: AtomicU64,
            current: std::sync::Mutex<Vec<u8>>,
            $($(#[$meta])* pub $name: AtomicU64,)*
        }

        /// The counters at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
        pub struct ProgressSnapshot {
            $($(#[$meta])* pub $name: u64,)*
        }

        impl Progress {
            /// Counts again from zero what sources are counted by; what went to and from the target stays.
            pub fn start_over(&self) {
                let before = self.snapshot();
                $(self.$name.store(0, Ordering::Relaxed);)*
                Self::add(&self.stored_objects, before.stored_objects);
                Self::add(&self.stored_bytes, before.stored_bytes);
                Self::add(&self.fetched_objects, before.fetched_objects);
                Self::add(&self.fetched_bytes, before.fetched_bytes);
                Self::add(&self.warnings, before.warnings);
                Self::add(&self.errors, before.errors);
                Self::add(&self.expected_bytes, before.expected_bytes);
                Self::add(&self.expected_files, before.expected_files);
            }

            /// All counters at one moment.
            pub fn snapshot(&self) -> ProgressSnapshot {
                ProgressSnapshot { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Entries looked at.
    examined_entries,
    /// Files looked at.
    examined_files,
    /// Bytes of files looked at.
    examined_bytes,
    /// Files read.
    opened_files,
    /// Bytes read.
    opened_bytes,
    /// Files that are new.
    added_files,
    /// Bytes of new files.
    added_bytes,
    /// Files that changed.
    modified_files,
    /// Bytes of changed files.
    modified_bytes,
    /// Folders that are new.
    added_folders,
    /// Folders whose metadata changed.
    modified_folders,
    /// Links that are new.
    added_symlinks,
    /// Links that changed.
    modified_symlinks,
    /// Files gone since the parent snapshot.
    deleted_files,
    /// Folders gone.
    deleted_folders,
    /// Links gone.
    deleted_symlinks,
    /// Files not read because of an error.
    files_with_error,
    /// Sources, and folders above sources, that could not be entered.
    missing_sources,
    /// 1 when the walk was ended before its end because the run was to finish early.
    cut_off,
    /// Files skipped for their size.
    too_large_files,
    /// Chunks that were not there yet.
    new_chunks,
    /// Raw bytes of those.
    new_bytes,
    /// Bytes after compression.
    compressed_bytes,
    /// Objects stored.
    stored_objects,
    /// Bytes stored.
    stored_bytes,
    /// Objects fetched.
    fetched_objects,
    /// Bytes fetched.
    fetched_bytes,
    /// Files written by a restore.
    restored_files,
    /// Bytes written by a restore.
    restored_bytes,
    /// Warnings so far.
    warnings,
    /// Errors so far.
    errors,
    /// Bytes expected in total, 0 while unknown.
    expected_bytes,
    /// Files expected in total, 0 while unknown.
    expected_files,
}

impl ProgressSnapshot {
    /// Whether the source is as the parent snapshot has it.
    pub fn is_unchanged(&self) -> bool {
        [
            self.added_files,
            self.modified_files,
            self.deleted_files,
            self.added_folders,
            self.modified_folders,
            self.deleted_folders,
            self.added_symlinks,
            self.modified_symlinks,
            self.deleted_symlinks,
        ]
        .iter()
        .all(|count| *count == 0)
    }
}

impl Progress {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// Sets the phase.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u64, Ordering::Relaxed);
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Opening,
            1 => Phase::Working,
            2 => Phase::Committing,
            _ => Phase::Done,
        }
    }

    /// Says what is being worked on. Costs a lock, so it is called per large file or batch, not per small file.
    pub fn set_current(&self, path: &[u8]) {
        if let Ok(mut current) = self.current.try_lock() {
            current.clear();
            current.extend_from_slice(path);
        }
    }

    /// What is being worked on.
    pub fn current(&self) -> Vec<u8> {
        self.current
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

/// Progress and events of one run, as stages hold them.
#[derive(Clone)]
pub struct Monitor {
    /// Counters.
    pub progress: Arc<Progress>,
    sink: Arc<dyn EventSink>,
}

impl Monitor {
    /// A monitor that tells `sink`.
    pub fn new(sink: Arc<dyn EventSink>) -> Self {
        Self {
            progress: Arc::default(),
            sink,
        }
    }

    /// A monitor that only counts.
    pub fn silent() -> Self {
        Self::new(Arc::new(|_event: Event| {}))
    }

    /// Tells an event; warnings and errors are counted.
    pub fn tell(&self, severity: Severity, id: &'static str, subject: &[u8], message: impl Into<String>) {
        match severity {
            Severity::Warning => Progress::add(&self.progress.warnings, 1),
            Severity::Error => Progress::add(&self.progress.errors, 1),
            _ => {}
        }
        self.sink.event(Event {
            severity,
            id,
            subject: subject.to_vec(),
            message: message.into(),
        });
    }
}
