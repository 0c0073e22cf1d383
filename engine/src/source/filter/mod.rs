// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Include and exclude rules with Duplicati's meaning: in order, the first rule that matches decides.
//!
//! Paths are whole, as raw bytes, folders with a trailing `/`. Where text rules meet bytes that are not UTF-8, such a
//! byte counts as one unknown character.

mod expression;
mod glob;
mod group;
mod serialized;

use std::collections::HashMap;

pub use expression::{FilterError, FilterExpression, VariableStyle};
pub use group::group_patterns;
pub use serialized::{parse_serialized, serialize};

/// What rules may depend on from outside; handed in, so that the same rules decide the same everywhere.
#[derive(Debug, Clone, Default)]
pub struct FilterEnvironment {
    /// The environment variables.
    pub variables: HashMap<String, String>,
    /// The system's folder for temporary files.
    pub temporary_folder: String,
    /// The data folder of this program.
    pub data_folder: String,
}

/// Whether matching entries are taken or left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    /// Taken.
    Include,
    /// Left out.
    Exclude,
}

/// What led to a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionReason {
    /// The rule at this place, counted from 0.
    Rule(usize),
    /// No rule matched.
    Default,
}

/// What is to be done with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It belongs to the backup.
    Included(DecisionReason),
    /// It does not.
    Excluded(DecisionReason),
}

impl Decision {
    /// Whether the entry belongs to the backup.
    pub fn is_included(self) -> bool {
        matches!(self, Self::Included(_))
    }

    /// Whether a folder with this decision is entered: only a rule keeps the walker out.
    pub fn may_enter(self) -> bool {
        !matches!(self, Self::Excluded(DecisionReason::Rule(_)))
    }
}

/// The rules of a job, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct SourceFilter {
    rules: Vec<(RuleKind, FilterExpression)>,
    has_exclude: bool,
}

impl SourceFilter {
    /// Makes a filter from texts as the user wrote them, in order.
    pub fn parse<'text>(
        rules: impl IntoIterator<Item = (RuleKind, &'text str)>,
        style: VariableStyle,
        environment: &FilterEnvironment,
    ) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for (kind, text) in rules {
            filter.has_exclude |= kind == RuleKind::Exclude;
            filter
                .rules
                .push((kind, FilterExpression::parse(text, style, environment)?));
        }
        Ok(filter)
    }

    /// Whether there are no rules, so that nobody needs to build paths.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Decides about one path.
    pub fn decide(&self, path: &[u8]) -> Decision {
        for (position, (kind, expression)) in self.rules.iter().enumerate() {
            if expression.matches(path) {
                let reason = DecisionReason::Rule(position);
                return match kind {
                    RuleKind::Include => Decision::Included(reason),
                    RuleKind::Exclude => Decision::Excluded(reason),
                };
            }
        }
        if self.has_exclude || self.rules.is_empty() {
            return Decision::Included(DecisionReason::Default);
        }
        Decision::Excluded(DecisionReason::Default)
    }
}

#[cfg(test)]
mod tests {
    use RuleKind::{Exclude, Include};

    use super::*;

    fn filter(rules: &[(RuleKind, &str)]) -> SourceFilter {
        let mut environment = FilterEnvironment {
            temporary_folder: "/scratch".into(),
            ..FilterEnvironment::default()
        };
        environment.variables.insert("HOME".into(), "/home/anna".into());
        SourceFilter::parse(rules.iter().copied(), VariableStyle::CommandLine, &environment).unwrap()
    }

    #[test]
    fn first_matching_rule_decides() {
        let filter = filter(&[
            (Include, "/a/keep.tmp"),
            (Exclude, "*.tmp"),
            (Include, "/a/x.tmp"),
        ]);
        assert_eq!(
            filter.decide(b"/a/keep.tmp"),
            Decision::Included(DecisionReason::Rule(0))
        );
        assert_eq!(
            filter.decide(b"/a/x.tmp"),
            Decision::Excluded(DecisionReason::Rule(1))
        );
        assert_eq!(
            filter.decide(b"/a/y"),
            Decision::Included(DecisionReason::Default)
        );
    }

    #[test]
    fn only_includes_leave_out_the_rest_but_folders_are_entered() {
        let filter = filter(&[(Include, "*.txt")]);
        let decision = filter.decide(b"/a/b/");
        assert_eq!(decision, Decision::Excluded(DecisionReason::Default));
        assert!(decision.may_enter());
        assert!(filter.decide(b"/a/b/c.txt").is_included());
        assert!(!self::filter(&[(Exclude, "/a/b/")]).decide(b"/a/b/").may_enter());
        assert!(self::filter(&[]).decide(b"/a").is_included());
    }

    #[test]
    fn each_form_matches_the_whole_path() {
        for (rule, matching, other) in [
            ("/a/B", "/a/B", "/a/b"),
            ("/a/*/d", "/a/b/c/d", "/a/b/c/d/"),
            ("/a?b", "/a/b", "/ab"),
            ("[/a(b|c)?]", "/ab", "/abx"),
            ("[a|/ab]", "/ab", "/a"),
            ("@/a*", "/a*", "/ab"),
            ("%HOME%/x", "/home/anna/x", "%HOME%/x"),
            ("%UNKNOWN%/x", "%UNKNOWN%/x", "/x"),
            ("{SystemFiles,temp}", "/proc/", "/proc/1"),
            ("{Tmp|None}", "/home/x~", "/home/x"),
            ("{TemporaryFiles}", "/scratch/", "/scratch"),
            ("{Exc}", "/etc/", "/home/"),
        ] {
            let filter = filter(&[(Exclude, rule)]);
            assert!(
                !filter.decide(matching.as_bytes()).is_included(),
                "{rule} {matching}"
            );
            assert!(filter.decide(other.as_bytes()).is_included(), "{rule} {other}");
        }
    }

    #[test]
    fn names_that_are_not_utf8_match_patterns() {
        let filter = filter(&[(Exclude, "[.*\\.tmp]"), (Exclude, "/b/?.bak")]);
        assert!(!filter.decide(b"/a/\xff\xfe.tmp").is_included());
        assert!(!filter.decide(b"/b/\xff.bak").is_included());
        assert!(filter.decide(b"/b/\xff\xff.bak").is_included());
    }

    #[test]
    fn bad_rules_are_errors() {
        let parse =
            |text| FilterExpression::parse(text, VariableStyle::CommandLine, &FilterEnvironment::default());
        assert!(matches!(parse("[(]"), Err(FilterError::Regex { .. })));
        assert!(matches!(
            parse("{Nothing}"),
            Err(FilterError::UnknownGroup { .. })
        ));
        assert!(matches!(parse(""), Err(FilterError::Empty)));
    }

    #[test]
    fn stored_jobs_expand_more_spellings() {
        let mut environment = FilterEnvironment::default();
        environment.variables.insert("HOME".into(), "/h".into());
        let parse = |text| FilterExpression::parse(text, VariableStyle::StoredJob, &environment).unwrap();
        for text in ["$HOME/x", "${HOME}/x", "%HOME%/x"] {
            assert!(parse(text).matches(b"/h/x"), "{text}");
        }
        assert!(parse("%MY_MUSIC%a").matches(b"/h/Music/a"));
        assert!(parse("$NOPE/a$").matches(b"$NOPE/a$"));
    }
}
