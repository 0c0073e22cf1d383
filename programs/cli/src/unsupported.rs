// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Options that forbid what this program is: refused before any work is done.

use duplicati_programs_common::{Options, UserError, error_id::ids};

use crate::passphrase::is_unencrypted;

/// The kind of encryption that there is.
const ENCRYPTION: &str = "age";

/// Refuses what cannot be.
pub fn check(options: &Options) -> Result<(), UserError> {
    let allowed = options.list("allowed-encryption-modules");
    let is_age_allowed =
        allowed.is_empty() || allowed.iter().any(|name| name.eq_ignore_ascii_case(ENCRYPTION));
    if !is_age_allowed && !is_unencrypted(options) {
        return Err(UserError::failed(
            ids::ENCRYPTION_NOT_ALLOWED,
            "--allowed-encryption-modules does not name age, the one kind of encryption that there is",
        ));
    }
    for name in ["usn-policy", "backupread-policy"] {
        if options.string(name) == Some("Required") {
            return Err(UserError::failed(
                ids::OPTION_NOT_SUPPORTED,
                format!(
                    "--{name}=Required cannot be had on Linux; leave the option out, or name changes with --changed-files"
                ),
            ));
        }
    }
    Ok(())
}
