// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The named groups of patterns.

use super::FilterEnvironment;

const SYSTEM_FILES: &[&str] = &["/dev/", "/proc/", "/selinux/", "/sys/"];
const OPERATING_SYSTEM: &[&str] = &["/bin/", "/boot/", "/etc/", "/initrd/", "/sbin/", "/var/"];
const TEMPORARY_FILES: &[&str] = &["/tmp/", "*/lost+found/", "*~"];
const APPLICATIONS: &[&str] = &["/lib/", "/lib64/", "/opt/", "/usr/"];
const CACHE_FILES: &[&str] = &[
    "*/.cache/",
    "*/Google/Chrome/*cache*",
    "*/Google/Chrome/*Current*",
    "*/Google/Chrome/*LOCK*",
    "*/Google/Chrome/*Safe Browsing*",
    "*/.config/google-chrome/Default/Cookies",
    "*/.config/google-chrome/Default/Cookies-journal",
    "*/Mozilla/Firefox/*cache*",
    "*/cookies.sqlite-*",
    "*/permissions.sqlite-*",
    "*/iPhoto Library/iPod Photo Cache/",
];

/// Returns the patterns of a group; `None` for an unknown name.
pub fn group_patterns(name: &str, environment: &FilterEnvironment) -> Option<Vec<String>> {
    let owned = |patterns: &[&str]| {
        patterns
            .iter()
            .map(|&pattern| pattern.to_owned())
            .collect::<Vec<_>>()
    };
    Some(match name.to_ascii_lowercase().as_str() {
        "systemfiles" | "system" | "sys" => owned(SYSTEM_FILES),
        "operatingsystem" | "os" => owned(OPERATING_SYSTEM),
        "temporaryfiles" | "temporaryfolders" | "tempfolders" | "tempfiles" | "temp" | "tmp" => {
            let mut patterns = owned(TEMPORARY_FILES);
            push_folder(&mut patterns, Some(&environment.temporary_folder), "");
            patterns
        }
        "cachefiles" | "cachefolders" | "caches" | "cache" => {
            let mut patterns = owned(CACHE_FILES);
            push_folder(&mut patterns, environment.variables.get("XDG_CACHE_HOME"), "");
            push_folder(&mut patterns, Some(&environment.data_folder), "control_dir_v2/");
            patterns
        }
        "applications" | "application" | "apps" | "app" => owned(APPLICATIONS),
        "defaultexcludes" | "defaultexclude" | "excludes" | "exclude" | "exc" => {
            let members = ["sys", "os", "tmp", "cache", "app"];
            members
                .iter()
                .filter_map(|member| group_patterns(member, environment))
                .flatten()
                .collect()
        }
        "defaultincludes" | "defaultinclude" | "includes" | "include" | "inc" | "none" => Vec::new(),
        _ => return None,
    })
}

fn push_folder(patterns: &mut Vec<String>, folder: Option<&String>, below: &str) {
    if let Some(folder) = folder.filter(|folder| !folder.is_empty()) {
        patterns.push(format!("{}/{below}", folder.trim_end_matches('/')));
    }
}
