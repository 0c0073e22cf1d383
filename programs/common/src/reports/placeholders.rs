// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `%NAME%` in subjects, bodies and messages.

use super::report::Report;

/// Names that only stand in `Extra` when a template uses them, with their key there.
const BY_USE: [(&str, &str); 4] = [
    ("operationname", "OperationName"),
    ("remoteurl", "RemoteUrl"),
    ("localpath", "LocalPath"),
    ("parsedresult", "ParsedResult"),
];
/// Longer names are not placeholders but text between two percent signs.
const NAME_BYTES_MAX: usize = 64;

/// Replaces placeholders, in any case; `result` is what `%RESULT%` stands for. Unknown names vanish.
pub fn replace(template: &str, report: &Report, result: &str) -> String {
    let mut text = String::with_capacity(template.len() + result.len());
    let mut rest = template;
    while let Some(start) = rest.find('%') {
        text.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        match after.find('%').map(|end| (&after[..end], &after[end + 1..])) {
            Some((name, behind)) if is_name(name) => {
                text.push_str(&value(name, report, result).unwrap_or_default());
                rest = behind;
            }
            _ => {
                text.push('%');
                rest = after;
            }
        }
    }
    text + rest
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn value(name: &str, report: &Report, result: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "result" => return Some(result.to_owned()),
        _ => {
            if let Some(value) = by_use(&name, report) {
                return Some(value);
            }
        }
    }
    report.facts.get(&name).map(str::to_owned).or_else(|| {
        let option = report.facts.options.iter().find(|(known, _)| *known == name);
        option.map(|(_, value)| value.clone())
    })
}

fn by_use(name: &str, report: &Report) -> Option<String> {
    Some(match name {
        "parsedresult" => report.level.name().to_owned(),
        "operationname" => report.operation.clone(),
        "remoteurl" => report.facts.remote_url.clone(),
        "localpath" => report.facts.local_path.clone(),
        _ => return None,
    })
}

/// The names and values for `Extra`: what templates use, the facts, and what the user adds.
pub fn extra(templates: &[&str], report: &Report, added: &[(String, String)]) -> Vec<(String, String)> {
    let templates: Vec<String> = templates.iter().map(|text| text.to_ascii_lowercase()).collect();
    let used = |name: &str| templates.iter().any(|text| text.contains(&format!("%{name}%")));
    let mut extra: Vec<(String, String)> = BY_USE
        .iter()
        .filter(|(name, _)| used(name))
        .filter_map(|(name, key)| Some(((*key).to_owned(), by_use(name, report)?)))
        .collect();
    extra.extend(
        report
            .facts
            .extra
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone())),
    );
    for (name, value) in added {
        extra.retain(|(known, _)| known != name);
        extra.push((name.clone(), value.clone()));
    }
    extra
}
