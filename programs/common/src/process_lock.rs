// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A lock file that says which process holds it. The kernel lets go of it when the process ends, however it ends.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

/// What is read of a lock file at most, bytes: a process number is shorter.
const LOCK_FILE_BYTES_MAX: u64 = 32;

/// Held while it lives.
#[derive(Debug)]
pub struct ProcessLock {
    _file: File,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ProcessLockError {
    /// Somebody has it: `process 17`, or `another process` when that is not known.
    #[error("{0} holds it")]
    Held(String),
    /// The file cannot be used.
    #[error(transparent)]
    Unusable(#[from] std::io::Error),
}

impl ProcessLock {
    /// Takes the lock without waiting.
    ///
    /// # Errors
    /// When another process has it, or the file cannot be opened for writing.
    pub fn take(path: &Path) -> Result<Self, ProcessLockError> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(ProcessLockError::Held(holder(&file))),
            Err(error) => return Err(ProcessLockError::Unusable(error.into())),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &File) -> String {
    let mut text = String::new();
    let _unreadable_is_unknown = file.take(LOCK_FILE_BYTES_MAX).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(process) => format!("process {process}"),
        Err(_) => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_names_the_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let first = ProcessLock::take(&path).unwrap();
        let second = ProcessLock::take(&path).unwrap_err();
        let own = format!("process {}", std::process::id());
        assert!(matches!(second, ProcessLockError::Held(holder) if holder == own));
        drop(first);
        assert!(ProcessLock::take(&path).is_ok());
    }
}
