// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Snapshots of file systems for the time of a backup (`--snapshot-policy`): btrfs subvolumes with the program `btrfs`, LVM volumes with scripts
//! that administrators may replace.
//!
//! Whatever was made is removed again when the backup ends, however it ends; only a killed program leaves it behind.

mod btrfs;
mod lvm;
mod mounts;

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use duplicati_actors::backup::Relocation;
use duplicati_programs_common::{
    error_id::ids,
    scripts::process::{self, Ended},
};

use crate::{
    failure::{Outcome, failed},
    invocation::Invocation,
    logging::Log,
};

/// How long a program may take: long enough for a volume group with many snapshots, and an end to one that waits for ever.
const PROGRAM_TIME_MAX: Duration = Duration::from_secs(600);

/// Snapshots that exist. Dropping them removes them.
pub struct OsSnapshots {
    made: Vec<Box<dyn OsSnapshot>>,
    relocations: Vec<Relocation>,
    log: Arc<Log>,
}

/// One snapshot.
trait OsSnapshot: Send {
    /// The folder that it shows.
    fn top(&self) -> &Path;
    /// Where it shows it.
    fn place(&self) -> &Path;
    /// Ends it.
    fn remove(&self) -> Result<(), String>;
}

impl OsSnapshots {
    /// Makes what the policy asks for; without it, nothing.
    pub fn make(invocation: &Invocation, sources: &[Vec<u8>]) -> Outcome<Self> {
        let nothing = || Self {
            made: Vec::new(),
            relocations: Vec::new(),
            log: Arc::clone(&invocation.log),
        };
        let policy = invocation.options.string("snapshot-policy").unwrap_or("Off");
        if policy == "Off" || invocation.is_dry_run() {
            return Ok(nothing());
        }
        let mut snapshots = nothing();
        let Err(reason) = snapshots.make_all(invocation, sources) else {
            return Ok(snapshots);
        };
        let message = format!("no snapshot of the file system was made: {reason}");
        match policy {
            "Required" => Err(failed(ids::SNAPSHOT_FAILED, message)),
            "On" => {
                invocation.log.warning("SnapshotFailed", &message);
                Ok(nothing())
            }
            _ => {
                invocation.log.information("SnapshotFailed", &message);
                Ok(nothing())
            }
        }
    }

    /// Where the sources are to be read.
    pub fn relocations(&self) -> Vec<Relocation> {
        self.relocations.clone()
    }

    fn make_all(&mut self, invocation: &Invocation, sources: &[Vec<u8>]) -> Result<(), String> {
        if invocation.environment.user_id != 0 {
            return Err("only root can make one".to_owned());
        }
        let mounts = mounts::read(&invocation.environment.system_root)?;
        for source in sources {
            let real = real_path(Path::new(OsStr::from_bytes(source)))?;
            let known = self.made.iter().position(|made| real.starts_with(made.top()));
            let position = match known {
                Some(position) => position,
                None => {
                    let made = self.make_one(invocation, &mounts, &real)?;
                    self.log.information(
                        "SnapshotMade",
                        &format!("Made a snapshot of {}", made.top().display()),
                    );
                    self.made.push(made);
                    self.made.len() - 1
                }
            };
            let made = &self.made[position];
            let inside = real.strip_prefix(made.top()).map_err(|error| error.to_string())?;
            self.relocations.push(Relocation {
                from: source.clone(),
                to: made.place().join(inside).as_os_str().as_bytes().to_vec(),
            });
        }
        Ok(())
    }

    fn make_one(
        &self,
        invocation: &Invocation,
        mounts: &[mounts::Mount],
        real: &Path,
    ) -> Result<Box<dyn OsSnapshot>, String> {
        let mount = mounts::of(mounts, real.as_os_str().as_bytes())
            .ok_or_else(|| format!("the file system of {} is not known", real.display()))?;
        let name = format!("duplicati-{}-{}", std::process::id(), self.made.len() + 1);
        if mount.file_system == "btrfs" {
            return Ok(Box::new(btrfs::Subvolume::make(real, &name)?));
        }
        if mount.device.starts_with("/dev/mapper/") || mount.device.starts_with("/dev/dm-") {
            let scripts = lvm::scripts(&invocation.environment.program_folder)?;
            let temporary = invocation.temporary_folder();
            return Ok(Box::new(lvm::Volume::make(&scripts, real, &name, &temporary)?));
        }
        Err(format!(
            "{} lies on {} ({}), and snapshots are made of LVM volumes and btrfs subvolumes only",
            real.display(),
            mount.device,
            mount.file_system
        ))
    }
}

impl Drop for OsSnapshots {
    fn drop(&mut self) {
        for made in self.made.drain(..).rev() {
            if let Err(reason) = made.remove() {
                self.log.warning(
                    "SnapshotNotRemoved",
                    &format!(
                        "the snapshot of {} was not removed: {reason}",
                        made.top().display()
                    ),
                );
            }
        }
    }
}

/// The path without links on the way; a link at its end is kept, unless it is to a folder.
fn real_path(source: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("failed to look at {}: {error}", source.display());
    if source.is_dir() {
        return source.canonicalize().map_err(failed);
    }
    match (source.parent(), source.file_name()) {
        (Some(parent), Some(name)) => Ok(parent.canonicalize().map_err(failed)?.join(name)),
        _ => Ok(source.to_owned()),
    }
}

/// Runs a program to its end and gives what it prints.
fn output_of(program: &Path, arguments: &[&OsStr]) -> Result<String, String> {
    let shown = program.display();
    let mut words = vec![program.as_os_str().to_owned()];
    words.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    match process::run(&words, &[], Some(PROGRAM_TIME_MAX)) {
        Ended::Exited {
            code: Some(0),
            stdout,
            ..
        } => Ok(String::from_utf8_lossy(&stdout).into_owned()),
        Ended::Exited {
            code, signal, stderr, ..
        } => {
            let complaint = String::from_utf8_lossy(&stderr);
            let how = match (code, signal) {
                (Some(code), _) => format!("exit code {code}"),
                (None, signal) => format!("signal {}", signal.unwrap_or_default()),
            };
            Err(format!("{shown} ended with {how}: {}", complaint.trim()))
        }
        Ended::TimedOut => Err(format!(
            "{shown} did not end within {} minutes",
            PROGRAM_TIME_MAX.as_secs() / 60
        )),
        Ended::NotStarted(error) => Err(format!("failed to run {shown}: {error}")),
    }
}
