// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `*` and `?` over whole paths, both also for `/`.
//!
//! Only the last `*` is ever tried again, so a match costs at most pattern length times path length.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pattern: Vec<u8>,
    /// Everything before the first wildcard, and after the last: they reject most paths at once.
    prefix_bytes: usize,
    suffix_bytes: usize,
}

impl Glob {
    /// Compiles a pattern.
    pub fn new(text: &str) -> Self {
        let pattern = text.as_bytes().to_vec();
        let wild = |byte: &u8| matches!(byte, b'*' | b'?');
        let prefix_bytes = pattern.iter().position(wild).unwrap_or(pattern.len());
        let suffix_bytes = pattern.iter().rev().position(wild).unwrap_or(0);
        Self {
            pattern,
            prefix_bytes,
            suffix_bytes,
        }
    }

    /// Whether a whole path matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        let pattern = self.pattern.as_slice();
        if !path.starts_with(&pattern[..self.prefix_bytes])
            || !path.ends_with(&pattern[pattern.len() - self.suffix_bytes..])
        {
            return false;
        }
        let (mut at, mut place) = (self.prefix_bytes, self.prefix_bytes);
        let mut last_star: Option<(usize, usize)> = None;
        while place < path.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    at += 1;
                    last_star = Some((at, place));
                    continue;
                }
                Some(b'?') => {
                    at += 1;
                    place += character_bytes(&path[place..]);
                    continue;
                }
                Some(&byte) if byte == path[place] => {
                    at += 1;
                    place += 1;
                    continue;
                }
                _ => {}
            }
            let Some((after_star, from)) = last_star else {
                return false;
            };
            at = after_star;
            place = from + character_bytes(&path[from..]);
            last_star = Some((after_star, place));
        }
        pattern[at..].iter().all(|&byte| byte == b'*')
    }
}

/// How many bytes the first character has; a byte that is not UTF-8 counts as one character.
fn character_bytes(text: &[u8]) -> usize {
    let length = match text[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return 1,
    };
    match text.get(..length) {
        Some(bytes) if std::str::from_utf8(bytes).is_ok() => length,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn model(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| model(rest, &text[skip..])),
            Some(('?', rest)) => !text.is_empty() && model(rest, &text[1..]),
            Some((letter, rest)) => text.first() == Some(letter) && model(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn globs_match_like_the_plain_model(pattern in "[ab/é*?]{0,8}", text in "[ab/é]{0,10}") {
            let letters: Vec<char> = text.chars().collect();
            let expected = model(&pattern.chars().collect::<Vec<_>>(), &letters);
            prop_assert_eq!(Glob::new(&pattern).matches(text.as_bytes()), expected);
        }
    }

    #[test]
    fn many_stars_do_not_blow_up() {
        let glob = Glob::new(&format!("{}b", "*a".repeat(60)));
        assert!(!glob.matches(&[b'a'; 4096]));
        assert!(
            !Glob::new(&format!("{}b*c", "*a".repeat(60)))
                .matches(format!("{}c", "a".repeat(4000)).as_bytes())
        );
    }
}
