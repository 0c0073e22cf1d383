// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sessions and collection plans (section 10).

use serde::{Deserialize, Serialize};

use crate::id::{PackId, PlanId, RepositoryId, SegmentId, SnapshotId};

/// Says that somebody is writing; ends when the snapshot of the same name exists (S-3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// 1.
    pub version: u32,
    /// The repository.
    pub repository_id: RepositoryId,
    /// ISO 8601, for people and for deciding when to bother (S-4).
    pub started: String,
    /// Host name.
    pub host: String,
    /// Program and version.
    pub program: String,
    /// Random identity of the machine's local database: a collector on the same one knows that the session is over.
    pub machine: String,
}

/// What a collector means to delete (S-2, S-3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// 1.
    pub version: u32,
    /// The repository.
    pub repository_id: RepositoryId,
    /// ISO 8601.
    pub created: String,
    /// Host name.
    pub host: String,
    /// Condemned packs.
    pub packs: Vec<PackId>,
    /// Index segments that describe them.
    pub segments: Vec<SegmentId>,
}

/// The collector's own object under a session's snapshot name: the session can no longer commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// 1.
    pub version: u32,
    /// Always `"fence"`.
    pub kind: String,
    /// The name that it was put under, so that it ends no other session. Absent in fences of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<SnapshotId>,
    /// The plan it was put for.
    pub plan: PlanId,
}
