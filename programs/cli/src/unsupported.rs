// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Options that depend on the machine and that this one cannot honour: told or refused before any work is done.

use duplicati_programs_common::{Options, UserError, error_id::ids};

use crate::passphrase::is_unencrypted;

/// The kind of encryption that there is.
const ENCRYPTION: &str = "age";
/// Why there are no snapshots of the file system.
const NO_SNAPSHOTS: &str = "this version cannot make LVM, btrfs or ZFS snapshots; make one with --run-script-before, back up its mount point, and \
                            remove it with --run-script-after";

/// Refuses, or gives sentences for warnings.
pub fn check(options: &Options) -> Result<Vec<String>, UserError> {
    let allowed = options.list("allowed-encryption-modules");
    let is_age_allowed =
        allowed.is_empty() || allowed.iter().any(|name| name.eq_ignore_ascii_case(ENCRYPTION));
    if !is_age_allowed && !is_unencrypted(options) {
        return Err(UserError::failed(
            ids::ENCRYPTION_NOT_ALLOWED,
            "--allowed-encryption-modules does not name age, the one kind of encryption that there is",
        ));
    }
    match options.string("snapshot-policy") {
        Some("Required") => Err(UserError::failed(
            ids::SNAPSHOT_FAILED,
            format!("--snapshot-policy=Required: {NO_SNAPSHOTS}"),
        )),
        Some("On") => Ok(vec![format!(
            "--snapshot-policy=On has no effect: {NO_SNAPSHOTS}"
        )]),
        _ => Ok(Vec::new()),
    }
}
