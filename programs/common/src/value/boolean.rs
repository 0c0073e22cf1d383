// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Yes and no, in the spellings scripts use.

/// Reads a boolean. Empty and unknown texts count as true, because `--option` alone switches an option on
/// and existing job definitions rely on any text doing the same.
pub fn parse_boolean(text: &str) -> bool {
    !matches!(
        text.trim().to_ascii_lowercase().as_str(),
        "0" | "off" | "false" | "no"
    )
}
