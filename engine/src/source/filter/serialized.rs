// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rules in one text: `+X:-Y`, where parts in brackets may contain the separator.

use super::RuleKind;
use super::expression::{FilterError, whole_regex};

/// Splits a serialized filter into its rules, still as texts.
///
/// A part ends at `:` before a sign, so plain paths may contain `:`. A part that begins with `[` ends at the first
/// `]` in such a place that makes its regular expression complete.
pub fn parse_serialized(text: &str) -> Result<Vec<(RuleKind, String)>, FilterError> {
    let mut rules = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let kind = match rest.as_bytes()[0] {
            b'+' => RuleKind::Include,
            b'-' => RuleKind::Exclude,
            _ => {
                return Err(FilterError::MissingSign {
                    text: rest.to_owned(),
                });
            }
        };
        let body = &rest[1..];
        let end = part_end(body);
        rules.push((kind, body[..end].to_owned()));
        rest = body.get(end + 1..).unwrap_or("");
    }
    Ok(rules)
}

/// Joins rules. A plain rule that contains what looks like a separator becomes an equivalent regular expression.
pub fn serialize<'text>(rules: impl IntoIterator<Item = (RuleKind, &'text str)>) -> String {
    let mut out = String::new();
    for (kind, text) in rules {
        if !out.is_empty() {
            out.push(':');
        }
        out.push(if kind == RuleKind::Include { '+' } else { '-' });
        let looks_cut = text.contains(":+") || text.contains(":-");
        match text.strip_prefix('@') {
            _ if !looks_cut || text.starts_with('[') => out.push_str(text),
            Some(literal) => out.push_str(&format!("[{}]", regex::escape(literal))),
            None => {
                let pattern = regex::escape(text)
                    .replace("\\*", "(?s:.*)")
                    .replace("\\?", "(?s:.)");
                out.push_str(&format!("[{pattern}]"));
            }
        }
    }
    out
}

fn part_end(body: &str) -> usize {
    let cuts = body.match_indices(':').map(|(at, _)| at);
    let cuts = cuts.filter(|&at| body[at + 1..].starts_with(['+', '-']));
    if !body.starts_with('[') {
        return cuts.into_iter().next().unwrap_or(body.len());
    }
    let complete = |&at: &usize| body[..at].ends_with(']') && whole_regex(&body[1..at - 1]).is_ok();
    cuts.into_iter().find(complete).unwrap_or(body.len())
}

#[cfg(test)]
mod tests {
    use RuleKind::{Exclude, Include};

    use super::*;

    #[test]
    fn brackets_and_paths_may_contain_the_separator() {
        let text = "+/a:b/:-[x:-y[:]]:-{Tmp:Cache}:+*.txt";
        let rules = parse_serialized(text).unwrap();
        let wanted = [
            (Include, "/a:b/"),
            (Exclude, "[x:-y[:]]"),
            (Exclude, "{Tmp:Cache}"),
            (Include, "*.txt"),
        ];
        assert_eq!(rules, wanted.map(|(kind, text)| (kind, text.to_owned())));
        assert_eq!(serialize(wanted), text);
        assert!(parse_serialized("/a").is_err());
        assert!(parse_serialized("").unwrap().is_empty());
    }

    #[test]
    fn a_path_that_looks_like_two_parts_survives() {
        let text = serialize([(Exclude, "/a:-b?.*"), (Include, "/c")]);
        let rules = parse_serialized(&text).unwrap();
        assert_eq!(rules.len(), 2);
        let inside = rules[0].1.trim_start_matches('[').trim_end_matches(']');
        let regex = whole_regex(inside).unwrap();
        assert!(regex.is_match(b"/a:-bx.tmp"));
        assert!(!regex.is_match(b"/a:-b.tmp"));
    }
}
