// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Takes paths out of lines that leave the machine.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex::Regex;

/// What stands in place of a path.
pub const REDACTED: &str = "-redacted-";

/// A path in quotes, or one that ends at a space or at punctuation followed by one. What comes before it must not be part of a word or URL.
const PATHS: &str = r#"(?P<before>^|[\s=(\[,;])(?:"/[^"]*"|'/[^']*'|/(?:[^\s:;,)\]]|[:;,)\]][^\s])+)"#;

/// The line without absolute paths.
pub fn without_paths(line: &str) -> Cow<'_, str> {
    static PATTERN: OnceLock<Option<Regex>> = OnceLock::new();
    match PATTERN.get_or_init(|| Regex::new(PATHS).ok()) {
        Some(pattern) => pattern.replace_all(line, format!("${{before}}{REDACTED}").as_str()),
        None => Cow::Borrowed(REDACTED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_replaced_and_the_sentence_stays() {
        for (line, expected) in [
            (
                "the source /home/me cannot be reached: no",
                "the source -redacted- cannot be reached: no",
            ),
            ("failed \"/home/my docs/x\" (again)", "failed -redacted- (again)"),
            ("/a/b: permission denied", "-redacted-: permission denied"),
            (
                "see https://example.org/page and 1/2",
                "see https://example.org/page and 1/2",
            ),
        ] {
            assert_eq!(without_paths(line), expected);
        }
    }
}
