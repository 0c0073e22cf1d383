// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Content-defined cutting: FastCDC 2020 with the repository's own gear table (F-3).
//!
//! W. Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage Systems", IEEE TPDS 2020.
//! A public gear table lets an observer of chunk lengths recognise known files (eprint 2025/532, 2025/558).

use fastcdc::v2020::{MASKS, cut_gear};

use crate::{crypto::secret::Secret, format::config::ChunkingParameters};

/// Finds cut points.
#[derive(Clone)]
pub struct Chunker {
    size_min: usize,
    size_average: usize,
    size_max: usize,
    mask_small: u64,
    mask_large: u64,
    gear: Box<[u64; 256]>,
    gear_shifted: Box<[u64; 256]>,
}

impl Chunker {
    /// The chunker of a repository.
    pub fn new(parameters: &ChunkingParameters, secret: &Secret) -> Self {
        let gear = secret.gear_table();
        let mut gear_shifted = gear.clone();
        gear_shifted.iter_mut().for_each(|number| *number <<= 1);
        let bits = parameters.size_bytes_average.ilog2() as usize;
        let level = parameters.normalization as usize;
        Self {
            size_min: parameters.size_bytes_min as usize,
            size_average: parameters.size_bytes_average as usize,
            size_max: parameters.size_bytes_max as usize,
            mask_small: MASKS[bits + level],
            mask_large: MASKS[bits - level],
            gear,
            gear_shifted,
        }
    }

    /// Largest chunk, bytes: a window of this size is always enough to cut.
    pub fn size_max(&self) -> usize {
        self.size_max
    }

    /// Length of the first chunk of `window`, which holds either at least [`size_max`](Self::size_max) bytes or the end of the data.
    #[inline]
    pub fn cut(&self, window: &[u8]) -> usize {
        if window.len() <= self.size_min {
            return window.len();
        }
        let (_, length) = cut_gear(
            window,
            self.size_min,
            self.size_average,
            self.size_max,
            self.mask_small,
            self.mask_large,
            self.mask_small << 1,
            self.mask_large << 1,
            &self.gear[..],
            &self.gear_shifted[..],
        );
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(size: usize) -> Vec<u8> {
        let mut out = vec![0; size];
        blake3::Hasher::new()
            .update(b"content")
            .finalize_xof()
            .fill(&mut out);
        out
    }

    fn cuts(chunker: &Chunker, mut content: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while !content.is_empty() {
            let length = chunker.cut(&content[..content.len().min(chunker.size_max())]);
            lengths.push(length);
            content = &content[length..];
        }
        lengths
    }

    #[test]
    fn cut_points_are_part_of_the_format() {
        let chunker = Chunker::new(
            &ChunkingParameters::around(64 << 10),
            &Secret::from_bytes([7; 32]),
        );
        let lengths = cuts(&chunker, &content(1 << 20));
        assert_eq!(lengths.iter().sum::<usize>(), 1 << 20);
        let (last, others) = lengths.split_last().unwrap();
        assert!(
            others
                .iter()
                .all(|length| (16 << 10..=256 << 10).contains(length))
        );
        assert!(*last <= 256 << 10);
    }

    #[test]
    fn another_secret_cuts_elsewhere() {
        let parameters = ChunkingParameters::around(64 << 10);
        let content = content(1 << 20);
        let one = cuts(&Chunker::new(&parameters, &Secret::from_bytes([1; 32])), &content);
        let two = cuts(&Chunker::new(&parameters, &Secret::from_bytes([2; 32])), &content);
        assert_ne!(one, two);
    }

    #[test]
    fn an_insertion_moves_only_the_cuts_around_it() {
        let chunker = Chunker::new(
            &ChunkingParameters::around(16 << 10),
            &Secret::from_bytes([7; 32]),
        );
        let before = content(2 << 20);
        let mut after = before.clone();
        after.splice(1_000_000..1_000_000, *b"inserted");
        let ids = |content: &[u8]| {
            let mut rest = content;
            cuts(&chunker, content)
                .into_iter()
                .map(|length| {
                    let (chunk, next) = rest.split_at(length);
                    rest = next;
                    *blake3::hash(chunk).as_bytes()
                })
                .collect::<std::collections::HashSet<_>>()
        };
        let (old, new) = (ids(&before), ids(&after));
        assert!(
            new.difference(&old).count() <= 4,
            "{}",
            new.difference(&old).count()
        );
    }
}
