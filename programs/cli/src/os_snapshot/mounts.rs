// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which file system a path lies on, as the kernel lists mounts.

use std::path::Path;

/// The largest list of mounts that is read, bytes.
const LIST_BYTES_MAX: usize = 16 << 20;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) place: Vec<u8>,
    pub(super) file_system: String,
    pub(super) device: String,
}

pub(super) fn read(system_root: &Path) -> Result<Vec<Mount>, String> {
    let path = system_root.join("proc/self/mountinfo");
    let content =
        std::fs::read(&path).map_err(|error| format!("failed to read {}: {error}", path.display()))?;
    if content.len() > LIST_BYTES_MAX {
        return Err(format!("{} is too long", path.display()));
    }
    Ok(content.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// The mount that a path lies below; of several, the last one mounted.
pub(super) fn of<'a>(mounts: &'a [Mount], path: &[u8]) -> Option<&'a Mount> {
    let holds = |place: &[u8]| {
        place == b"/" || path == place || (path.starts_with(place) && path.get(place.len()) == Some(&b'/'))
    };
    mounts
        .iter()
        .filter(|mount| holds(&mount.place))
        .max_by_key(|mount| mount.place.len())
}

/// Fields: id, parent, device number, root, place, options, optional fields, `-`, file system, device, options.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let place = unescape(fields.nth(4)?);
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    Some(Mount {
        place,
        file_system: String::from_utf8_lossy(rest.next()?).into_owned(),
        device: String::from_utf8_lossy(rest.next()?).into_owned(),
    })
}

/// Spaces and the like stand as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut place = 0;
    while place < field.len() {
        let digits = field.get(place + 1..place + 4).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match (field[place], digits) {
            (b'\\', Some(byte)) => {
                text.push(byte);
                place += 4;
            }
            (byte, _) => {
                text.push(byte);
                place += 1;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_a_path_is_the_one_that_is_nearest() {
        let lines: [&[u8]; 3] = [
            b"22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
            b"40 22 0:33 /@ /mnt/my\\040disk rw shared:2 master:3 - btrfs /dev/sdb1 rw,subvol=/@",
            b"41 22 253:7 / /data rw - xfs /dev/mapper/vg-data rw",
        ];
        let mounts: Vec<Mount> = lines.iter().filter_map(|line| parse(line)).collect();
        assert_eq!(mounts.len(), 3);
        let file_system = |path: &[u8]| of(&mounts, path).map(|mount| mount.file_system.as_str());
        assert_eq!(file_system(b"/mnt/my disk/x"), Some("btrfs"));
        assert_eq!(file_system(b"/mnt/my disks"), Some("ext4"));
        assert_eq!(file_system(b"/data"), Some("xfs"));
    }
}
