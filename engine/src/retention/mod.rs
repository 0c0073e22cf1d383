// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which snapshots stay: a pure decision from their times and the policy; deleting happens elsewhere.

mod parse;
mod plan;
mod policy;

pub use parse::{RetentionParseError, parse_age, parse_retention_policy, parse_timespan};
pub use plan::{
    KeepReason, PlannedSnapshot, RemoveReason, RetentionOptions, RetentionPlan, SnapshotForRetention,
    Verdict, plan,
};
pub use policy::{AgeSpan, Frame, RetentionPolicy};
