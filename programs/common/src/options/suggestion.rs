// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finding what was meant by a word that does not exist.

/// More edits than this make another word, not a misspelt one.
const DISTANCE_MAX: usize = 3;

/// Longer words are not compared: no known word is, and the comparison costs the product of the lengths.
const WORD_BYTES_MAX: usize = 64;

/// The known word closest to `word`, if one is close enough to be what was meant.
pub fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    // Of a short word most would be guessed: at most a third of the letters, rounded up, may be wrong.
    let allowed = DISTANCE_MAX.min(word.len().div_ceil(3));
    known
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The number of letters to insert, delete or replace to turn one word into the other.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (left_index, left_char) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = left_index + 1;
        for (right_index, right_char) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left_char != *right_char);
            diagonal = row[right_index + 1];
            row[right_index + 1] = replaced.min(diagonal + 1).min(row[right_index] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_word() {
        let known = ["dblock-size", "blocksize", "dry-run"];
        assert_eq!(closest("dblok-size", known.into_iter()), Some("dblock-size"));
        assert_eq!(closest("dyr-run", known.into_iter()), Some("dry-run"));
    }

    #[test]
    fn an_unrelated_word_finds_nothing() {
        assert_eq!(closest("zzzzzz", ["dblock-size", "dry-run"].into_iter()), None);
        assert_eq!(closest(&"x".repeat(1000), ["dry-run"].into_iter()), None);
    }

    #[test]
    fn distance_counts_single_edits() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", "abc"), 0);
    }
}
