// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Snapshots of LVM volumes, made by three scripts that administrators may replace: `find-volume.sh`, `create-lvm-snapshot.sh`,
//! `remove-lvm-snapshot.sh`. They print lines of the form `name="value"`.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{OsSnapshot, output_of};

/// Where packages put the scripts, besides the folder of the program.
const PACKAGED: &str = "/usr/lib/duplicati";
const FOLDER: &str = "lvm-scripts";

pub(super) struct Volume {
    scripts: PathBuf,
    name: String,
    device: String,
    mount_point: PathBuf,
    temporary: PathBuf,
    mounted_at: PathBuf,
}

/// The folder with the scripts.
pub(super) fn scripts(program_folder: &Path) -> Result<PathBuf, String> {
    [program_folder, Path::new(PACKAGED)]
        .iter()
        .map(|folder| folder.join(FOLDER))
        .find(|folder| folder.join("find-volume.sh").is_file())
        .ok_or_else(|| {
            format!("the scripts for LVM are neither beside the program nor in {PACKAGED}/{FOLDER}")
        })
}

impl Volume {
    /// Makes a snapshot of the volume that holds `source`.
    pub(super) fn make(scripts: &Path, source: &Path, name: &str, temporary: &Path) -> Result<Self, String> {
        let found = output_of(&scripts.join("find-volume.sh"), &[source.as_os_str()])?;
        let mount_point = PathBuf::from(value(&found, "mountpoint")?);
        let device = value(&found, "device")?;
        // Scripts expect a folder with a slash at its end.
        let mut place = temporary.join(name).into_os_string();
        place.push("/");
        let made = output_of(
            &scripts.join("create-lvm-snapshot.sh"),
            &[OsStr::new(name), OsStr::new(&device), &place],
        )?;
        let mounted_at = value(&made, "tmpdir").map_or_else(|_| PathBuf::from(&place), PathBuf::from);
        Ok(Self {
            scripts: scripts.to_owned(),
            name: name.to_owned(),
            device,
            mount_point,
            temporary: PathBuf::from(place),
            mounted_at,
        })
    }
}

impl OsSnapshot for Volume {
    fn top(&self) -> &Path {
        &self.mount_point
    }

    fn place(&self) -> &Path {
        &self.mounted_at
    }

    fn remove(&self) -> Result<(), String> {
        output_of(
            &self.scripts.join("remove-lvm-snapshot.sh"),
            &[
                OsStr::new(&self.name),
                OsStr::new(&self.device),
                self.temporary.as_os_str(),
            ],
        )
        .map(|_| ())
    }
}

/// The value in a line `name="value"`.
fn value(output: &str, name: &str) -> Result<String, String> {
    output
        .lines()
        .find_map(|line| {
            let value = line.trim().strip_prefix(name)?.strip_prefix('=')?;
            Some(value.trim_matches('"').to_owned())
        })
        .filter(|value| !value.is_empty())
        .ok_or_else(|| format!("the script printed no {name}=\"…\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_scripts_are_told_what_they_need() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let script = |name: &str, body: &str| {
            let file = path.join(name);
            std::fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        script(
            "find-volume.sh",
            "echo 'mountpoint=\"/data\"'; echo 'device=\"vg/lv\"'",
        );
        script(
            "create-lvm-snapshot.sh",
            "[ \"$1 $2\" = \"snap vg/lv\" ] && echo tmpdir=\\\"$3mounted\\\"",
        );
        script(
            "remove-lvm-snapshot.sh",
            "echo \"$1 $2 $3\" > \"$(dirname \"$0\")/removed\"",
        );
        let volume = Volume::make(path, Path::new("/data/x"), "snap", Path::new("/tmp")).unwrap();
        assert_eq!(
            (volume.top(), volume.place()),
            (Path::new("/data"), Path::new("/tmp/snap/mounted"))
        );
        volume.remove().unwrap();
        let removed = std::fs::read_to_string(path.join("removed")).unwrap();
        assert_eq!(removed, "snap vg/lv /tmp/snap/\n");
        script("create-lvm-snapshot.sh", "echo no room >&2; exit 5");
        let error = Volume::make(path, Path::new("/data/x"), "snap", Path::new("/tmp"))
            .err()
            .unwrap();
        assert!(error.contains("no room"), "{error}");
    }

    #[test]
    fn values_are_found_in_lines_and_their_absence_is_told() {
        let output = "something\n mountpoint=\"/data\"\ndevice=\"vg/lv\"\n";
        assert_eq!(value(output, "mountpoint"), Ok("/data".to_owned()));
        assert_eq!(value(output, "device"), Ok("vg/lv".to_owned()));
        assert!(value(output, "tmpdir").is_err());
    }
}
