// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Options of the table that this program does not carry out yet. Silence would let users believe in a script that never ran.

use duplicati_programs_common::{Options, UserError, error_id::ids};

/// Without these a run is what was asked for, only slower, less talkative or without an extra.
const WARNED: &[&str] = &[
    "control-files",
    "changed-files",
    "deleted-files",
    "upload-verification-file",
    "parity-module",
    "remote-sync-json-config",
    "remote-file-lock-duration",
    "soft-delete-prefix",
    "quota-size",
    "send-xmpp-to",
    "http-report-status-url",
    "use-background-io-priority",
    "compression-extension-file",
];

/// Without these a run would be something else than what was asked for.
const REFUSED: &[&str] = &[];

/// Refuses or names what has no effect.
pub fn check(options: &Options) -> Result<Vec<String>, UserError> {
    for name in options.given_names() {
        if REFUSED.contains(&name) {
            return Err(UserError::failed(
                ids::OPTION_NOT_SUPPORTED,
                format!(
                    "the option --{name} is not part of this version, and going on without it could do harm"
                ),
            ));
        }
    }
    if options.string("snapshot-policy") == Some("Required") {
        return Err(UserError::failed(
            ids::SNAPSHOT_FAILED,
            "--snapshot-policy=Required: this version cannot make snapshots of the file system",
        ));
    }
    let mut warnings: Vec<String> = options
        .given_names()
        .filter(|name| WARNED.contains(name))
        .map(|name| format!("the option --{name} has no effect in this version"))
        .collect();
    if options.string("snapshot-policy") == Some("On") {
        warnings
            .push("--snapshot-policy=On: this version cannot make snapshots of the file system".to_owned());
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use duplicati_programs_common::options::table;

    #[test]
    fn every_named_option_is_in_the_table() {
        for name in WARNED.iter().chain(REFUSED) {
            assert_eq!(table::find(name).map(|spec| spec.name), Some(*name), "{name}");
        }
    }
}
