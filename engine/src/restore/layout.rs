// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where stored data lies in a file with holes.

use std::ops::Range;

use crate::format::tree::Hole;

/// The holes of a file, ready to be looked up: a file of very many holes and very many chunks takes the logarithm of one for each of the other.
#[derive(Debug, Default)]
pub struct FileLayout {
    /// For each hole, where it stands in the stored data, and how long it and those before it are together, bytes.
    holes: Vec<(u64, u64)>,
}

impl FileLayout {
    /// From the holes of an entry.
    pub fn new(holes: &[Hole]) -> Self {
        let (mut position, mut shift) = (0u64, 0u64);
        let holes = holes
            .iter()
            .map(|hole| {
                position = position.saturating_add(hole.gap);
                shift = shift.saturating_add(hole.length);
                (position, shift)
            })
            .collect();
        Self { holes }
    }

    /// Whether the file has no holes.
    pub fn is_dense(&self) -> bool {
        self.holes.is_empty()
    }

    /// Calls `each` with the file offset and the part of every stretch of `length` bytes of data that begin at `data_offset`.
    pub fn place(&self, data_offset: u64, length: usize, mut each: impl FnMut(u64, Range<usize>)) {
        // A hole in front of the first byte has passed already.
        let mut passed = self
            .holes
            .partition_point(|(position, _)| *position <= data_offset);
        let mut done = 0;
        while done < length {
            let position = data_offset.saturating_add(done as u64);
            while self.holes.get(passed).is_some_and(|(hole, _)| *hole <= position) {
                passed += 1;
            }
            let shift = passed.checked_sub(1).map_or(0, |last| self.holes[last].1);
            let until = self.holes.get(passed).map_or(u64::MAX, |(hole, _)| *hole);
            // Damaged figures may leave no room up to the end of the numbers; the write there fails by itself.
            let here = (until - position).clamp(1, (length - done) as u64) as usize;
            each(position.saturating_add(shift), done..done + here);
            done += here;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn data_lands_between_the_holes(
            gaps in proptest::collection::vec((0u64..5, 1u64..5), 0..6), tail in 0usize..5, cuts in 1usize..7
        ) {
            let holes: Vec<Hole> = gaps.iter().map(|(gap, length)| Hole { gap: *gap, length: *length }).collect();
            let total = gaps.iter().map(|(gap, _)| *gap as usize).sum::<usize>() + tail;
            let data: Vec<u8> = (0..total).map(|n| n as u8 + 1).collect();
            let mut expected = Vec::new();
            let mut rest = &data[..];
            for hole in &holes {
                let (now, later) = rest.split_at(hole.gap as usize);
                expected.extend_from_slice(now);
                expected.resize(expected.len() + hole.length as usize, 0);
                rest = later;
            }
            expected.extend_from_slice(rest);
            let layout = FileLayout::new(&holes);
            let mut file = vec![0; expected.len()];
            for (number, piece) in data.chunks(cuts).enumerate() {
                layout.place((number * cuts) as u64, piece.len(), |offset, part| {
                    file[offset as usize..offset as usize + part.len()].copy_from_slice(&piece[part]);
                });
            }
            prop_assert_eq!(file, expected);
        }

        #[test]
        fn hostile_figures_end_and_place_every_byte_once(
            gaps in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..6), offset: u64, length in 0usize..40
        ) {
            let holes: Vec<Hole> = gaps.iter().map(|(gap, length)| Hole { gap: *gap, length: *length }).collect();
            let mut next = 0;
            FileLayout::new(&holes).place(offset, length, |_, part| {
                assert_eq!(part.start, next);
                next = part.end;
            });
            prop_assert_eq!(next, length);
        }
    }

    #[test]
    fn nothing_is_placed_without_bytes() {
        FileLayout::new(&[Hole { gap: 3, length: 4 }]).place(0, 0, |_, _| panic!("there are no bytes"));
    }
}
