// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From a stored job to the arguments of a command.

use std::ffi::OsString;

use super::Operation;
use crate::{model::Backup, state::State};

/// Settings of the server that are options of a command under another name.
const THROTTLES: [(&str, &str); 2] = [
    ("max-upload-speed", "throttle-upload"),
    ("max-download-speed", "throttle-download"),
];
/// What clients write into every job and what is so anyway; passed on, it would be a warning in every run.
const ALWAYS_SO: [(&str, &str); 2] = [("encryption-module", "aes"), ("compression-module", "zip")];
/// Options without a value that say something all the same.
const EMPTY_MEANS_SOMETHING: [&str; 1] = ["encryption-module"];

/// The arguments of an operation: options for all jobs, then those of the job, then those of this run; the last one wins.
pub fn of(state: &State, backup: &Backup, operation: &Operation) -> Vec<OsString> {
    let mut arguments = vec![operation.command.into(), backup.target_url.clone().into()];
    arguments.extend(operation.arguments.iter().cloned());
    if operation.command == "backup" {
        arguments.extend(backup.sources.iter().map(|source| expand(source).into()));
    }
    for (setting, name) in THROTTLES {
        let value = state.settings.server_or_default(setting);
        if !value.is_empty() {
            arguments.push(option(name, &value));
        }
    }
    for (name, value) in state.settings.for_jobs() {
        push(state, &mut arguments, &name, &value);
    }
    // The form with dashes wins over the plain one, as the later one.
    let (dashed, plain): (Vec<_>, Vec<_>) = backup
        .settings
        .iter()
        .filter(|setting| setting.filter.is_empty())
        .partition(|setting| setting.name.starts_with("--"));
    for setting in plain.into_iter().chain(dashed) {
        push(state, &mut arguments, &setting.name, &setting.value);
    }
    if operation.command == "backup" {
        let mut filters: Vec<_> = backup.filters.iter().collect();
        filters.sort_by_key(|filter| filter.order);
        for filter in filters {
            let name = if filter.include { "include" } else { "exclude" };
            arguments.push(option(name, &expand(&filter.expression)));
        }
    }
    for (name, value) in &operation.options {
        arguments.push(option(name, value));
    }
    arguments.push(option(
        "dbpath",
        &state.database_path(backup).display().to_string(),
    ));
    if !backup.name.is_empty() {
        arguments.push(option("backup-name", &backup.name));
    }
    arguments.push(option("backup-id", &format!("DB-{}", backup.id)));
    arguments.push(option("disable-module", "console-password-input"));
    arguments
}

/// The arguments of a look at a destination.
pub fn at_destination(command: &str, url: &str, options: &[(String, String)]) -> Vec<OsString> {
    let mut arguments = vec![command.into(), url.to_owned().into()];
    arguments.extend(options.iter().map(|(name, value)| option(name, value)));
    arguments.push(option("disable-module", "console-password-input"));
    arguments
}

fn push(state: &State, arguments: &mut Vec<OsString>, name: &str, value: &str) {
    let plain = name.trim_start_matches('-').to_ascii_lowercase();
    let info = state
        .option_table
        .iter()
        .find(|info| info.name == plain || info.aliases.contains(&plain.as_str()));
    let is_boolean = info.is_some_and(|info| info.kind == "Boolean");
    // Clients keep options that are not set as empty texts.
    if value.is_empty() && !is_boolean && !EMPTY_MEANS_SOMETHING.contains(&plain.as_str()) {
        return;
    }
    if ALWAYS_SO.contains(&(plain.as_str(), value)) {
        return;
    }
    arguments.push(option(&plain, value));
}

/// One option. The quotes are taken off again by the parser, so that a value with quotes of its own keeps them.
pub fn option(name: &str, value: &str) -> OsString {
    format!("--{name}=\"{value}\"").into()
}

/// The options of a job with which another program would do the same, as shown to people.
pub fn options_as_text(state: &State, backup: &Backup, with_secrets: bool) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    if !backup.name.is_empty() {
        options.push(format!("--backup-name={}", backup.name));
    }
    options.push(format!("--dbpath={}", state.database_path(backup).display()));
    options.push(format!("--backup-id=DB-{}", backup.id));
    let for_jobs = state.settings.for_jobs();
    let own = backup
        .settings
        .iter()
        .map(|setting| (setting.name.clone(), setting.value.clone()));
    for (name, value) in for_jobs.into_iter().chain(own) {
        if state.is_secret(&name) && !with_secrets {
            continue;
        }
        options.push(format!("--{}={value}", name.trim_start_matches('-')));
    }
    for filter in &backup.filters {
        let name = if filter.include { "include" } else { "exclude" };
        options.push(format!("--{name}={}", filter.expression));
    }
    options
}

/// Folders with a name of their own, for those that exist on this machine.
pub fn special_folders() -> Vec<(&'static str, String)> {
    const BELOW_HOME: [(&str, &str); 7] = [
        ("%MY_DOCUMENTS%", "Documents"),
        ("%MY_MUSIC%", "Music"),
        ("%MY_PICTURES%", "Pictures"),
        ("%DESKTOP%", "Desktop"),
        ("%MY_MOVIES%", "Videos"),
        ("%MY_DOWNLOADS%", "Downloads"),
        ("%MY_PUBLIC%", "Public"),
    ];
    let Some(home) = std::env::var_os("HOME").and_then(|home| home.into_string().ok()) else {
        return Vec::new();
    };
    let home = home.trim_end_matches('/').to_owned();
    if home.is_empty() {
        return Vec::new();
    }
    let mut folders = vec![("%HOME%", home.clone())];
    folders.extend(BELOW_HOME.map(|(name, folder)| (name, format!("{home}/{folder}"))));
    folders.retain(|(_, path)| std::path::Path::new(path).is_dir());
    folders
}

/// Puts real folders in the place of names such as `%HOME%`.
pub fn expand(path: &str) -> String {
    if !path.contains('%') {
        return path.to_owned();
    }
    let mut expanded = path.to_owned();
    for (name, folder) in special_folders() {
        expanded = expanded.replace(name, &folder);
    }
    expanded
}
