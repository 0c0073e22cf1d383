// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One server per data folder. The kernel frees the lock when a server ends, however it ends.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path};

use duplicati_programs_common::{
    ExitCode, UserError,
    error_id::ids,
    process_lock::{ProcessLock, ProcessLockError},
};

/// The lock, held while it lives.
pub struct InstanceLock {
    _lock: ProcessLock,
}

impl InstanceLock {
    /// Takes the lock, or tells that another server has it.
    pub fn take(data_folder: &Path) -> Result<Self, UserError> {
        let folder = data_folder.join("control_dir_v2");
        let path = folder.join("lock_v2");
        let unusable = |error: &dyn std::fmt::Display| {
            UserError::failed(
                ids::DATA_FOLDER_UNUSABLE,
                format!("failed to lock {}: {error}", path.display()),
            )
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| unusable(&error))?;
        match ProcessLock::take(&path) {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err(ProcessLockError::Held(holder)) => Err(UserError {
                id: ids::DATA_FOLDER_UNUSABLE,
                message: format!(
                    "another instance is running with the data folder {} ({holder}); stop it, or choose another folder with --server-datafolder",
                    data_folder.display(),
                ),
                exit_code: ExitCode::InvalidCommandLine,
            }),
            Err(ProcessLockError::Unusable(error)) => Err(unusable(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_refused_until_the_first_has_ended() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = InstanceLock::take(folder.path());
        assert!(first.is_ok());
        let second = InstanceLock::take(folder.path()).err();
        assert_eq!(
            second.map(|error| error.exit_code),
            Some(ExitCode::InvalidCommandLine)
        );
        drop(first);
        assert!(InstanceLock::take(folder.path()).is_ok());
    }
}
