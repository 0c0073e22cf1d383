// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The order of reading: the chunks of many files, grouped so that every frame is fetched once and neighbours together.

use crate::{
    id::ChunkId,
    index::chunk_index::{ChunkIndex, FrameOrdinal},
};

/// Most stored bytes fetched in one request, unless one frame alone has more.
pub const BATCH_BYTES_MAX: u64 = 2 << 20;
/// Unwanted bytes between two frames that are fetched rather than asked around.
const GAP_BYTES_MAX: u64 = 16 << 10;

/// One chunk's place in one file.
#[derive(Debug, Clone)]
pub struct ChunkUse<F> {
    /// The frame that holds it.
    pub frame: FrameOrdinal,
    /// Offset in the frame's content, bytes.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
    /// Its id, checked before anything is written.
    pub id: ChunkId,
    /// The file.
    pub file: F,
    /// Offset in the file's stored data, holes not counted, bytes.
    pub data_offset: u64,
}

/// Frames of one pack that are fetched together, and who wants what of them.
#[derive(Debug)]
pub struct ReadBatch<F> {
    /// Frames, rising.
    pub frames: Vec<FrameOrdinal>,
    /// Uses, by frame.
    pub uses: Vec<ChunkUse<F>>,
}

impl<F> ReadBatch<F> {
    /// What is wanted of one frame.
    pub fn uses_of(&self, frame: FrameOrdinal) -> &[ChunkUse<F>] {
        let start = self.uses.partition_point(|item| item.frame < frame);
        let end = self.uses.partition_point(|item| item.frame <= frame);
        &self.uses[start..end]
    }
}

/// Groups uses into batches, in the order of packs. Within a frame the uses stay in the order given.
pub fn plan_reads<F>(mut uses: Vec<ChunkUse<F>>, index: &ChunkIndex) -> impl Iterator<Item = ReadBatch<F>> {
    uses.sort_by_key(|item| item.frame);
    let mut uses = uses.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = uses.peek()?.frame;
        let place = index.frame(first);
        let (pack, start) = (place.pack_ordinal, place.offset);
        let mut end = start;
        let mut batch = ReadBatch {
            frames: Vec::new(),
            uses: Vec::new(),
        };
        while let Some(next) = uses.peek() {
            if batch.frames.last() != Some(&next.frame) {
                let place = index.frame(next.frame);
                let next_end = place.offset + u64::from(place.stored_size);
                let joins = place.pack_ordinal == pack
                    && place.offset - end.min(place.offset) <= GAP_BYTES_MAX
                    && next_end - start <= BATCH_BYTES_MAX;
                if !batch.frames.is_empty() && !joins {
                    break;
                }
                end = next_end;
                batch.frames.push(next.frame);
            }
            batch.uses.extend(uses.next());
        }
        Some(batch)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        format::{
            index_segment::PackDescription,
            pack::{FrameDescription, PackClass, PackFooter},
        },
        id::PackId,
    };

    fn index(packs: u8, frames: u8, stored: u32) -> ChunkIndex {
        let mut index = ChunkIndex::new();
        for pack in 0..packs {
            let frame = |frame: u8| FrameDescription {
                stored_size_bytes: stored,
                raw_size_bytes: 10,
                chunks: vec![(ChunkId([pack * 50 + frame + 1; 32]), 10)],
            };
            index.add(&PackDescription {
                id: PackId([pack; 16]),
                object_size_bytes: 1 << 30,
                age_header: Vec::new(),
                footer: PackFooter {
                    class: PackClass::Data,
                    frames: (0..frames).map(frame).collect(),
                },
            });
        }
        index
    }

    fn uses(frames: &[u32]) -> Vec<ChunkUse<usize>> {
        frames
            .iter()
            .enumerate()
            .map(|(file, frame)| ChunkUse {
                frame: FrameOrdinal(*frame),
                offset: 0,
                length: 10,
                id: ChunkId([0; 32]),
                file,
                data_offset: 0,
            })
            .collect()
    }

    #[test]
    fn neighbours_are_joined_up_to_the_limit_and_never_across_packs() {
        let index = index(2, 10, 500_000);
        let batches: Vec<Vec<u32>> = plan_reads(uses(&[12, 0, 1, 2, 3, 4, 10, 9, 11, 1]), &index)
            .map(|batch| batch.frames.iter().map(|frame| frame.0).collect())
            .collect();
        assert_eq!(batches, [vec![0, 1, 2, 3], vec![4], vec![9], vec![10, 11, 12]]);
    }

    #[test]
    fn one_frame_above_the_limit_still_comes() {
        let index = index(1, 2, 60 << 20);
        assert_eq!(plan_reads(uses(&[0, 1]), &index).count(), 2);
    }

    proptest! {
        #[test]
        fn every_use_is_served_once_and_every_frame_read_once(
            frames in proptest::collection::vec(0u32..40, 0..200), stored in 1u32..900_000
        ) {
            let index = index(4, 10, stored);
            let (mut files, mut read) = (Vec::new(), Vec::new());
            for batch in plan_reads(uses(&frames), &index) {
                read.extend(batch.frames.clone());
                for frame in &batch.frames {
                    files.extend(batch.uses_of(*frame).iter().map(|item| item.file));
                }
            }
            files.sort_unstable();
            prop_assert_eq!(files, (0..frames.len()).collect::<Vec<_>>());
            prop_assert!(read.windows(2).all(|pair| pair[0] < pair[1]), "packs in order, frames once");
        }
    }
}
