// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lists of version numbers such as `0,2-4,7`; 0 is the newest version.

use super::ValueError;

const ACCEPTED: &str = "a list of version numbers and ranges such as 0,2-4,7 (0 is the newest version)";

/// More ranges than any list typed or generated for a real backup; keeps a hostile value small.
const RANGES_MAX: usize = 4096;

/// A set of version numbers, kept as ranges so that `0-4000000000` costs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionList {
    /// Inclusive ranges, sorted, neither overlapping nor touching.
    ranges: Vec<(u32, u32)>,
}

impl VersionList {
    /// Reads numbers and ranges separated by commas. A range may be written in either direction.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let error = || ValueError::new(text, ACCEPTED);
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            if ranges.len() == RANGES_MAX {
                return Err(ValueError::new(
                    text,
                    format!("a list of at most {RANGES_MAX} version ranges"),
                ));
            }
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first = parse_number(first).ok_or_else(error)?;
            let last = parse_number(last).ok_or_else(error)?;
            ranges.push((first.min(last), first.max(last)));
        }
        if ranges.is_empty() {
            return Err(error());
        }
        Ok(Self {
            ranges: merge(ranges),
        })
    }

    /// Whether `version` is in the list.
    pub fn contains(&self, version: u32) -> bool {
        self.ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&version))
    }

    /// The numbers below `version_count`, in ascending order. Bounded by the count of versions that exist,
    /// never by what was typed.
    pub fn iter_below(&self, version_count: u32) -> impl Iterator<Item = u32> + '_ {
        self.ranges
            .iter()
            .take_while(move |(first, _)| *first < version_count)
            .flat_map(move |(first, last)| *first..last.saturating_add(1).min(version_count))
    }

    /// The lowest number, that is the newest version named.
    pub fn first(&self) -> Option<u32> {
        self.ranges.first().map(|(first, _)| *first)
    }

    /// The highest number, that is the oldest version named.
    pub fn last(&self) -> Option<u32> {
        self.ranges.last().map(|(_, last)| *last)
    }
}

fn parse_number(text: &str) -> Option<u32> {
    let digits = text.trim();
    // `u32::from_str` takes a plus sign, which is not part of the format.
    if digits.starts_with('+') {
        None
    } else {
        digits.parse().ok()
    }
}

fn merge(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}
