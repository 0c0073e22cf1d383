// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A tree with everything that Linux can keep in a file system, to be backed up and compared after restoring.
//!
//! What the file system or the user's rights do not allow is left out, printed, and listed in the report: a test that
//! needs it can fail on that.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileExt, symlink},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use crate::tree_builder::{Content, write_content};
use crate::tree_compare::open_folder;

/// What is built, where it is not simply everything.
#[derive(Debug, Clone)]
pub struct FidelityOptions {
    /// Adds a folder marked with `CACHEDIR.TAG`, which a backup may leave out on request.
    pub has_cache_folder: bool,
    /// Folders in the chain; the default makes a path longer than the kernel takes in one call.
    pub chain_folders: u32,
    /// Files in the wide folder.
    pub wide_folder_files: u32,
}

impl Default for FidelityOptions {
    fn default() -> Self {
        Self {
            has_cache_folder: false,
            chain_folders: 1_000,
            wide_folder_files: 5_000,
        }
    }
}

/// What could not be built here, and why.
#[derive(Debug, Clone, Default)]
pub struct FidelityReport {
    pub skipped: Vec<String>,
}

/// Builds the tree below `root`, which is made if need be.
pub fn fidelity_tree(root: &Path, options: &FidelityOptions) -> io::Result<FidelityReport> {
    fs::create_dir_all(root)?;
    let mut maker = Maker {
        root,
        report: FidelityReport::default(),
        is_root: rustix::process::geteuid().is_root(),
    };
    maker.plain_files()?;
    maker.sparse_files()?;
    maker.hard_links()?;
    maker.symbolic_links()?;
    maker.special_files()?;
    maker.names()?;
    maker.xattrs_and_acls()?;
    maker.owners_and_modes()?;
    chain(&root.join("chain"), options.chain_folders)?;
    maker.wide_folder(options.wide_folder_files)?;
    if options.has_cache_folder {
        maker.cache_folder()?;
    }
    // Last, because everything above changes the times of folders.
    maker.times()?;
    Ok(maker.report)
}

struct Maker<'a> {
    root: &'a Path,
    report: FidelityReport,
    is_root: bool,
}

impl Maker<'_> {
    fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.root.join(name);
        fs::create_dir(&path)?;
        Ok(path)
    }

    fn skip(&mut self, what: &str, why: impl std::fmt::Display) {
        let note = format!("{what}: {why}");
        println!("skipped in the fidelity tree: {note}");
        self.report.skipped.push(note);
    }

    /// Keeps going when the file system or the rights do not allow something.
    fn allow_missing(&mut self, what: &str, result: Result<(), Errno>) -> io::Result<()> {
        match result {
            Ok(()) => Ok(()),
            Err(
                errno @ (Errno::NOTSUP
                | Errno::PERM
                | Errno::ACCESS
                | Errno::NOSPC
                | Errno::TOOBIG
                | Errno::RANGE
                | Errno::NAMETOOLONG
                | Errno::INVAL),
            ) => {
                self.skip(what, errno);
                Ok(())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn needs_root(&mut self, what: &str) -> bool {
        if !self.is_root {
            self.skip(what, "only root can make it");
        }
        self.is_root
    }

    fn plain_files(&self) -> io::Result<()> {
        let folder = self.folder("plain")?;
        File::create(folder.join("empty"))?;
        fs::create_dir(folder.join("empty folder"))?;
        let sizes = [
            1,
            511,
            4_095,
            4_096,
            4_097,
            65_536,
            1 << 20,
            (4 << 20) + 1,
            9 << 20,
        ];
        for (number, size) in sizes.into_iter().enumerate() {
            let content = if number % 2 == 0 {
                Content::Random
            } else {
                Content::Text
            };
            write_content(
                &mut File::create(folder.join(format!("{size} bytes")))?,
                size,
                content,
                size,
            )?;
        }
        write_content(
            &mut File::create(folder.join("zeros that are written"))?,
            300_000,
            Content::Zeros,
            0,
        )
    }

    fn sparse_files(&self) -> io::Result<()> {
        const HOLE: u64 = 2 << 20;
        let folder = self.folder("sparse")?;
        let data = vec![0x5a; 100_000];
        let data_places: [(&str, &[u64], u64); 5] = [
            ("leading", &[HOLE], HOLE + data.len() as u64),
            ("middle", &[0, 2 * HOLE], 2 * HOLE + data.len() as u64),
            ("trailing", &[0], 3 * HOLE),
            ("everywhere", &[HOLE, 3 * HOLE], 5 * HOLE + 123),
            ("all hole", &[], 8 * HOLE + 1),
        ];
        for (name, places, size) in data_places {
            let file = File::create(folder.join(name))?;
            file.set_len(size)?;
            for place in places {
                file.write_all_at(&data, *place)?;
            }
        }
        Ok(())
    }

    fn hard_links(&self) -> io::Result<()> {
        let folder = self.folder("hard links")?;
        let other = folder.join("other folder");
        fs::create_dir(&other)?;
        fs::write(folder.join("first"), "one file with three names")?;
        fs::hard_link(folder.join("first"), folder.join("second"))?;
        fs::hard_link(folder.join("first"), other.join("third"))?;
        // The same content and a different file: must stay two files.
        fs::write(folder.join("equal but separate"), "one file with three names")?;
        symlink("first", folder.join("symbolic"))?;
        fs::hard_link(folder.join("symbolic"), folder.join("symbolic again"))?;
        rustix::fs::mkfifoat(CWD, folder.join("pipe"), Mode::RUSR | Mode::WUSR)?;
        fs::hard_link(folder.join("pipe"), other.join("pipe again"))
    }

    fn symbolic_links(&mut self) -> io::Result<()> {
        let folder = self.folder("symbolic links")?;
        symlink("../plain/empty", folder.join("relative"))?;
        symlink(self.root.join("plain/empty"), folder.join("absolute"))?;
        symlink("no such place", folder.join("dangling"))?;
        symlink("../plain", folder.join("to a folder"))?;
        symlink("itself", folder.join("itself"))?;
        symlink(OsStr::from_bytes(b"\xff\n\x80"), folder.join("target not UTF-8"))?;
        let long = "x/".repeat(2_000);
        let made = rustix::fs::symlinkat(long.as_str(), CWD, folder.join("4000 bytes"));
        self.allow_missing("symbolic link of 4000 bytes", made)
    }

    fn special_files(&mut self) -> io::Result<()> {
        let folder = self.folder("special")?;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
        rustix::fs::mkfifoat(CWD, folder.join("pipe"), mode)?;
        // Made without binding, so that the length of the path does not matter.
        rustix::fs::mknodat(CWD, folder.join("socket"), FileType::Socket, mode, 0)?;
        if self.needs_root("devices") {
            for (name, kind, major, minor) in [
                ("null", FileType::CharacterDevice, 1, 3),
                ("large numbers", FileType::CharacterDevice, 511, 1_048_575),
                ("loop", FileType::BlockDevice, 7, 0),
            ] {
                let made = rustix::fs::mknodat(
                    CWD,
                    folder.join(name),
                    kind,
                    mode,
                    rustix::fs::makedev(major, minor),
                );
                self.allow_missing(name, made)?;
            }
        }
        Ok(())
    }

    fn names(&mut self) -> io::Result<()> {
        let folder = self.folder("names")?;
        let longest = "n".repeat(255);
        // 255 bytes that end in the middle of nothing: 127 two-byte characters and one more.
        let longest_accents = format!("{}x", "é".repeat(127));
        let names: [&[u8]; 24] = [
            b"\xff\xfe\x80 not UTF-8",
            b"cut off \xc3",
            b"new\nline",
            b"carriage\rreturn",
            b"tab\tbed",
            b"-leading-dash",
            b"--",
            b"-rf",
            b" leading and trailing space ",
            b" ",
            b"'single' \"double\" `back` quotes",
            b"back\\slash",
            b"* ? [glob] {a,b}",
            b"$HOME $(true) %s",
            b"\x01\x1b\x7f control",
            b".hidden",
            b"...",
            "\u{e9} composed".as_bytes(),
            "e\u{301} composed".as_bytes(),
            "Ünïcödé 漢字 \u{1f5c4}".as_bytes(),
            "right \u{202e}to left".as_bytes(),
            b"case",
            b"CASE",
            longest_accents.as_bytes(),
        ];
        for bytes in names {
            let result = rustix::fs::openat(
                CWD,
                folder.join(OsStr::from_bytes(bytes)),
                rustix::fs::OFlags::CREATE | rustix::fs::OFlags::EXCL | rustix::fs::OFlags::WRONLY,
                Mode::RUSR | Mode::WUSR,
            )
            .and_then(|file| rustix::io::write(&file, bytes).map(|_| ()));
            self.allow_missing(&format!("name {:?}", OsStr::from_bytes(bytes)), result)?;
        }
        fs::write(folder.join(&longest), "longest")?;
        fs::create_dir(folder.join(OsString::from_vec(b"folder \xfe\n".to_vec())))?;
        fs::write(
            folder.join(OsString::from_vec(b"folder \xfe\n/inside".to_vec())),
            "inside",
        )
    }

    fn xattrs_and_acls(&mut self) -> io::Result<()> {
        let folder = self.folder("attributes")?;
        let large: Vec<u8> = (0..60 * 1024).map(|number| (number % 251) as u8).collect();
        // Low three bits of `tag, permissions, id` entries as the kernel takes them, version 2.
        let access = acl(&[
            (1, 6, NO_ID),
            (2, 4, 1_234),
            (4, 4, NO_ID),
            (8, 6, 4_321),
            (0x10, 6, NO_ID),
            (0x20, 0, NO_ID),
        ]);
        let default = acl(&[
            (1, 7, NO_ID),
            (2, 5, 1_234),
            (4, 5, NO_ID),
            (0x10, 5, NO_ID),
            (0x20, 0, NO_ID),
        ]);
        // Revision 2, effective; cap_net_bind_service permitted.
        let capability: Vec<u8> = [0x0200_0001_u32, 1 << 10, 0, 0, 0]
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        let attributes: [(&str, bool, &str, &[u8], bool); 8] = [
            ("text", false, "user.comment", b"some words", false),
            ("binary", false, "user.bytes", b"\0\xff\n\0", false),
            ("no value", false, "user.empty", b"", false),
            ("large", false, "user.large", &large, false),
            ("folder", true, "user.comment", b"on a folder", false),
            ("access list", false, "system.posix_acl_access", &access, false),
            ("default list", true, "system.posix_acl_default", &default, false),
            ("capability", false, "security.capability", &capability, true),
        ];
        for (name, is_folder, attribute, value, is_for_root) in attributes {
            let path = folder.join(name);
            if is_folder {
                fs::create_dir(&path)?;
            } else {
                fs::write(&path, name)?;
            }
            if is_for_root && !self.needs_root(name) {
                continue;
            }
            let set = rustix::fs::lsetxattr(&path, attribute, value, XattrFlags::empty());
            self.allow_missing(&format!("{name} ({attribute})"), set)?;
        }
        let many = folder.join("many");
        fs::write(&many, "many")?;
        for number in 0..20 {
            let name = format!("user.number{number}");
            let set = rustix::fs::lsetxattr(&many, name.as_str(), &[number], XattrFlags::empty());
            self.allow_missing(&name, set)?;
        }
        if self.needs_root("attribute of a symbolic link") {
            let link = folder.join("link");
            symlink("text", &link)?;
            let set = rustix::fs::lsetxattr(&link, "trusted.comment", b"on a link", XattrFlags::empty());
            self.allow_missing("attribute of a symbolic link", set)?;
        }
        Ok(())
    }

    fn owners_and_modes(&mut self) -> io::Result<()> {
        let folder = self.folder("owners and modes")?;
        for (name, mode) in [
            ("set user id", 0o4755),
            ("set group id", 0o2755),
            ("all bits", 0o7777),
            ("read only", 0o444),
        ] {
            let path = folder.join(name);
            fs::write(&path, name)?;
            // Owner before mode: changing the owner clears the set-id bits.
            if self.is_root {
                chown(&path)?;
            }
            chmod(&path, mode)?;
        }
        for (name, mode) in [
            ("sticky", 0o1777),
            ("inherits group", 0o2775),
            ("read-only folder", 0o555),
        ] {
            let path = folder.join(name);
            fs::create_dir(&path)?;
            fs::write(path.join("inside"), "inside")?;
            if self.is_root {
                chown(&path)?;
            }
            chmod(&path, mode)?;
        }
        // Without root these could not be read by anybody, the backup included.
        if self.needs_root("no rights at all, other owners") {
            let file = folder.join("no rights");
            fs::write(&file, "only root reads this")?;
            chmod(&file, 0)?;
            let write_only = folder.join("write only");
            fs::write(&write_only, "written, never read")?;
            chmod(&write_only, 0o200)?;
            let inner = folder.join("folder without rights");
            fs::create_dir(&inner)?;
            fs::write(inner.join("inside"), "inside")?;
            chmod(&inner, 0)?;
            let link = folder.join("link of another owner");
            symlink("nowhere", &link)?;
            chown(&link)?;
            let pipe = folder.join("pipe of another owner");
            rustix::fs::mkfifoat(CWD, &pipe, Mode::RUSR)?;
            chown(&pipe)?;
        }
        Ok(())
    }

    fn wide_folder(&self, files: u32) -> io::Result<()> {
        let folder = self.folder("wide")?;
        for number in 0..files {
            fs::write(folder.join(format!("{number:05}")), number.to_string())?;
        }
        Ok(())
    }

    fn cache_folder(&self) -> io::Result<()> {
        let folder = self.folder("cache")?;
        // The signature of the Cache Directory Tagging Specification.
        fs::write(
            folder.join("CACHEDIR.TAG"),
            "Signature: 8a477f597d28d172789f06886806bc55\n",
        )?;
        fs::write(folder.join("cached"), "may be left out")
    }

    fn times(&mut self) -> io::Result<()> {
        let folder = self.folder("times")?;
        let times = [
            ("with nanoseconds", 1_700_000_000, 123_456_789),
            ("epoch", 0, 0),
            ("just before the epoch", -1, 999_999_999),
            ("1938", -1_000_000_000, 1),
            ("after 2038", 2_200_000_000, 5),
            ("after 2106", 5_000_000_000, 999_999_999),
        ];
        for (name, seconds, nanoseconds) in times {
            let file = folder.join(name);
            fs::write(&file, name)?;
            let link = folder.join(format!("{name}, link"));
            symlink(name, &link)?;
            let inner = folder.join(format!("{name}, folder"));
            fs::create_dir(&inner)?;
            for path in [&file, &link, &inner] {
                set_modified(path, seconds, nanoseconds)?;
            }
            let status = rustix::fs::lstat(&file)?;
            if status.st_mtime != seconds {
                self.skip(
                    &format!("time {name}"),
                    format_args!("kept as {}", status.st_mtime),
                );
            }
        }
        set_modified(&folder, 1_600_000_000, 987_654_321)?;
        set_modified(self.root, 1_500_000_000, 111_222_333)
    }
}

/// The id of an entry that names nobody.
const NO_ID: u32 = u32::MAX;

fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn chown(path: &Path) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(1_234), Gid::from_raw(4_321));
    Ok(rustix::fs::chownat(
        CWD,
        path,
        Some(user),
        Some(group),
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

fn chmod(path: &Path, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::chmod(path, Mode::from_raw_mode(mode))?)
}

/// Sets the modification time of anything, symbolic links included.
pub fn set_modified(path: &Path, seconds: i64, nanoseconds: i64) -> io::Result<()> {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(rustix::fs::utimensat(
        CWD,
        path,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// A chain of folders, one in the other, with a file at its end; made step by step, since no call takes the whole path.
fn chain(start: &Path, folders: u32) -> io::Result<()> {
    fs::create_dir(start)?;
    let mut folder = open_folder(CWD, start)?;
    for number in 0..folders {
        let name = format!("level-{number:04}");
        rustix::fs::mkdirat(&folder, name.as_str(), Mode::RWXU)?;
        folder = open_folder(&folder, name.as_str())?;
    }
    let file = rustix::fs::openat(
        &folder,
        "at the end",
        rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY,
        Mode::RUSR | Mode::WUSR,
    )?;
    File::from(file).write_all(b"far away")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        tree_compare::{CompareOptions, DifferenceKind, compare_trees, compare_trees_with},
        tree_remove::TestFolder,
    };

    #[test]
    fn tree_equals_itself_and_has_what_it_promises() {
        let guard = TestFolder::new().unwrap();
        let root = guard.path().join("source");
        let options = FidelityOptions {
            has_cache_folder: true,
            wide_folder_files: 200,
            ..FidelityOptions::default()
        };
        fidelity_tree(&root, &options).unwrap();
        assert_eq!(compare_trees(&root, &root), []);
        let sparse = rustix::fs::lstat(root.join("sparse/all hole")).unwrap();
        assert!((sparse.st_blocks as u64) * 512 < sparse.st_size as u64);
        assert_eq!(
            rustix::fs::lstat(root.join("hard links/first")).unwrap().st_nlink,
            3
        );
        let copied = std::process::Command::new("cp")
            .args(["-a", "--sparse=always"])
            .arg(root.join("sparse"))
            .arg(guard.path().join("copy"))
            .status()
            .unwrap();
        assert!(copied.success());
        assert_eq!(
            compare_trees(&root.join("sparse"), &guard.path().join("copy")),
            []
        );
    }

    #[test]
    fn difference_below_a_path_too_long_for_the_kernel_is_found() {
        let guard = TestFolder::new().unwrap();
        let [one, other] = ["a", "b"].map(|name| guard.path().join(name));
        chain(&one, 1_000).unwrap();
        chain(&other, 999).unwrap();
        let options = CompareOptions {
            ignore_times: true,
            ..CompareOptions::default()
        };
        let differences = compare_trees_with(&one, &other, &options);
        let mut kinds: Vec<_> = differences.iter().map(|difference| difference.kind).collect();
        kinds.sort();
        assert_eq!(kinds, [DifferenceKind::OnlyInFirst, DifferenceKind::OnlyInSecond]);
        assert!(differences[0].path.as_os_str().len() > 4_096);
    }
}
