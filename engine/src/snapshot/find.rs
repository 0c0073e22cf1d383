// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Choosing snapshots as users name them: by number from the newest, by time, by identifier.

use jiff::Timestamp;

use crate::{format::manifest::Manifest, id::SnapshotId};

/// Snapshots oldest first, as the repository lists them.
pub type Snapshots = [(SnapshotId, Manifest)];

/// How a snapshot is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotName {
    /// 0 is the newest.
    Version(u64),
    /// The newest that is not younger than this time.
    Time(Timestamp),
    /// Its identifier.
    Id(SnapshotId),
}

/// No such snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// There are none at all.
    #[error("the repository holds no versions yet; run a backup first")]
    Empty,
    /// The number is too large.
    #[error("there is no version {wanted}: the versions are 0 (newest) to {last}")]
    NoVersion {
        /// The number asked for.
        wanted: u64,
        /// The oldest version's number.
        last: usize,
    },
    /// All are younger.
    #[error("no version is as old as {wanted}; the oldest is of {oldest}")]
    NoneSoOld {
        /// The time asked for.
        wanted: Timestamp,
        /// The oldest version's time.
        oldest: String,
    },
    /// The identifier is not among them.
    #[error("there is no version with the identifier {wanted}")]
    NoId {
        /// The identifier asked for.
        wanted: SnapshotId,
    },
}

/// Finds one snapshot; gives its number from the newest with it.
///
/// # Errors
/// When there is none of that name.
pub fn find<'a>(
    snapshots: &'a Snapshots,
    name: &SnapshotName,
) -> Result<(usize, &'a (SnapshotId, Manifest)), FindError> {
    let (Some(oldest), count) = (snapshots.first(), snapshots.len()) else {
        return Err(FindError::Empty);
    };
    let place = match name {
        SnapshotName::Version(number) => usize::try_from(*number)
            .ok()
            .and_then(|number| count.checked_sub(number.checked_add(1)?))
            .ok_or(FindError::NoVersion {
                wanted: *number,
                last: count - 1,
            })?,
        SnapshotName::Time(time) => snapshots
            .iter()
            .rposition(|(_, manifest)| {
                manifest
                    .time
                    .parse::<Timestamp>()
                    .is_ok_and(|begin| begin <= *time)
            })
            .ok_or_else(|| FindError::NoneSoOld {
                wanted: *time,
                oldest: oldest.1.time.clone(),
            })?,
        SnapshotName::Id(id) => snapshots
            .iter()
            .position(|(own, _)| own == id)
            .ok_or(FindError::NoId { wanted: *id })?,
    };
    Ok((count - 1 - place, &snapshots[place]))
}
