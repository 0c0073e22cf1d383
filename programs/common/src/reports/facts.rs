// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a report says about the machine, the job and the destination.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::destination::Destination;
use crate::environment::Environment;
use crate::options::Options;

/// Longest of the small files that are read for facts, bytes.
const FILE_BYTES_MAX: usize = 64 << 10;
/// Digits of an id that is made up.
const ID_DIGITS: usize = 32;

/// Names and values, in the order of the report; and what placeholders stand for besides.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// `machine-id`, `backup-name` and so on.
    pub extra: Vec<(&'static str, String)>,
    /// The destination without its secrets.
    pub remote_url: String,
    /// The sources, joined with `:`.
    pub local_path: String,
    /// Values of options as they may be shown, for placeholders such as `%keep-versions%`.
    pub options: Vec<(String, String)>,
}

impl Facts {
    /// Collects the facts. `program` names a job that has no name.
    pub fn gather(
        options: &Options,
        environment: &Environment,
        data_folder: &Path,
        destination: Option<&Destination>,
        sources: &[OsString],
        program: &str,
    ) -> Self {
        let given = |name: &str| {
            options
                .string(name)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let remote_url = destination.map(Destination::to_string).unwrap_or_default();
        let read = |path: &Path| read_small(&environment.system_root, path);
        let machine_id = given("machine-id")
            .or_else(|| read_small(Path::new("/"), &data_folder.join("machineid.txt")))
            .or_else(|| read(Path::new("etc/machine-id")).map(|id| made_up(&format!("machine {id}"))))
            .unwrap_or_default();
        let extra = vec![
            ("machine-id", machine_id),
            (
                "machine-name",
                given("machine-name")
                    .or_else(|| read(Path::new("proc/sys/kernel/hostname")))
                    .unwrap_or_default(),
            ),
            (
                "backup-id",
                given("backup-id").unwrap_or_else(|| made_up(&format!("backup {remote_url}"))),
            ),
            (
                "backup-name",
                given("backup-name").unwrap_or_else(|| program.to_owned()),
            ),
            ("operating-system", "Linux".to_owned()),
            (
                "operating-system-detailed",
                read(Path::new("etc/os-release"))
                    .and_then(|text| pretty_name(&text))
                    .unwrap_or_else(|| "Linux".to_owned()),
            ),
            (
                "installation-type",
                read_small(&environment.program_folder, Path::new("package_type_id.txt"))
                    .unwrap_or_else(|| "unknown".to_owned()),
            ),
            (
                "destination-type",
                destination
                    .map(|destination| destination.scheme.clone())
                    .unwrap_or_default(),
            ),
            (
                "destination-host-suffix",
                destination
                    .map(|destination| host_suffix(&destination.host))
                    .unwrap_or_default(),
            ),
            (
                "next-scheduled-run",
                given("next-scheduled-run").unwrap_or_default(),
            ),
            (
                "update-channel",
                environment
                    .variable("AUTOUPDATER_Duplicati_CHANNEL")
                    .map_or_else(|| "Stable".to_owned(), |name| name.to_string_lossy().into_owned()),
            ),
        ];
        let shown: Vec<(String, String)> = options
            .given_texts()
            .filter(|given| !given.is_secret)
            .map(|given| (given.name.to_owned(), given.value.to_string_lossy().into_owned()))
            .collect();
        let sources: Vec<_> = sources.iter().map(|path| path.to_string_lossy()).collect();
        Self {
            extra,
            remote_url,
            local_path: sources.join(":"),
            options: shown,
        }
    }

    /// A fact by its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.extra
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

fn read_small(root: &Path, path: &Path) -> Option<String> {
    let content = std::fs::read(root.join(path)).ok()?;
    let text = String::from_utf8_lossy(&content[..content.len().min(FILE_BYTES_MAX)])
        .trim()
        .to_owned();
    (!text.is_empty()).then_some(text)
}

fn pretty_name(release: &str) -> Option<String> {
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// An id that stays the same and from which its origin cannot be read.
fn made_up(origin: &str) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(origin.as_bytes()).iter().take(ID_DIGITS / 2) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// The last two labels of a host name; nothing of an address, which has no such part.
fn host_suffix(host: &str) -> String {
    let is_address = host.contains(':') || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let labels: Vec<&str> = host.split('.').filter(|label| !label.is_empty()).collect();
    if is_address || labels.len() < 2 {
        return String::new();
    }
    labels[labels.len() - 2..].join(".")
}

/// The destination of a command line, if it has a readable one.
pub fn destination_of(text: Option<&OsStr>, environment: &Environment) -> Option<Destination> {
    Destination::parse(text?, &environment.current_folder).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_two_labels_of_a_host_are_told() {
        for (host, suffix) in [
            ("a.b.example.org", "example.org"),
            ("bucket", ""),
            ("10.0.0.1", ""),
            ("[::1]", ""),
            ("", ""),
        ] {
            assert_eq!(host_suffix(host), suffix);
        }
    }

    #[test]
    fn made_up_ids_are_stable_and_show_nothing() {
        assert_eq!(made_up("x"), made_up("x"));
        assert_ne!(made_up("x"), made_up("y"));
        assert_eq!(made_up("x").len(), ID_DIGITS);
    }
}
