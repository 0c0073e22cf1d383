// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The decision, with a reason for every snapshot.

use super::policy::{AgeSpan, Frame, RetentionPolicy};

/// The tolerance for `keep-time`: one hundredth of the span, at most an hour.
const TOLERANCE_SECONDS_MAX: i64 = 3600;

/// A snapshot as the plan sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotForRetention {
    /// What the caller calls it; 0 is the newest.
    pub index: usize,
    /// When it was made.
    pub time_unix_seconds: i64,
    /// Whether the run that made it came to its end.
    pub complete: bool,
}

/// What bends the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionOptions {
    /// Whether the last snapshot may go.
    pub allow_full_removal: bool,
    /// Whether `keep-time` waits a little longer.
    pub time_tolerance: bool,
}

/// Why a snapshot stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepReason {
    /// It is the newest of all.
    Newest,
    /// It is the newest complete one.
    NewestComplete,
    /// It is young enough.
    WithinTime,
    /// It is among the newest complete ones that are kept.
    WithinCount,
    /// It is partial, and no complete one is on both sides.
    PartialNotReplaced,
    /// It is the oldest in its frame.
    OldestInFrame,
    /// It is far enough from the last kept one.
    IntervalReached,
    /// It is partial and inside a frame.
    PartialInFrame,
}

/// Why a snapshot goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveReason {
    /// It is older than the policy reaches.
    TooOld,
    /// There are enough newer ones.
    BeyondCount,
    /// It is partial, between two complete ones.
    PartialReplaced,
    /// It is too near to the last kept one.
    WithinInterval,
}

/// What happens to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep(KeepReason),
    /// It goes.
    Remove(RemoveReason),
}

/// A snapshot with its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedSnapshot {
    /// The snapshot.
    pub snapshot: SnapshotForRetention,
    /// What happens to it.
    pub verdict: Verdict,
}

/// All verdicts, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPlan {
    /// The snapshots.
    pub snapshots: Vec<PlannedSnapshot>,
}

impl RetentionPlan {
    /// Goes through those that are to be removed.
    pub fn removed(&self) -> impl Iterator<Item = &PlannedSnapshot> {
        self.snapshots
            .iter()
            .filter(|planned| matches!(planned.verdict, Verdict::Remove(_)))
    }
}

/// Decides which snapshots stay.
pub fn plan(
    snapshots: &[SnapshotForRetention],
    now_unix_seconds: i64,
    policy: &RetentionPolicy,
    options: RetentionOptions,
) -> RetentionPlan {
    let mut newest_first = snapshots.to_vec();
    newest_first.sort_by_key(|snapshot| (std::cmp::Reverse(snapshot.time_unix_seconds), snapshot.index));
    let mut verdicts = match policy {
        RetentionPolicy::KeepTime(span) => keep_time(&newest_first, now_unix_seconds, *span, options),
        RetentionPolicy::KeepVersions(count) => keep_versions(&newest_first, *count as usize),
        RetentionPolicy::Frames(frames) => keep_frames(&newest_first, now_unix_seconds, frames),
    };
    if let (Some(first), false) = (verdicts.first_mut(), options.allow_full_removal)
        && matches!(first, Verdict::Remove(_))
    {
        *first = Verdict::Keep(KeepReason::Newest);
    }
    let pairs = newest_first.into_iter().zip(verdicts);
    RetentionPlan {
        snapshots: pairs
            .map(|(snapshot, verdict)| PlannedSnapshot { snapshot, verdict })
            .collect(),
    }
}

fn keep_time(
    newest_first: &[SnapshotForRetention],
    now: i64,
    span: AgeSpan,
    options: RetentionOptions,
) -> Vec<Verdict> {
    let cutoff = span.before(now);
    let tolerance = now
        .saturating_sub(cutoff)
        .div_euclid(100)
        .clamp(0, TOLERANCE_SECONDS_MAX);
    let cutoff = if options.time_tolerance {
        cutoff.saturating_sub(tolerance)
    } else {
        cutoff
    };
    let newest_complete = newest_first.iter().position(|snapshot| snapshot.complete);
    let verdict = |(position, snapshot): (usize, &SnapshotForRetention)| {
        if snapshot.time_unix_seconds >= cutoff {
            Verdict::Keep(KeepReason::WithinTime)
        } else if Some(position) == newest_complete {
            Verdict::Keep(KeepReason::NewestComplete)
        } else {
            Verdict::Remove(RemoveReason::TooOld)
        }
    };
    newest_first.iter().enumerate().map(verdict).collect()
}

fn keep_versions(newest_first: &[SnapshotForRetention], count: usize) -> Vec<Verdict> {
    let oldest_complete = newest_first.iter().rposition(|snapshot| snapshot.complete);
    let mut kept = 0;
    let verdict = |(position, snapshot): (usize, &SnapshotForRetention)| {
        if count > 0 && kept == count {
            Verdict::Remove(RemoveReason::BeyondCount)
        } else if snapshot.complete {
            kept += 1;
            Verdict::Keep(KeepReason::WithinCount)
        } else if count > 0 && kept > 0 && oldest_complete.is_some_and(|oldest| position < oldest) {
            Verdict::Remove(RemoveReason::PartialReplaced)
        } else {
            Verdict::Keep(KeepReason::PartialNotReplaced)
        }
    };
    newest_first.iter().enumerate().map(verdict).collect()
}

fn keep_frames(newest_first: &[SnapshotForRetention], now: i64, frames: &[Frame]) -> Vec<Verdict> {
    let frame_of = |snapshot: &SnapshotForRetention| {
        let age = now.saturating_sub(snapshot.time_unix_seconds);
        frames
            .iter()
            .position(|frame| frame.reach_seconds.is_none_or(|reach| age <= reach))
    };
    let mut last_kept: Vec<Option<i64>> = vec![None; frames.len()];
    let mut verdicts = Vec::with_capacity(newest_first.len());
    for (position, snapshot) in newest_first.iter().enumerate().rev() {
        let time = snapshot.time_unix_seconds;
        verdicts.push(match frame_of(snapshot) {
            None => Verdict::Remove(RemoveReason::TooOld),
            Some(_) if position == 0 => Verdict::Keep(KeepReason::Newest),
            Some(_) if !snapshot.complete => Verdict::Keep(KeepReason::PartialInFrame),
            Some(frame) => match last_kept[frame] {
                Some(last) if time.saturating_sub(last) < frames[frame].interval_seconds => {
                    Verdict::Remove(RemoveReason::WithinInterval)
                }
                last => {
                    last_kept[frame] = Some(time);
                    Verdict::Keep(last.map_or(KeepReason::OldestInFrame, |_| KeepReason::IntervalReached))
                }
            },
        });
    }
    verdicts.reverse();
    verdicts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::retention::{parse_age, parse_retention_policy};

    const DAY: i64 = 86_400;
    const NOW: i64 = 1_700_000_000;
    const SAFE: RetentionOptions = RetentionOptions {
        allow_full_removal: false,
        time_tolerance: true,
    };

    /// Snapshots by age in days, newest first; a negative sign would be the future, `false` is partial.
    fn kept(ages: &[(i64, bool)], policy: &RetentionPolicy, options: RetentionOptions) -> Vec<i64> {
        let snapshots: Vec<_> = ages
            .iter()
            .enumerate()
            .map(|(index, &(age, complete))| SnapshotForRetention {
                index,
                time_unix_seconds: NOW - age * DAY,
                complete,
            })
            .collect();
        let planned = plan(&snapshots, NOW, policy, options).snapshots.into_iter();
        planned
            .filter(|planned| matches!(planned.verdict, Verdict::Keep(_)))
            .map(|planned| (NOW - planned.snapshot.time_unix_seconds) / DAY)
            .collect()
    }

    #[test]
    fn keep_time_keeps_the_newest_complete_one_whatever_its_age() {
        let policy = RetentionPolicy::KeepTime(parse_age("7D").unwrap());
        assert_eq!(kept(&[(1, true), (7, true), (8, true)], &policy, SAFE), [1, 7]);
        let all = RetentionOptions {
            allow_full_removal: true,
            ..SAFE
        };
        assert_eq!(kept(&[(20, false), (30, true), (40, true)], &policy, all), [30]);
        assert_eq!(
            kept(&[(20, false), (30, true), (40, true)], &policy, SAFE),
            [20, 30]
        );
    }

    #[test]
    fn tolerance_saves_a_snapshot_by_at_most_an_hour() {
        let policy = RetentionPolicy::KeepTime(parse_age("7D").unwrap());
        let strict = RetentionOptions {
            time_tolerance: false,
            ..SAFE
        };
        let at = |late| SnapshotForRetention {
            index: 1,
            time_unix_seconds: NOW - 7 * DAY - late,
            complete: true,
        };
        let newest = SnapshotForRetention {
            index: 0,
            time_unix_seconds: NOW,
            complete: true,
        };
        let removed = |late, options| plan(&[newest, at(late)], NOW, &policy, options).removed().count();
        assert_eq!(
            [
                removed(3600, SAFE),
                removed(3601, SAFE),
                removed(1, strict),
                removed(0, strict)
            ],
            [0, 1, 1, 0]
        );
    }

    #[test]
    fn keep_versions_counts_complete_ones_only() {
        let policy = RetentionPolicy::KeepVersions(2);
        let ages = [
            (1, false),
            (2, true),
            (3, false),
            (4, true),
            (5, false),
            (6, true),
        ];
        assert_eq!(kept(&ages, &policy, SAFE), [1, 2, 4]);
        assert_eq!(
            kept(&ages, &RetentionPolicy::KeepVersions(0), SAFE),
            [1, 2, 3, 4, 5, 6]
        );
    }

    #[test]
    fn frames_thin_out_from_old_to_new() {
        let policy = RetentionPolicy::Frames(parse_retention_policy("3D:U,9D:2D").unwrap());
        let ages: Vec<_> = (0..12).map(|age| (age, age != 6)).collect();
        assert_eq!(kept(&ages, &policy, SAFE), [0, 1, 2, 3, 5, 6, 7, 9]);
        let all = RetentionOptions {
            allow_full_removal: true,
            ..SAFE
        };
        assert_eq!(kept(&[(20, true), (30, true)], &policy, SAFE), [20]);
        assert!(kept(&[(20, true), (30, true)], &policy, all).is_empty());
    }

    proptest! {
        #[test]
        fn newest_is_always_kept_without_full_removal(
            ages in prop::collection::vec((0_i64..400, any::<bool>()), 1..40),
            which in 0..3,
        ) {
            let policy = match which {
                0 => RetentionPolicy::KeepTime(parse_age("1M").unwrap()),
                1 => RetentionPolicy::KeepVersions(3),
                _ => RetentionPolicy::Frames(parse_retention_policy("1W:1D,4W:1W,6M:1M").unwrap()),
            };
            let newest = ages.iter().map(|&(age, _)| age).min();
            prop_assert_eq!(kept(&ages, &policy, SAFE).first().copied(), newest);
        }
    }
}
