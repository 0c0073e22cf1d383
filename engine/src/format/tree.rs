// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Directory streams and their entries (sections 8.1 and 8.2).

use std::{collections::HashMap, sync::Arc};

use super::{
    FORMAT_VERSION, FormatError,
    chunk_list::ChunkList,
    codec::{Decoder, put_bytes, put_svarint, put_varint},
};
use crate::clock::Timestamp;

const FLAG_DEVICE: u64 = 1;
const FLAG_XATTRS: u64 = 2;
const FLAG_HARD_LINK: u64 = 4;
const FLAG_HOLES: u64 = 8;
const FLAG_NO_METADATA: u64 = 16;
const FLAGS_KNOWN: u64 = 31;

/// Below this size a tree chunk is not cut, bytes.
const CUT_SIZE_BYTES_MIN: usize = 16 << 10;
/// At this size it is cut whatever the name, bytes.
const CUT_SIZE_BYTES_MAX: usize = 256 << 10;
/// In between, one name in this many ends a chunk: about 64 KiB of ordinary entries.
const CUT_NAMES: u64 = 512;

/// Owner as numbers and names; a name is empty when unknown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Owner {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// User name.
    pub user: Vec<u8>,
    /// Group name.
    pub group: Vec<u8>,
}

/// A place in a file without data: `gap` bytes after the end of the hole before, `length` bytes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// Bytes of data before it.
    pub gap: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryBody {
    /// A regular file.
    File {
        /// Its size in bytes, holes included.
        size: u64,
        /// Its stored data.
        content: ChunkList,
        /// Its holes, in order.
        holes: Vec<Hole>,
    },
    /// A directory.
    Directory {
        /// Its stream.
        content: ChunkList,
        /// Entries on all levels below.
        entries_below: u64,
        /// Bytes of file content on all levels below.
        bytes_below: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, raw.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl EntryBody {
    fn kind(&self) -> u8 {
        match self {
            Self::File { .. } => 1,
            Self::Directory { .. } => 2,
            Self::Symlink { .. } => 3,
            Self::Fifo => 4,
            Self::Socket => 5,
            Self::CharDevice { .. } => 6,
            Self::BlockDevice { .. } => 7,
        }
    }
}

/// One name in a directory with everything known about it (F-6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The name, raw bytes.
    pub name: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: Arc<Owner>,
    /// Last change of content.
    pub mtime: Timestamp,
    /// Last change of the inode.
    pub ctime: Timestamp,
    /// Inode number.
    pub inode: u64,
    /// Device number of the file system.
    pub device: u64,
    /// Whether other names lead to the same inode.
    pub hard_linked: bool,
    /// Whether the metadata means nothing.
    pub no_metadata: bool,
    /// Extended attributes sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// What it is.
    pub body: EntryBody,
}

/// Collects entries into tree chunks.
#[derive(Default)]
pub struct TreeChunkWriter {
    out: Vec<u8>,
    scratch: Vec<u8>,
    owners: HashMap<Arc<Owner>, u64>,
    device: u64,
    cut: bool,
}

impl TreeChunkWriter {
    /// Starts with an empty chunk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry. Names must rise; the caller walks in order.
    pub fn push(&mut self, entry: &TreeEntry) {
        if self.out.is_empty() {
            self.out.push(FORMAT_VERSION);
        }
        self.scratch.clear();
        let out = &mut self.scratch;
        let mut flags = 0;
        for (set, flag) in [
            (entry.device != self.device, FLAG_DEVICE),
            (!entry.xattrs.is_empty(), FLAG_XATTRS),
            (entry.hard_linked, FLAG_HARD_LINK),
            (
                matches!(&entry.body, EntryBody::File { holes, .. } if !holes.is_empty()),
                FLAG_HOLES,
            ),
            (entry.no_metadata, FLAG_NO_METADATA),
        ] {
            if set {
                flags |= flag;
            }
        }
        out.push(entry.body.kind());
        put_varint(out, flags);
        put_bytes(out, &entry.name);
        put_varint(out, entry.mode.into());
        let next = self.owners.len() as u64;
        let number = self.owners.get(&entry.owner).copied();
        put_varint(out, number.unwrap_or(next));
        if number.is_none() {
            put_varint(out, entry.owner.uid.into());
            put_varint(out, entry.owner.gid.into());
            put_bytes(out, &entry.owner.user);
            put_bytes(out, &entry.owner.group);
            self.owners.insert(Arc::clone(&entry.owner), next);
        }
        for time in [entry.mtime, entry.ctime] {
            put_svarint(out, time.seconds);
            put_varint(out, time.nanoseconds.into());
        }
        put_varint(out, entry.inode);
        if flags & FLAG_DEVICE != 0 {
            put_varint(out, entry.device);
            self.device = entry.device;
        }
        if flags & FLAG_XATTRS != 0 {
            put_varint(out, entry.xattrs.len() as u64);
            for (name, value) in &entry.xattrs {
                put_bytes(out, name);
                put_bytes(out, value);
            }
        }
        match &entry.body {
            EntryBody::File { size, content, holes } => {
                put_varint(out, *size);
                content.encode(out);
                if !holes.is_empty() {
                    put_varint(out, holes.len() as u64);
                    for hole in holes {
                        put_varint(out, hole.gap);
                        put_varint(out, hole.length);
                    }
                }
            }
            EntryBody::Directory {
                content,
                entries_below,
                bytes_below,
            } => {
                content.encode(out);
                put_varint(out, *entries_below);
                put_varint(out, *bytes_below);
            }
            EntryBody::Symlink { target } => put_bytes(out, target),
            EntryBody::Fifo | EntryBody::Socket => {}
            EntryBody::CharDevice { major, minor } | EntryBody::BlockDevice { major, minor } => {
                put_varint(out, (*major).into());
                put_varint(out, (*minor).into());
            }
        }
        put_bytes(&mut self.out, &self.scratch);
        self.cut = self.out.len() >= CUT_SIZE_BYTES_MAX
            || (self.out.len() >= CUT_SIZE_BYTES_MIN && name_hash(&entry.name).is_multiple_of(CUT_NAMES));
    }

    /// Whether the chunk should end after the entry pushed last.
    pub fn should_cut(&self) -> bool {
        self.cut
    }

    /// Whether nothing was pushed since the last [`take`](Self::take).
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Ends the chunk and returns its content.
    pub fn take(&mut self) -> Vec<u8> {
        self.owners.clear();
        self.device = 0;
        self.cut = false;
        std::mem::take(&mut self.out)
    }
}

/// FNV-1a. It only has to be the same on every run, so that one new name moves no other cut.
fn name_hash(name: &[u8]) -> u64 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

/// Reads the entries of one tree chunk.
pub struct TreeChunkReader<'a> {
    decoder: Decoder<'a>,
    owners: Vec<Arc<Owner>>,
    device: u64,
    failed: bool,
}

impl<'a> TreeChunkReader<'a> {
    /// Starts reading.
    ///
    /// # Errors
    /// When the version is unknown or the chunk is empty.
    pub fn new(content: &'a [u8]) -> Result<Self, FormatError> {
        let mut decoder = Decoder::new("tree chunk", content);
        decoder.version()?;
        Ok(Self {
            decoder,
            owners: Vec::new(),
            device: 0,
            failed: false,
        })
    }

    fn entry(&mut self) -> Result<TreeEntry, FormatError> {
        let mut entry = Decoder::new("tree entry", self.decoder.bytes()?);
        let kind = entry.u8()?;
        let flags = entry.varint()?;
        if flags & !FLAGS_KNOWN != 0 {
            return Err(entry.damaged(format!("flags {flags:#x} are not known; use a newer program")));
        }
        let name = entry.bytes()?;
        if name.is_empty()
            || name == b"."
            || name == b".."
            || name.iter().any(|byte| matches!(byte, 0 | b'/'))
        {
            return Err(entry.damaged(format!("the name {:?} is not one", String::from_utf8_lossy(name))));
        }
        let name = name.to_vec();
        let mode = entry.varint_up_to("the mode", 0o7777)? as u32;
        let number = entry.varint_up_to("the owner", self.owners.len() as u64)? as usize;
        if number == self.owners.len() {
            let owner = Owner {
                uid: entry.varint_up_to("the user number", u32::MAX.into())? as u32,
                gid: entry.varint_up_to("the group number", u32::MAX.into())? as u32,
                user: entry.bytes()?.to_vec(),
                group: entry.bytes()?.to_vec(),
            };
            self.owners.push(Arc::new(owner));
        }
        let mtime = timestamp(&mut entry)?;
        let ctime = timestamp(&mut entry)?;
        let inode = entry.varint()?;
        if flags & FLAG_DEVICE != 0 {
            self.device = entry.varint()?;
        }
        let mut xattrs = Vec::new();
        if flags & FLAG_XATTRS != 0 {
            for _ in 0..entry.varint()? {
                xattrs.push((entry.bytes()?.to_vec(), entry.bytes()?.to_vec()));
            }
        }
        let body = match kind {
            1 => file_body(&mut entry, flags)?,
            2 => EntryBody::Directory {
                content: ChunkList::decode(&mut entry)?,
                entries_below: entry.varint()?,
                bytes_below: entry.varint()?,
            },
            3 => EntryBody::Symlink {
                target: entry.bytes()?.to_vec(),
            },
            4 => EntryBody::Fifo,
            5 => EntryBody::Socket,
            6 | 7 => {
                let major = entry.varint_up_to("the major number", u32::MAX.into())? as u32;
                let minor = entry.varint_up_to("the minor number", u32::MAX.into())? as u32;
                if kind == 6 {
                    EntryBody::CharDevice { major, minor }
                } else {
                    EntryBody::BlockDevice { major, minor }
                }
            }
            other => return Err(entry.damaged(format!("kind {other} is not known; use a newer program"))),
        };
        if !entry.is_empty() {
            return Err(entry.damaged("it has bytes too many"));
        }
        Ok(TreeEntry {
            name,
            mode,
            owner: Arc::clone(&self.owners[number]),
            mtime,
            ctime,
            inode,
            device: self.device,
            hard_linked: flags & FLAG_HARD_LINK != 0,
            no_metadata: flags & FLAG_NO_METADATA != 0,
            xattrs,
            body,
        })
    }
}

impl Iterator for TreeChunkReader<'_> {
    type Item = Result<TreeEntry, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.decoder.is_empty() {
            return None;
        }
        let entry = self.entry();
        self.failed = entry.is_err();
        Some(entry)
    }
}

fn timestamp(entry: &mut Decoder<'_>) -> Result<Timestamp, FormatError> {
    let seconds = entry.svarint()?;
    let nanoseconds = entry.varint_up_to("the nanoseconds", 999_999_999)? as u32;
    Ok(Timestamp { seconds, nanoseconds })
}

fn file_body(entry: &mut Decoder<'_>, flags: u64) -> Result<EntryBody, FormatError> {
    let size = entry.varint_up_to("the size of a file", i64::MAX as u64)?;
    let content = ChunkList::decode(entry)?;
    let mut holes = Vec::new();
    if flags & FLAG_HOLES != 0 {
        let mut end = 0u64;
        for _ in 0..entry.varint()? {
            let hole = Hole {
                gap: entry.varint()?,
                length: entry.varint()?,
            };
            end = end
                .checked_add(hole.gap)
                .and_then(|start| start.checked_add(hole.length))
                .filter(|end| *end <= size && hole.length > 0)
                .ok_or_else(|| entry.damaged("a hole lies outside its file"))?;
            holes.push(hole);
        }
    }
    Ok(EntryBody::File { size, content, holes })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::ChunkId;

    fn entry(name: &[u8], device: u64, uid: u32, body: EntryBody) -> TreeEntry {
        TreeEntry {
            name: name.to_vec(),
            mode: 0o4755,
            owner: Arc::new(Owner {
                uid,
                gid: 7,
                user: b"u".to_vec(),
                group: vec![0xff],
            }),
            mtime: Timestamp {
                seconds: -5,
                nanoseconds: 999_999_999,
            },
            ctime: Timestamp {
                seconds: 1 << 40,
                nanoseconds: 0,
            },
            inode: u64::MAX,
            device,
            hard_linked: uid.is_multiple_of(2),
            no_metadata: false,
            xattrs: vec![(b"user.a".to_vec(), vec![0, 1, 2])],
            body,
        }
    }

    fn all_bodies() -> Vec<EntryBody> {
        let content = ChunkList {
            depth: 1,
            ids: vec![ChunkId([9; 32])],
        };
        vec![
            EntryBody::File {
                size: 100,
                content: content.clone(),
                holes: vec![Hole { gap: 3, length: 97 }],
            },
            EntryBody::Directory {
                content,
                entries_below: 3,
                bytes_below: 4,
            },
            EntryBody::Symlink {
                target: b"/nowhere\xff".to_vec(),
            },
            EntryBody::Fifo,
            EntryBody::Socket,
            EntryBody::CharDevice { major: 1, minor: 3 },
            EntryBody::BlockDevice {
                major: 8,
                minor: u32::MAX,
            },
        ]
    }

    #[test]
    fn every_kind_of_entry_reads_back() {
        let mut writer = TreeChunkWriter::new();
        let entries: Vec<_> = all_bodies()
            .into_iter()
            .enumerate()
            .map(|(i, body)| entry(&[b'a' + i as u8, 0xfe], i as u64 / 3, i as u32 % 3, body))
            .collect();
        entries.iter().for_each(|entry| writer.push(entry));
        let chunk = writer.take();
        let read: Result<Vec<_>, _> = TreeChunkReader::new(&chunk).unwrap().collect();
        assert_eq!(read.unwrap(), entries);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [&b".."[..], b".", b"", b"a/b", b"a\0"] {
            let mut writer = TreeChunkWriter::new();
            writer.push(&entry(name, 0, 1, EntryBody::Fifo));
            let chunk = writer.take();
            assert!(
                TreeChunkReader::new(&chunk).unwrap().next().unwrap().is_err(),
                "{name:?}"
            );
        }
    }

    #[test]
    fn holes_outside_the_file_are_refused() {
        let mut writer = TreeChunkWriter::new();
        let holes = vec![Hole {
            gap: u64::MAX,
            length: 2,
        }];
        writer.push(&entry(
            b"a",
            0,
            1,
            EntryBody::File {
                size: 10,
                content: ChunkList::default(),
                holes,
            },
        ));
        let chunk = writer.take();
        assert!(TreeChunkReader::new(&chunk).unwrap().next().unwrap().is_err());
    }

    #[test]
    fn one_new_name_changes_few_chunks_of_a_large_directory() {
        let chunks = |skip: usize| {
            let mut writer = TreeChunkWriter::new();
            let mut chunks = std::collections::HashSet::new();
            for number in (0..20_000).filter(|number| *number != skip) {
                writer.push(&entry(
                    format!("file-{number:08}").as_bytes(),
                    0,
                    1,
                    EntryBody::Fifo,
                ));
                if writer.should_cut() {
                    chunks.insert(writer.take());
                }
            }
            chunks.insert(writer.take());
            chunks
        };
        let (all, one_less) = (chunks(usize::MAX), chunks(10_000));
        assert!(all.len() > 5, "{}", all.len());
        assert!(all.difference(&one_less).count() <= 2);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes: Vec<u8>) {
            bytes.insert(0, FORMAT_VERSION);
            for _entry in TreeChunkReader::new(&bytes).unwrap() {}
        }
    }
}
