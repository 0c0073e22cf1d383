// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the scheduler needs: stored schedules, and a way to start a job.

use std::sync::Weak;

use duplicati_actors::scheduler::{PortFuture, SchedulePort, Schedules as Listed};
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    operations::{self, Operation},
    state::State,
};

/// The port. It holds the server weakly: the server owns the scheduler.
pub struct Schedules(pub Weak<State>);

impl SchedulePort for Schedules {
    fn schedules(&self) -> PortFuture<'_, Result<Listed, String>> {
        Box::pin(async move {
            let Some(state) = self.0.upgrade() else {
                return Ok((Vec::new(), TimeZone::UTC));
            };
            let stored = state
                .database
                .schedules()
                .await
                .map_err(|error| error.to_string())?;
            let rules = stored
                .into_iter()
                .filter_map(|(id, schedule)| Some((id, schedule.rules()?)))
                .collect();
            Ok((rules, state.zone()))
        })
    }

    fn start<'a>(&'a self, backup_id: &'a str, next: Timestamp) -> PortFuture<'a, ()> {
        Box::pin(async move {
            let Some(state) = self.0.upgrade() else { return };
            let operation = Operation {
                next: Some(next),
                ..Operation::new("Backup", "backup")
            };
            if let Err(error) = operations::enqueue(&state, backup_id, operation, false).await {
                tracing::warn!(backup = backup_id, message = %error.message, "a scheduled run could not be queued");
            }
        })
    }
}
