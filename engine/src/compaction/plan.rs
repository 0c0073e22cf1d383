// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which packs go, which are written again and why; decided from figures alone, so a dry run is free.

use std::collections::HashMap;

use serde::Serialize;

use crate::{
    format::pack::PackClass,
    id::{PackId, SegmentId},
};

/// Segments below this stored size are small, bytes.
const SMALL_SEGMENT_BYTES: u64 = 256 << 10;
/// More small segments than this are merged.
const SMALL_SEGMENTS_MAX: usize = 64;

/// When a pack is worth writing again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Thresholds {
    /// Rewrite packs of which more than this share is not needed, percent.
    pub waste_percent: u32,
    /// Packs below this are small, bytes.
    pub small_size_bytes: u64,
    /// More small packs of a class than this are merged.
    pub small_count_max: usize,
}

impl Thresholds {
    /// The defaults for a pack size: 25 % waste, small is a fifth of a pack, 20 of them.
    pub fn for_pack_size(pack_size_bytes: u64) -> Self {
        Self {
            waste_percent: 25,
            small_size_bytes: pack_size_bytes / 5,
            small_count_max: 20,
        }
    }
}

/// What is known about a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFacts {
    /// The pack.
    pub id: PackId,
    /// What it holds.
    pub class: PackClass,
    /// Size of the object, bytes.
    pub size_bytes: u64,
    /// Raw size of all its chunks, bytes.
    pub raw_bytes: u64,
    /// Raw size of the chunks that are needed from here, bytes.
    pub live_bytes: u64,
    /// The target lists it.
    pub is_present: bool,
    /// An earlier plan names it: it will go, so what is needed of it must move.
    pub is_doomed: bool,
}

impl PackFacts {
    /// Share that is not needed, percent.
    pub fn waste_percent(&self) -> u64 {
        (self.raw_bytes - self.live_bytes.min(self.raw_bytes)) * 100 / self.raw_bytes.max(1)
    }

    fn waste_bytes(&self) -> u64 {
        let share = u128::from(self.raw_bytes - self.live_bytes.min(self.raw_bytes));
        (u128::from(self.size_bytes) * share / u128::from(self.raw_bytes.max(1))) as u64
    }
}

/// What is known about an index segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFacts {
    /// The segment.
    pub id: SegmentId,
    /// Size of the object, bytes.
    pub size_bytes: u64,
    /// The packs it describes.
    pub packs: Vec<PackId>,
    /// An earlier plan names it.
    pub is_doomed: bool,
}

/// What happens to a pack, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackVerdict {
    /// It stays.
    Keep,
    /// It stays because the target does not list it: nothing can be done about it here.
    KeepMissing,
    /// No snapshot needs anything of it.
    DeleteUnneeded,
    /// No segment describes it: what a run that was cut off left behind.
    DeleteUnindexed,
    /// Too little of it is needed.
    RewriteWaste,
    /// There are too many small ones.
    RewriteSmall,
    /// An earlier collection that did not finish has condemned it.
    RewriteCondemned,
}

impl PackVerdict {
    /// Whether the pack goes.
    pub fn is_removed(self) -> bool {
        !matches!(self, Self::Keep | Self::KeepMissing)
    }

    /// Whether what is needed of it is copied first.
    pub fn is_rewritten(self) -> bool {
        matches!(
            self,
            Self::RewriteWaste | Self::RewriteSmall | Self::RewriteCondemned
        )
    }
}

/// One pack of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PlannedPack {
    /// The pack.
    pub id: PackId,
    /// Size of the object, bytes.
    pub size_bytes: u64,
    /// Share that is not needed, percent.
    pub waste_percent: u64,
    /// What happens to it.
    pub verdict: PackVerdict,
}

/// What a collection would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CompactionPlan {
    /// Packs that go; those that stay are only counted.
    pub removed: Vec<PlannedPack>,
    /// Packs that stay.
    pub kept_count: usize,
    /// Packs that the index names and the target does not list.
    pub missing: Vec<PackId>,
    /// Segments that are replaced by new ones.
    pub segments: Vec<SegmentId>,
    /// Size of all packs, bytes.
    pub size_bytes: u64,
    /// Part of that which no snapshot needs, bytes (estimated within packs).
    pub waste_bytes: u64,
    /// Size of what goes, bytes.
    pub removed_bytes: u64,
    /// Needed raw bytes that are copied first.
    pub copied_raw_bytes: u64,
}

impl CompactionPlan {
    /// Decides. `unindexed` are packs that the target lists and no segment describes.
    pub fn decide(
        packs: &[PackFacts],
        segments: &[SegmentFacts],
        unindexed: &[(PackId, u64)],
        thresholds: &Thresholds,
    ) -> Self {
        let mut verdicts: HashMap<PackId, PackVerdict> = packs
            .iter()
            .map(|pack| (pack.id, by_itself(pack, thresholds)))
            .collect();
        for class in [PackClass::Data, PackClass::Tree] {
            let small: Vec<PackId> = packs
                .iter()
                .filter(|pack| pack.class == class && pack.size_bytes < thresholds.small_size_bytes)
                .filter(|pack| verdicts.get(&pack.id) == Some(&PackVerdict::Keep))
                .map(|pack| pack.id)
                .collect();
            if small.len() > thresholds.small_count_max.max(1) {
                for id in small {
                    verdicts.insert(id, PackVerdict::RewriteSmall);
                }
            }
        }
        let mut plan = Self::default();
        for pack in packs {
            let verdict = verdicts.get(&pack.id).copied().unwrap_or(PackVerdict::Keep);
            if verdict == PackVerdict::KeepMissing {
                plan.missing.push(pack.id);
                continue;
            }
            plan.size_bytes += pack.size_bytes;
            plan.waste_bytes += pack.waste_bytes();
            if verdict.is_removed() {
                plan.removed_bytes += pack.size_bytes;
                plan.copied_raw_bytes += pack.live_bytes;
                plan.removed.push(PlannedPack {
                    id: pack.id,
                    size_bytes: pack.size_bytes,
                    waste_percent: pack.waste_percent(),
                    verdict,
                });
            } else {
                plan.kept_count += 1;
            }
        }
        for (id, size_bytes) in unindexed {
            plan.size_bytes += size_bytes;
            plan.waste_bytes += size_bytes;
            plan.removed_bytes += size_bytes;
            plan.removed.push(PlannedPack {
                id: *id,
                size_bytes: *size_bytes,
                waste_percent: 100,
                verdict: PackVerdict::DeleteUnindexed,
            });
        }
        plan.segments = replaced_segments(segments, &verdicts);
        plan
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.segments.is_empty()
    }
}

fn by_itself(pack: &PackFacts, thresholds: &Thresholds) -> PackVerdict {
    match pack {
        pack if !pack.is_present && pack.live_bytes == 0 => PackVerdict::DeleteUnneeded,
        pack if !pack.is_present => PackVerdict::KeepMissing,
        pack if pack.live_bytes == 0 => PackVerdict::DeleteUnneeded,
        pack if pack.is_doomed => PackVerdict::RewriteCondemned,
        pack if pack.waste_percent() > u64::from(thresholds.waste_percent) => PackVerdict::RewriteWaste,
        _ => PackVerdict::Keep,
    }
}

fn replaced_segments(segments: &[SegmentFacts], verdicts: &HashMap<PackId, PackVerdict>) -> Vec<SegmentId> {
    let is_small = |segment: &SegmentFacts| segment.size_bytes < SMALL_SEGMENT_BYTES;
    let merge_small = segments.iter().filter(|segment| is_small(segment)).count() > SMALL_SEGMENTS_MAX;
    segments
        .iter()
        .filter(|segment| {
            segment.is_doomed
                || (merge_small && is_small(segment))
                || segment
                    .packs
                    .iter()
                    .any(|pack| verdicts.get(pack).is_some_and(|verdict| verdict.is_removed()))
        })
        .map(|segment| segment.id)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds {
        waste_percent: 25,
        small_size_bytes: 20,
        small_count_max: 3,
    };

    fn pack(number: u8, size_bytes: u64, live_percent: u64) -> PackFacts {
        PackFacts {
            id: PackId([number; 16]),
            class: PackClass::Data,
            size_bytes,
            raw_bytes: 1000,
            live_bytes: live_percent * 10,
            is_present: true,
            is_doomed: false,
        }
    }

    fn verdicts(packs: &[PackFacts]) -> Vec<(u8, PackVerdict)> {
        CompactionPlan::decide(packs, &[], &[], &THRESHOLDS)
            .removed
            .iter()
            .map(|pack| (pack.id.0[0], pack.verdict))
            .collect()
    }

    #[test]
    fn packs_without_needed_chunks_go_and_wasteful_ones_are_rewritten() {
        let packs = [
            pack(1, 100, 0),
            pack(2, 100, 74),
            pack(3, 100, 75),
            pack(4, 100, 100),
        ];
        assert_eq!(
            verdicts(&packs),
            [(1, PackVerdict::DeleteUnneeded), (2, PackVerdict::RewriteWaste)]
        );
    }

    #[test]
    fn small_packs_are_merged_only_when_there_are_too_many_of_one_class() {
        let mut packs: Vec<_> = (1..=3).map(|number| pack(number, 19, 100)).collect();
        let mut tree = pack(9, 19, 100);
        tree.class = PackClass::Tree;
        packs.push(tree);
        assert_eq!(verdicts(&packs), []);
        packs.push(pack(4, 19, 100));
        let expected: Vec<_> = (1..=4)
            .map(|number| (number, PackVerdict::RewriteSmall))
            .collect();
        assert_eq!(verdicts(&packs), expected);
    }

    #[test]
    fn what_an_earlier_plan_condemned_is_moved_out_of_its_way() {
        let mut doomed = pack(1, 100, 100);
        doomed.is_doomed = true;
        assert_eq!(verdicts(&[doomed]), [(1, PackVerdict::RewriteCondemned)]);
    }

    #[test]
    fn a_missing_pack_is_reported_and_its_description_kept() {
        let mut missing = pack(1, 100, 50);
        missing.is_present = false;
        let segment = SegmentFacts {
            id: SegmentId([1; 16]),
            size_bytes: 10,
            packs: vec![missing.id],
            is_doomed: false,
        };
        let plan = CompactionPlan::decide(&[missing], &[segment], &[], &THRESHOLDS);
        assert_eq!(plan.missing, [PackId([1; 16])]);
        assert!(plan.is_empty());
    }

    #[test]
    fn segments_of_removed_packs_and_too_many_small_ones_are_replaced() {
        let segment = |number: u8, size_bytes, pack: u8| SegmentFacts {
            id: SegmentId([number; 16]),
            size_bytes,
            packs: vec![PackId([pack; 16])],
            is_doomed: false,
        };
        let packs = [pack(1, 100, 0), pack(2, 100, 100)];
        let segments = [segment(1, 1 << 20, 1), segment(2, 1, 2)];
        let plan = CompactionPlan::decide(&packs, &segments, &[], &THRESHOLDS);
        assert_eq!(plan.segments, [SegmentId([1; 16])]);
        let many: Vec<_> = (0..65).map(|number| segment(number, 1, 2)).collect();
        let plan = CompactionPlan::decide(&packs[1..], &many, &[], &THRESHOLDS);
        assert_eq!(plan.segments.len(), 65);
        let plan = CompactionPlan::decide(&packs[1..], &many[1..], &[], &THRESHOLDS);
        assert!(plan.is_empty());
    }
}
