// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading a job's versions and what is in them.

use std::ffi::OsString;

use jiff::Timestamp;
use serde_json::Value;

use super::{Operation, read};
use crate::{
    commands_port::CommandError,
    dto::time,
    error::{Answer, ApiError},
    model::Backup,
    state::App,
};

/// One version.
#[derive(Debug, Clone)]
pub struct Version {
    pub number: u64,
    pub time: Timestamp,
    pub is_whole: bool,
    pub files: u64,
    pub bytes: u64,
    pub sources: Vec<String>,
}

/// One path of a version.
#[derive(Debug, Clone)]
pub struct Entry {
    pub version: u64,
    /// Folders end with `/`.
    pub path: String,
    pub size: i64,
    pub is_folder: bool,
    pub is_link: bool,
    pub modified: Option<Timestamp>,
}

/// The ids that clients know for what can go wrong.
fn help_id(error: CommandError) -> ApiError {
    let known = match error.id.as_str() {
        "MissingPassphrase" => "EncryptedStorageNoPassphrase",
        "EmptyRemoteLocation" => "EmptyRemoteFolder",
        other => other,
    };
    ApiError {
        help_id: Some(known.to_owned()),
        ..ApiError::from(CommandError {
            id: known.to_owned(),
            message: error.message,
        })
    }
}

async fn objects(app: &App, backup: &Backup, operation: Operation, kind: &str) -> Answer<Vec<Value>> {
    let end = read(app, backup, &operation).await;
    match end.error {
        Some(error) => Err(help_id(error)),
        None => Ok(end.objects(kind)),
    }
}

/// All versions, newest first.
///
/// # Errors
/// When the destination cannot be read.
pub async fn versions(app: &App, backup: &Backup) -> Answer<Vec<Version>> {
    let rows = objects(
        app,
        backup,
        Operation::new("ListFilesets", "list-filesets"),
        "version",
    )
    .await?;
    Ok(rows
        .iter()
        .map(|row| Version {
            number: row["version"].as_u64().unwrap_or(0),
            time: row["time"]
                .as_str()
                .and_then(|text| text.parse().ok())
                .unwrap_or(Timestamp::UNIX_EPOCH),
            is_whole: row["partial"] != true,
            files: row["files"].as_u64().unwrap_or(0),
            bytes: row["size"].as_u64().unwrap_or(0),
            sources: row["sources"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|source| source.as_str().map(str::to_owned))
                .collect(),
        })
        .collect())
}

fn entries(rows: &[Value]) -> Vec<Entry> {
    rows.iter()
        .filter_map(|row| {
            let is_folder = row["entry"] == "folder";
            // A name that is not UTF-8 cannot be asked for over this interface.
            let mut path = row["path"].as_str()?.to_owned();
            if is_folder && !path.ends_with('/') {
                path.push('/');
            }
            Some(Entry {
                version: row["version"].as_u64().unwrap_or(0),
                path,
                size: row["size"].as_i64().unwrap_or(-1),
                is_folder,
                is_link: row["entry"] == "symlink",
                modified: row["modified"].as_str().and_then(|text| text.parse().ok()),
            })
        })
        .collect()
}

/// Chooses a version as clients name it: by its time, or any older one.
pub fn at_time(operation: Operation, text: Option<&str>) -> Operation {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        None => operation,
        Some(text) => operation.option("time", text),
    }
}

/// What lies directly in a folder of a version.
///
/// # Errors
/// When the destination cannot be read or the folder is not there.
pub async fn folder(app: &App, backup: &Backup, time: Option<&str>, folder: &str) -> Answer<Vec<Entry>> {
    let operation = Operation::new("ListFolder", "list-folder-content").argument(folder);
    let rows = objects(app, backup, at_time(operation, time), "entry").await?;
    Ok(entries(&rows))
}

/// The places where browsing begins: the sources of a version.
///
/// # Errors
/// When the destination cannot be read.
pub async fn roots(app: &App, backup: &Backup, time: Option<&str>) -> Answer<Vec<Entry>> {
    let all = versions(app, backup).await?;
    let wanted = time.and_then(|text| text.trim().parse::<Timestamp>().ok());
    let version = match wanted {
        Some(wanted) => all.iter().find(|version| version.time <= wanted),
        None => all.first(),
    };
    let Some(version) = version else {
        return Err(help_id(CommandError {
            id: "EmptyRemoteLocation".to_owned(),
            message: "there is no version at the destination; run a backup first".to_owned(),
        }));
    };
    if version.sources.is_empty() {
        return folder(app, backup, time, "/").await;
    }
    let mut operation = Operation::new("ListFileVersions", "list-file-versions")
        .option("version", version.number.to_string());
    operation
        .arguments
        .extend(version.sources.iter().map(OsString::from));
    let rows = objects(app, backup, operation, "entry").await?;
    Ok(entries(&rows))
}

/// What versions have at given paths.
///
/// # Errors
/// When the destination cannot be read.
pub async fn file_versions(app: &App, backup: &Backup, paths: &[String]) -> Answer<Vec<Entry>> {
    let mut operation =
        Operation::new("ListFileVersions", "list-file-versions").option("all-versions", "true");
    operation.arguments.extend(paths.iter().map(OsString::from));
    let rows = objects(app, backup, operation, "entry").await?;
    Ok(entries(&rows))
}

/// A search.
#[derive(Debug, Clone, Default)]
pub struct Search {
    pub filters: Vec<String>,
    pub versions: Vec<u64>,
    pub time: Option<String>,
    pub is_case_sensitive: bool,
}

/// Paths that match.
///
/// # Errors
/// When the destination cannot be read.
pub async fn search(app: &App, backup: &Backup, search: &Search) -> Answer<Vec<Entry>> {
    let mut operation = Operation::new("SearchFiles", "search-entries");
    for filter in &search.filters {
        match filter.strip_prefix('-') {
            Some(excluded) => {
                operation = operation.option("exclude", expression(excluded, search.is_case_sensitive))
            }
            None => operation = operation.argument(expression(filter, search.is_case_sensitive)),
        }
    }
    if operation.arguments.is_empty() {
        operation = operation.argument("*");
    }
    if !search.versions.is_empty() {
        let numbers: Vec<String> = search.versions.iter().map(u64::to_string).collect();
        operation = operation.option("version", numbers.join(","));
    }
    let operation = at_time(operation, search.time.as_deref());
    let rows = objects(app, backup, operation, "entry").await?;
    Ok(entries(&rows))
}

/// A filter of a search as a filter of the command: text without wildcards may stand anywhere in the path.
fn expression(filter: &str, is_case_sensitive: bool) -> String {
    let filter = filter.strip_prefix('+').unwrap_or(filter);
    let has_wildcard = filter.contains(['*', '?']);
    let mut pattern = String::new();
    for character in filter.chars() {
        match character {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            other => pattern.push_str(&regex::escape(&other.to_string())),
        }
    }
    let pattern = if has_wildcard {
        pattern
    } else {
        format!(".*{pattern}.*")
    };
    let flags = if is_case_sensitive { "(?s)" } else { "(?si)" };
    format!("[{flags}{pattern}]")
}

/// A time for clients.
pub fn shown_time(version: &Version) -> String {
    time::iso_not_before(version.time)
}

/// Paths of a restore as arguments: a folder is meant with everything below it.
pub fn restore_arguments(paths: &[String]) -> Vec<OsString> {
    let has_meaning = |path: &str| path.contains(['*', '?', '[', '{', '%', '@']);
    let trimmed: Vec<(&str, bool)> = paths
        .iter()
        .map(|path| match path.strip_suffix("/*") {
            Some(folder) => (folder, true),
            None => (path.trim_end_matches('/'), path.ends_with('/')),
        })
        .collect();
    if !trimmed.iter().any(|(path, _)| has_meaning(path)) {
        let whole = trimmed
            .iter()
            .map(|(path, _)| if path.is_empty() { "/" } else { path });
        return whole.map(OsString::from).collect();
    }
    // As regular expressions, in which every character of a name can be written.
    trimmed
        .iter()
        .map(|(path, is_folder)| {
            let below = if *is_folder { "(/.*)?" } else { "/?" };
            OsString::from(format!("[(?s){}{below}]", regex::escape(path)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_text_may_stand_anywhere_and_wildcards_mean_the_whole_path() {
        assert_eq!(expression("a.txt", false), r"[(?si).*a\.txt.*]");
        assert_eq!(expression("*.txt", true), r"[(?s).*\.txt]");
    }

    #[test]
    fn plain_paths_of_a_restore_stay_and_others_become_expressions() {
        let paths = |texts: &[&str]| -> Vec<OsString> {
            restore_arguments(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(paths(&["/a/b", "/c/*", "/d/"]), ["/a/b", "/c", "/d"]);
        assert_eq!(paths(&["/*"]), ["/"]);
        assert_eq!(paths(&["/a[1]/*", "/b"]), [r"[(?s)/a\[1\](/.*)?]", "[(?s)/b/?]"]);
    }
}
