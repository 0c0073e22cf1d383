// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the queue tells about itself.

use std::{collections::VecDeque, sync::Arc};

use duplicati_engine::clock::Timestamp;

use super::{FINISHED_JOBS_MAX, JobOutcome};
use crate::events::Progress;

/// Where a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    Waiting,
    Running,
    Ended(JobOutcome),
}

/// One job.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: u64,
    pub backup_id: Option<String>,
    pub kind: &'static str,
    pub state: JobState,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    /// Its counters.
    pub progress: Arc<Progress>,
}

/// All jobs at one moment.
#[derive(Debug, Clone, Default)]
pub struct QueueState {
    pub active: Option<Job>,
    /// In the order in which they will run.
    pub waiting: Vec<Job>,
    /// The last ones that ended, oldest first.
    pub finished: VecDeque<Job>,
    pub is_paused: bool,
}

impl QueueState {
    /// A job by its number.
    pub fn find(&self, id: u64) -> Option<&Job> {
        self.active
            .iter()
            .chain(&self.waiting)
            .chain(&self.finished)
            .find(|job| job.id == id)
    }

    /// A job that runs or waits for a backup.
    pub fn of_backup(&self, backup_id: &str) -> Option<&Job> {
        self.active
            .iter()
            .chain(&self.waiting)
            .find(|job| job.backup_id.as_deref() == Some(backup_id))
    }

    /// The running job, or else the one that ran last.
    pub fn latest(&self) -> Option<&Job> {
        self.active
            .as_ref()
            .or_else(|| self.finished.iter().rev().find(|job| job.started.is_some()))
    }

    pub(super) fn remember(&mut self, job: Job) {
        if self.finished.len() == FINISHED_JOBS_MAX {
            self.finished.pop_front();
        }
        self.finished.push_back(job);
    }
}
