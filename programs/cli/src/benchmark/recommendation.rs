// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From measured uploads to the pack size and the number of uploads that suit the target.

use super::load::{Cell, Kind};

/// What counts as good as the best: the rest is noise, and smaller packs and fewer uploads need less memory.
const GOOD_ENOUGH: f64 = 0.9;
/// Smallest pack that is recommended, bytes: below, listing and index cost more than a transfer gains.
const PACK_BYTES_MIN: u64 = 8 << 20;
/// Largest, bytes: above, compacting moves much for little.
const PACK_BYTES_MAX: u64 = 64 << 20;

/// What to put on the command line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recommendation {
    /// For `--dblock-size`, bytes.
    pub pack_bytes: u64,
    /// For `--asynchronous-concurrent-upload-limit`.
    pub uploads: usize,
    /// What uploads of this kind reached, MB/s.
    pub megabytes_per_second: f64,
    /// Whether more uploads at once than were tried may be faster still.
    pub is_still_rising: bool,
}

/// The recommendation; none without a measured upload.
pub fn recommend(cells: &[Cell]) -> Option<Recommendation> {
    let puts: Vec<&Cell> = cells.iter().filter(|cell| cell.kind == Kind::Put).collect();
    let rate = |cell: &&Cell| cell.figures.megabytes_per_second();
    let best = puts.iter().map(rate).fold(0.0, f64::max);
    // The fewest uploads with which some size is as fast as any was.
    let chosen = puts
        .iter()
        .filter(|cell| rate(cell) >= best * GOOD_ENOUGH)
        .min_by_key(|cell| (cell.concurrency, cell.size_bytes))?;
    let most = puts.iter().map(|cell| cell.concurrency).max()?;
    Some(Recommendation {
        pack_bytes: rounded(chosen.size_bytes).clamp(PACK_BYTES_MIN, PACK_BYTES_MAX),
        uploads: chosen.concurrency,
        megabytes_per_second: rate(chosen),
        is_still_rising: chosen.concurrency == most && most > 1,
    })
}

/// Whole megabytes, as the option takes them.
fn rounded(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20) << 20
}

#[cfg(test)]
mod tests {
    use super::super::figures::Figures;
    use super::*;

    fn put(size_bytes: u64, concurrency: usize, megabytes_per_second: f64) -> Cell {
        Cell {
            kind: Kind::Put,
            size_bytes,
            concurrency,
            figures: Figures {
                requests: 1,
                bytes: (megabytes_per_second * 1e6) as u64,
                seconds: 1.0,
                p50_ms: 1.0,
                p90_ms: 1.0,
                p99_ms: 1.0,
            },
        }
    }

    #[test]
    fn the_least_that_is_as_good_as_the_best_is_recommended() {
        let cells = [
            put(1 << 20, 1, 5.0),
            put(16 << 20, 1, 20.0),
            put(32 << 20, 1, 22.0),
            put(16 << 20, 4, 95.0),
            put(32 << 20, 4, 100.0),
            put(32 << 20, 8, 101.0),
        ];
        let made = recommend(&cells).unwrap();
        assert_eq!((made.pack_bytes, made.uploads), (16 << 20, 4));
        assert!(!made.is_still_rising);
    }

    #[test]
    fn sizes_stay_between_bounds_and_a_rise_to_the_end_is_said() {
        let made = recommend(&[put(1 << 10, 1, 10.0), put(1 << 10, 8, 80.0)]).unwrap();
        assert_eq!((made.pack_bytes, made.uploads), (8 << 20, 8));
        assert!(made.is_still_rising);
        assert_eq!(recommend(&[put(200 << 20, 1, 1.0)]).unwrap().pack_bytes, 64 << 20);
        assert!(recommend(&[]).is_none());
    }
}
