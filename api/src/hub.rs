// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Counts what happens, and tells everybody who waits.

use std::sync::atomic::{AtomicU64, Ordering};

use duplicati_actors::job_queue::Job;
use tokio::sync::{broadcast, watch};

/// Changes that a slow socket may be behind before it is sent everything anew.
const CHANGES_BEHIND_MAX: usize = 256;

/// What has changed.
#[derive(Debug, Clone)]
pub enum Change {
    /// The state of the server; comes with everything else as well.
    Status,
    Settings,
    Backups,
    Notifications,
    Queue,
    Progress,
    Completed(Job),
}

/// Counters and their listeners.
pub struct Hub {
    events: watch::Sender<u64>,
    changes: broadcast::Sender<Change>,
    data: AtomicU64,
    notifications: AtomicU64,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            events: watch::channel(1).0,
            changes: broadcast::channel(CHANGES_BEHIND_MAX).0,
            data: AtomicU64::new(1),
            notifications: AtomicU64::new(1),
        }
    }
}

impl Hub {
    /// Tells a change.
    pub fn tell(&self, change: Change) {
        match &change {
            Change::Settings | Change::Backups => {
                self.data.fetch_add(1, Ordering::Relaxed);
            }
            Change::Notifications => {
                self.notifications.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        // Progress is no event: it would wake every long poll each second.
        let is_event = !matches!(change, Change::Progress);
        if is_event {
            self.events.send_modify(|count| *count += 1);
        }
        let is_status = matches!(change, Change::Status);
        // Nobody may be listening.
        let _heard = self.changes.send(change).is_ok();
        if is_event && !is_status {
            let _heard = self.changes.send(Change::Status).is_ok();
        }
    }

    /// Follows the changes.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Follows the number of events.
    pub fn events(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }

    /// Events, changes of data, and changes of notifications so far.
    pub fn counters(&self) -> (u64, u64, u64) {
        (
            *self.events.borrow(),
            self.data.load(Ordering::Relaxed),
            self.notifications.load(Ordering::Relaxed),
        )
    }
}
