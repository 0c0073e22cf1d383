// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A first backup as one plain loop over the engine: no actors, channels, budgets, events or counters, one thread.
//!
//! It stores what `run_backup` stores, by the same calls in the same order of sizes, and is the measure of what the actor
//! layer costs. It is no backup program: hard links are read once for each name, and the first error ends it.

use std::{collections::HashMap, fs::File, os::unix::fs::FileExt, path::Path, sync::Arc};

use anyhow::{Context, Result};
use duplicati_engine::{
    clock::Timestamp,
    compaction::pack_writer::{PackWriter, encode_index_segment},
    compression::{CompressibilityTest, FrameCompressor, FrameDecompressor, store_raw},
    crypto::secret::random_id,
    format::{
        chunk_list::{ChunkList, INLINE_IDS_MAX},
        manifest::{Manifest, Totals, encode_json},
        pack::PackClass,
        path_text::PathText,
        tree::{EntryBody, Owner, TreeChunkWriter, TreeEntry},
    },
    id::{ChunkId, SegmentId, SnapshotId},
    index::{ChunkSet, local::LocalState},
    repository::Repository,
    source::{
        AdvisoryLocking, EntryKind, EntryStat, ListingBuffer, SourceDirectory,
        owner::OwnerNames,
        xattr::{XattrBuffer, read_open_xattrs},
    },
    storage::ObjectName,
};
use tokio::runtime::Handle;

/// Sizes as in the pipeline.
const FRAME_SIZE_BYTES: usize = 1 << 20;
const SEGMENT_PACKS_MAX: usize = 64;

/// Chunks gathered for one frame.
#[derive(Default)]
struct Frame {
    content: Vec<u8>,
    chunks: Vec<(ChunkId, u32)>,
}

/// What one run needs.
pub struct PlainLoop<'a> {
    repository: &'a Repository,
    runtime: Handle,
    local: LocalState,
    pack_size_bytes: u64,
    known: ChunkSet,
    text: Frame,
    noise: Frame,
    tree: Frame,
    data_pack: Option<PackWriter>,
    tree_pack: Option<PackWriter>,
    descriptions: Vec<Vec<u8>>,
    compressor: FrameCompressor,
    decompressor: FrameDecompressor,
    test: CompressibilityTest,
    stored: Vec<u8>,
    opened: Vec<u8>,
    window: Vec<u8>,
    xattrs: XattrBuffer,
    listing: ListingBuffer,
    names: OwnerNames,
    owners: HashMap<(u32, u32), Arc<Owner>>,
    totals: Totals,
}

impl<'a> PlainLoop<'a> {
    /// Prepares a run.
    pub fn new(repository: &'a Repository, local: LocalState, level: i32, pack_size_bytes: u64) -> Self {
        Self {
            repository,
            runtime: Handle::current(),
            local,
            pack_size_bytes,
            known: ChunkSet::default(),
            text: Frame::default(),
            noise: Frame::default(),
            tree: Frame::default(),
            data_pack: None,
            tree_pack: None,
            descriptions: Vec::new(),
            compressor: FrameCompressor::new(level),
            decompressor: FrameDecompressor::default(),
            test: CompressibilityTest::default(),
            stored: Vec::new(),
            opened: Vec::new(),
            window: vec![0; repository.chunker.size_max() * 2],
            xattrs: XattrBuffer::default(),
            listing: ListingBuffer::new(),
            names: OwnerNames::new(),
            owners: HashMap::new(),
            totals: Totals::default(),
        }
    }

    /// Backs up a folder as the only thing in the tree's root.
    pub fn run(mut self, source: &Path) -> Result<Totals> {
        let folder = SourceDirectory::open(source)?;
        let (root, _, _) = self.folder(&folder)?;
        for kind in [Kind::Text, Kind::Noise, Kind::Tree] {
            self.flush(kind)?;
        }
        for class in [PackClass::Data, PackClass::Tree] {
            self.finish_pack(class)?;
        }
        self.write_segment()?;
        let manifest = Manifest {
            version: 1,
            kind: "manifest".to_owned(),
            id: None,
            repository_id: self.repository.config.repository_id,
            time: "2026-01-01T00:00:00.000000000Z".to_owned(),
            finished: "2026-01-01T00:00:00.000000000Z".to_owned(),
            host: String::new(),
            user: String::new(),
            program: String::new(),
            name: String::new(),
            tags: Vec::new(),
            sources: vec![PathText(source.as_os_str().as_encoded_bytes().to_vec())],
            complete: true,
            root: root.into(),
            parent: None,
            totals: self.totals,
            statistics: serde_json::Value::Null,
            control_files: Vec::new(),
        };
        let name = ObjectName::from(SnapshotId(random_id()?));
        let content = encode_json(&manifest);
        let put = self.repository.put_object(&name, &self.repository.data, &content);
        self.runtime.block_on(put)?;
        Ok(self.totals)
    }

    /// Reads a folder to its end; gives its stream, and entries and bytes below.
    fn folder(&mut self, folder: &SourceDirectory) -> Result<(ChunkList, u64, u64)> {
        let listing = folder.list(&mut self.listing)?;
        let (mut writer, mut ids) = (TreeChunkWriter::new(), Vec::new());
        let (mut entries, mut bytes) = (0, 0);
        for listed in listing.iter() {
            let stat = folder.stat(listed.name)?;
            let mut entry = self.entry(listed.name.to_vec(), &stat);
            self.totals.entries += 1;
            entries += 1;
            match stat.kind {
                EntryKind::Directory => {
                    let child = folder.open_child(listed.name)?;
                    entry.xattrs = pairs(child.read_own_xattrs(&mut self.xattrs)?);
                    let (content, entries_below, bytes_below) = self.folder(&child)?;
                    self.totals.directories += 1;
                    entries += entries_below;
                    bytes += bytes_below;
                    entry.body = EntryBody::Directory {
                        content,
                        entries_below,
                        bytes_below,
                    };
                }
                EntryKind::File => {
                    let file = folder.open_file(listed.name, AdvisoryLocking::Respect)?;
                    entry.xattrs = pairs(read_open_xattrs(&file.file, &mut self.xattrs)?);
                    let content = self.file(&file.file, file.stat.size)?;
                    self.totals.files += 1;
                    self.totals.bytes += file.stat.size;
                    bytes += file.stat.size;
                    entry.body = EntryBody::File {
                        size: file.stat.size,
                        content,
                        holes: Vec::new(),
                    };
                }
                EntryKind::Symlink => {
                    let target = folder.read_link(listed.name)?;
                    self.totals.others += 1;
                    entry.body = EntryBody::Symlink { target };
                }
                _ => self.totals.others += 1,
            }
            writer.push(&entry);
            if writer.should_cut() {
                ids.push(self.tree_chunk(&writer.take())?);
            }
        }
        if !writer.is_empty() {
            ids.push(self.tree_chunk(&writer.take())?);
        }
        Ok((self.list(ids)?, entries, bytes))
    }

    fn entry(&mut self, name: Vec<u8>, stat: &EntryStat) -> TreeEntry {
        let names = &mut self.names;
        let owner = self.owners.entry((stat.uid, stat.gid)).or_insert_with(|| {
            let text = |name: Option<Arc<[u8]>>| name.map(|name| name.to_vec()).unwrap_or_default();
            Arc::new(Owner {
                uid: stat.uid,
                gid: stat.gid,
                user: text(names.user_name(stat.uid)),
                group: text(names.group_name(stat.gid)),
            })
        });
        let time = |seconds, nanoseconds| Timestamp { seconds, nanoseconds };
        TreeEntry {
            name,
            mode: stat.mode.into(),
            owner: Arc::clone(owner),
            mtime: time(stat.mtime_seconds, stat.mtime_nanoseconds),
            ctime: time(stat.ctime_seconds, stat.ctime_nanoseconds),
            inode: stat.inode,
            device: stat.device,
            hard_linked: false,
            no_metadata: false,
            xattrs: Vec::new(),
            body: EntryBody::Fifo,
        }
    }

    fn file(&mut self, file: &File, size: u64) -> Result<ChunkList> {
        let mut ids = Vec::new();
        let (mut start, mut end, mut ended, mut position) = (0, 0, false, 0u64);
        loop {
            if !ended && end - start < self.repository.chunker.size_max() {
                self.window.copy_within(start..end, 0);
                (start, end) = (0, end - start);
                while !ended && end < self.window.len() {
                    let read = file.read_at(&mut self.window[end..], position)?;
                    end += read;
                    position += read as u64;
                    ended = read == 0 || (end < self.window.len() && position == size);
                }
            }
            if start == end {
                return self.list(ids);
            }
            let length = self.repository.chunker.cut(&self.window[start..end]);
            let chunk = &self.window[start..start + length];
            let id = self.repository.hasher.id(PackClass::Data, chunk);
            if self.known.insert(&id) {
                let kind = if self.test.is_incompressible(chunk) {
                    Kind::Noise
                } else {
                    Kind::Text
                };
                let frame = match kind {
                    Kind::Noise => &mut self.noise,
                    _ => &mut self.text,
                };
                frame.content.extend_from_slice(chunk);
                frame.chunks.push((id, length as u32));
                if frame.content.len() >= FRAME_SIZE_BYTES {
                    self.flush(kind)?;
                }
            }
            ids.push(id);
            start += length;
        }
    }

    fn tree_chunk(&mut self, content: &[u8]) -> Result<ChunkId> {
        let id = self.repository.hasher.id(PackClass::Tree, content);
        if self.known.insert(&id) {
            self.tree.content.extend_from_slice(content);
            self.tree.chunks.push((id, content.len() as u32));
            if self.tree.content.len() >= FRAME_SIZE_BYTES {
                self.flush(Kind::Tree)?;
            }
        }
        Ok(id)
    }

    fn list(&mut self, ids: Vec<ChunkId>) -> Result<ChunkList> {
        let mut list = ChunkList::direct(ids);
        while list.ids.len() > INLINE_IDS_MAX {
            let mut upper = Vec::new();
            for ids in list.ids.chunks(2048) {
                let content: Vec<u8> = ids.iter().flat_map(|id| id.0).collect();
                upper.push(self.tree_chunk(&content)?);
            }
            list = ChunkList {
                depth: list.depth + 1,
                ids: upper,
            };
        }
        Ok(list)
    }

    /// Compresses a frame, opens it again, and adds it to its pack.
    fn flush(&mut self, kind: Kind) -> Result<()> {
        let frame = match kind {
            Kind::Text => &mut self.text,
            Kind::Noise => &mut self.noise,
            Kind::Tree => &mut self.tree,
        };
        if frame.chunks.is_empty() {
            return Ok(());
        }
        self.stored.clear();
        let compressible = !matches!(kind, Kind::Noise);
        if compressible {
            self.compressor.compress(&frame.content, &mut self.stored)?;
        }
        if !compressible || self.stored.len() > frame.content.len() + 64 {
            self.stored.clear();
            store_raw(&frame.content, &mut self.stored);
        }
        self.decompressor
            .decompress(&self.stored, frame.content.len(), &mut self.opened)?;
        anyhow::ensure!(
            self.opened == frame.content,
            "a frame does not open to what went in"
        );
        let (raw_size, chunks) = (frame.content.len() as u32, std::mem::take(&mut frame.chunks));
        frame.content.clear();
        let (class, slot) = match kind {
            Kind::Tree => (PackClass::Tree, &mut self.tree_pack),
            _ => (PackClass::Data, &mut self.data_pack),
        };
        let pack = match slot {
            Some(pack) => pack,
            None => slot.insert(PackWriter::new(self.repository, class)?),
        };
        pack.push(&self.stored, raw_size, chunks)?;
        if pack.size_bytes() >= self.pack_size_bytes {
            self.finish_pack(class)?;
        }
        Ok(())
    }

    fn finish_pack(&mut self, class: PackClass) -> Result<()> {
        let slot = match class {
            PackClass::Data => &mut self.data_pack,
            PackClass::Tree => &mut self.tree_pack,
        };
        let Some(pack) = slot.take() else {
            return Ok(());
        };
        let pack = pack.finish(self.repository)?;
        let name = ObjectName::from(pack.description.id);
        self.runtime
            .block_on(self.repository.store.put(&name, pack.object))?;
        let mut description = Vec::new();
        pack.description.encode(&mut description);
        self.local.put_stored_pack(pack.description.id, &description)?;
        self.descriptions.push(description);
        if self.descriptions.len() >= SEGMENT_PACKS_MAX {
            self.write_segment()?;
        }
        Ok(())
    }

    fn write_segment(&mut self) -> Result<()> {
        let (object, stored) = encode_index_segment(self.repository, &self.descriptions)?;
        let id = SegmentId(random_id()?);
        let name = ObjectName::from(id);
        let put = self.repository.store.put(&name, object);
        self.runtime.block_on(put).context("failed to store a segment")?;
        self.local.put_segment(id, &stored)?;
        self.descriptions.clear();
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Noise,
    Tree,
}

fn pairs(set: duplicati_engine::source::xattr::XattrSet) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs: Vec<_> = set
        .attributes
        .into_iter()
        .map(|xattr| (xattr.name, xattr.value))
        .collect();
    pairs.sort();
    pairs
}
