// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Trees as lists of edits: what a property test generates, shrinks, and plays on real folders.
//!
//! A place is chosen by a number taken modulo what is there, so every list of edits has a meaning, also after
//! shrinking. The same list played on two empty folders gives two equal trees.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileExt, MetadataExt, symlink},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use crate::tree_builder::{Content, write_content};

/// Longer paths would need folders opened one by one; `fidelity_tree` does that.
const PATH_BYTES_MAX: usize = 3_500;

/// A number that chooses among what is there.
pub type Pick = u16;

/// A stretch of a file.
#[derive(Debug, Clone)]
pub enum Stretch {
    /// Bytes of a kind, the same for the same seed.
    Data { bytes: u32, content: Content, seed: u64 },
    /// A hole, where the file system makes one.
    Hole { bytes: u32 },
}

/// What is put somewhere.
#[derive(Debug, Clone)]
pub enum Node {
    Folder,
    /// Many small files at once, named by number.
    FolderOfMany {
        files: u16,
    },
    File(Vec<Stretch>),
    /// Another name of a file that is there; nothing when there is none.
    HardLink(Pick),
    Symlink(Vec<u8>),
    Fifo,
    Socket,
    /// Left out without the right to make it.
    CharDevice {
        major: u32,
        minor: u32,
    },
}

/// Metadata that is put on whatever was made or touched.
#[derive(Debug, Clone)]
pub struct Look {
    /// Permission bits; the owner's right to read is always added, and to enter on folders.
    pub mode: u16,
    pub seconds: i64,
    pub nanoseconds: u32,
    /// Owner and group numbers; only as root.
    pub owner: (u32, u32),
    /// Attributes below `user.`; left out where the file system or the kind of entry has none.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

/// One change of a tree.
#[derive(Debug, Clone)]
pub enum Edit {
    /// Makes something new in a folder; nothing when the name is taken.
    Add {
        folder: Pick,
        name: Vec<u8>,
        node: Node,
        look: Look,
    },
    /// Writes a file anew in place, as editors do that keep the inode.
    Rewrite {
        entry: Pick,
        content: Vec<Stretch>,
        look: Look,
    },
    /// Overwrites a few bytes in the middle.
    Patch { entry: Pick, place: u32, bytes: Vec<u8> },
    /// Changes metadata only.
    Touch { entry: Pick, look: Look },
    /// Removes an entry with everything below it.
    Remove { entry: Pick },
    /// Moves an entry; nothing when the name is taken or the folder is below the entry.
    Rename {
        entry: Pick,
        folder: Pick,
        name: Vec<u8>,
    },
    /// Puts something else under the same name.
    Replace { entry: Pick, node: Node, look: Look },
}

/// A folder that edits are played on.
pub struct EditedTree {
    root: PathBuf,
    is_root: bool,
    /// The looks of folders by inode: their times and modes are set again when everything below is done.
    folders: HashMap<u64, Look>,
}

impl EditedTree {
    /// Starts with an empty folder, which is made.
    pub fn new(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self {
            root: root.to_owned(),
            is_root: rustix::process::geteuid().is_root(),
            folders: HashMap::new(),
        })
    }

    /// Plays edits in order.
    pub fn apply(&mut self, edits: &[Edit]) -> io::Result<()> {
        self.open_folders()?;
        for edit in edits {
            self.apply_one(edit)
                .map_err(|error| io::Error::new(error.kind(), format!("{edit:?}: {error}")))?;
        }
        self.close_folders()
    }

    fn apply_one(&mut self, edit: &Edit) -> io::Result<()> {
        match edit {
            Edit::Add {
                folder,
                name,
                node,
                look,
            } => {
                let folder = self.folder(*folder)?;
                match free_place(&folder, name) {
                    Some(path) => self.make(&path, node, look),
                    None => Ok(()),
                }
            }
            Edit::Rewrite { entry, content, look } => {
                let Some(path) = pick(&self.files()?, *entry) else {
                    return Ok(());
                };
                make_writable(&path)?;
                write_stretches(&mut File::create(&path)?, content)?;
                self.dress(&path, look)
            }
            Edit::Patch { entry, place, bytes } => {
                let Some(path) = pick(&self.files()?, *entry) else {
                    return Ok(());
                };
                let status = fs::metadata(&path)?;
                make_writable(&path)?;
                let file = File::options().write(true).open(&path)?;
                file.write_all_at(bytes, u64::from(*place) % (status.len() + 1))?;
                drop(file);
                let mode = Mode::from_raw_mode(status.mode() & 0o7777);
                rustix::fs::chmodat(CWD, &path, mode, AtFlags::empty())?;
                Ok(set_times(&path, status.mtime(), status.mtime_nsec() as u32)?)
            }
            Edit::Touch { entry, look } => match pick(&self.entries()?, *entry) {
                Some(path) => self.dress(&path, look),
                None => Ok(()),
            },
            Edit::Remove { entry } => match pick(&self.entries()?, *entry) {
                Some(path) => remove(&path),
                None => Ok(()),
            },
            Edit::Rename { entry, folder, name } => {
                let Some(path) = pick(&self.entries()?, *entry) else {
                    return Ok(());
                };
                let folder = self.folder(*folder)?;
                match free_place(&folder, name) {
                    Some(place) if !folder.starts_with(&path) => fs::rename(path, place),
                    _ => Ok(()),
                }
            }
            Edit::Replace { entry, node, look } => {
                let Some(path) = pick(&self.entries()?, *entry) else {
                    return Ok(());
                };
                remove(&path)?;
                self.make(&path, node, look)
            }
        }
    }

    fn make(&mut self, path: &Path, node: &Node, look: &Look) -> io::Result<()> {
        let special = |kind, device| match rustix::fs::mknodat(CWD, path, kind, Mode::RUSR, device) {
            Err(Errno::PERM) => Ok(false),
            made => made.map(|()| true),
        };
        let made = match node {
            Node::Folder => fs::create_dir(path).map(|()| true)?,
            Node::FolderOfMany { files } => {
                fs::create_dir(path)?;
                for number in 0..*files {
                    let file = path.join(format!("{number:05}"));
                    fs::write(&file, number.to_string())?;
                    set_times(&file, look.seconds, look.nanoseconds)?;
                }
                true
            }
            Node::File(content) => write_stretches(&mut File::create(path)?, content).map(|()| true)?,
            Node::HardLink(of) => match pick(&self.files()?, *of) {
                // Its look is that of the file.
                Some(file) => return fs::hard_link(file, path),
                None => false,
            },
            Node::Symlink(target) => symlink(OsStr::from_bytes(target), path).map(|()| true)?,
            Node::Fifo => special(FileType::Fifo, 0)?,
            Node::Socket => special(FileType::Socket, 0)?,
            Node::CharDevice { major, minor } => {
                special(FileType::CharacterDevice, rustix::fs::makedev(*major, *minor))?
            }
        };
        if made { self.dress(path, look) } else { Ok(()) }
    }

    fn dress(&mut self, path: &Path, look: &Look) -> io::Result<()> {
        let status = fs::symlink_metadata(path)?;
        if self.is_root {
            let (uid, gid) = (Uid::from_raw(look.owner.0), Gid::from_raw(look.owner.1));
            rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        for (name, value) in &look.xattrs {
            let name = format!("user.{name}");
            match rustix::fs::lsetxattr(path, name.as_str(), value, XattrFlags::empty()) {
                Ok(()) | Err(Errno::NOTSUP | Errno::PERM | Errno::ACCESS | Errno::NOSPC) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if status.is_dir() {
            self.folders.insert(status.ino(), look.clone());
            return Ok(());
        }
        if !status.is_symlink() {
            let mode = Mode::from_raw_mode(u32::from(look.mode & 0o7777 | 0o400));
            rustix::fs::chmodat(CWD, path, mode, AtFlags::empty())?;
        }
        Ok(set_times(path, look.seconds, look.nanoseconds)?)
    }

    /// Lets the owner work in every folder while edits are played.
    fn open_folders(&self) -> io::Result<()> {
        // From the top: what is below cannot be listed before.
        let mut open = vec![self.root.clone()];
        while let Some(folder) = open.pop() {
            rustix::fs::chmodat(CWD, &folder, Mode::RWXU, AtFlags::empty())?;
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    open.push(entry.path());
                }
            }
        }
        Ok(())
    }

    fn close_folders(&self) -> io::Result<()> {
        // Deepest first: a folder without the right to write closes what is below.
        for folder in self.all_folders()?.iter().rev() {
            if let Some(look) = self.folders.get(&fs::symlink_metadata(folder)?.ino()) {
                let mode = Mode::from_raw_mode(u32::from(look.mode & 0o7777 | 0o500));
                set_times(folder, look.seconds, look.nanoseconds)?;
                rustix::fs::chmodat(CWD, folder, mode, AtFlags::empty())?;
            }
        }
        Ok(())
    }

    fn folder(&self, number: Pick) -> io::Result<PathBuf> {
        Ok(pick(&self.all_folders()?, number).unwrap_or_else(|| self.root.clone()))
    }

    /// The root and all folders below.
    fn all_folders(&self) -> io::Result<Vec<PathBuf>> {
        let mut folders = self.entries()?;
        folders.retain(|path| is_kind(path, FileType::Directory));
        folders.insert(0, self.root.clone());
        Ok(folders)
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = self.entries()?;
        files.retain(|path| is_kind(path, FileType::RegularFile));
        Ok(files)
    }

    /// Everything below the root, in a fixed order, parents before children.
    fn entries(&self) -> io::Result<Vec<PathBuf>> {
        let mut entries = Vec::new();
        let mut open = vec![self.root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    open.push(entry.path());
                }
                entries.push(entry.path());
            }
        }
        entries.sort();
        Ok(entries)
    }
}

fn pick(among: &[PathBuf], number: Pick) -> Option<PathBuf> {
    (!among.is_empty()).then(|| among[usize::from(number) % among.len()].clone())
}

fn is_kind(path: &Path, kind: FileType) -> bool {
    rustix::fs::lstat(path).is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == kind)
}

/// The path of a new entry, unless the name is taken, not allowed, or leads too deep.
fn free_place(folder: &Path, name: &[u8]) -> Option<PathBuf> {
    if matches!(name, b"" | b"." | b"..") {
        return None;
    }
    let path = folder.join(OsString::from_vec(name.to_vec()));
    let fits = path.as_os_str().len() <= PATH_BYTES_MAX;
    (fits && fs::symlink_metadata(&path).is_err()).then_some(path)
}

fn remove(path: &Path) -> io::Result<()> {
    if is_kind(path, FileType::Directory) {
        crate::tree_remove::remove_tree(path)
    } else {
        fs::remove_file(path)
    }
}

fn make_writable(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::chmodat(
        CWD,
        path,
        Mode::RUSR | Mode::WUSR,
        AtFlags::empty(),
    )?)
}

fn write_stretches(file: &mut File, content: &[Stretch]) -> io::Result<()> {
    let mut size = 0;
    for stretch in content {
        match stretch {
            Stretch::Data { bytes, content, seed } => {
                let mut data = Vec::with_capacity(*bytes as usize);
                write_content(&mut data, u64::from(*bytes), *content, *seed)?;
                file.write_all_at(&data, size)?;
                size += u64::from(*bytes);
            }
            Stretch::Hole { bytes } => size += u64::from(*bytes),
        }
    }
    file.set_len(size)?;
    file.flush()
}

fn set_times(path: &Path, seconds: i64, nanoseconds: u32) -> Result<(), Errno> {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.into(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
}
