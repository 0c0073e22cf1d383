// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Hand-made packs for unit tests: frames of the test's choice in a memory store.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;

use super::{CreateOptions, Repository};
use crate::{
    compression::store_raw,
    crypto::{age_file::FileBuilder, key_file::KeyHolder},
    format::{
        chunk_list::ChunkList,
        config::ChunkingParameters,
        index_segment::PackDescription,
        pack::{FrameDescription, PackClass, PackFooter},
        tree::{EntryBody, Owner, TreeChunkWriter, TreeEntry},
    },
    id::{ChunkId, PackId},
    index::ChunkIndex,
    storage::{Store, memory::MemoryStore},
};

/// Runs a future that never waits: the memory store answers at once.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the memory store answers at once")
}

/// A new repository and the index of what a test puts into it.
pub struct Workshop {
    pub store: Arc<MemoryStore>,
    pub repository: Arc<Repository>,
    pub index: ChunkIndex,
    packs: u32,
    descriptions: Vec<PackDescription>,
}

impl Workshop {
    pub fn new(encrypted: bool) -> Self {
        let store = Arc::new(MemoryStore::new());
        let holder = KeyHolder::Passphrase("secret".to_owned().into());
        let repository = now(Repository::create(
            Arc::clone(&store) as Arc<dyn Store>,
            CreateOptions {
                holder: encrypted.then_some(holder),
                chunking: ChunkingParameters::around(1 << 20),
                label: String::new(),
                created: "2026-01-01T00:00:00Z".to_owned(),
            },
        ))
        .unwrap();
        Self {
            store,
            repository: Arc::new(repository),
            index: ChunkIndex::new(),
            packs: 0,
            descriptions: Vec::new(),
        }
    }

    /// Stores one pack; each inner list is a frame of chunks.
    pub fn pack(&mut self, class: PackClass, frames: &[Vec<Vec<u8>>]) -> (PackId, Vec<ChunkId>) {
        let mut builder = FileBuilder::new(Vec::new(), self.repository.data.recipient()).unwrap();
        let mut footer = PackFooter {
            class,
            frames: Vec::new(),
        };
        let mut ids = Vec::new();
        for chunks in frames {
            let mut stored = Vec::new();
            store_raw(&chunks.concat(), &mut stored);
            builder.push(&stored).unwrap();
            let chunks: Vec<_> = chunks
                .iter()
                .map(|chunk| (self.repository.hasher.id(class, chunk), chunk.len() as u32))
                .collect();
            ids.extend(chunks.iter().map(|(id, _)| *id));
            footer.frames.push(FrameDescription {
                stored_size_bytes: stored.len() as u32,
                raw_size_bytes: chunks.iter().map(|(_, size)| size).sum(),
                chunks,
            });
        }
        builder.push(&footer.encode_frame()).unwrap();
        self.packs += 1;
        let mut id = [0; 16];
        id[..4].copy_from_slice(&self.packs.to_be_bytes());
        let id = PackId(id);
        let age_header = builder.header().to_vec();
        let (object, _) = builder.finish().unwrap();
        let description = PackDescription {
            id,
            object_size_bytes: object.len() as u64,
            age_header,
            footer,
        };
        self.index.add(&description);
        self.descriptions.push(description);
        now(self.store.put(&id.into(), Bytes::from(object))).unwrap();
        (id, ids)
    }

    /// What the index says about a pack.
    pub fn describe(&self, id: PackId) -> PackDescription {
        let mut found = self.descriptions.iter().filter(|pack| pack.id == id);
        found.next().expect("the pack was made here").clone()
    }

    /// Stores entries as a directory stream of `per_chunk` entries in a chunk.
    pub fn directory(&mut self, entries: &[TreeEntry], per_chunk: usize) -> ChunkList {
        let mut writer = TreeChunkWriter::new();
        let chunks: Vec<Vec<u8>> = entries
            .chunks(per_chunk)
            .map(|entries| {
                entries.iter().for_each(|entry| writer.push(entry));
                writer.take()
            })
            .collect();
        if chunks.is_empty() {
            return ChunkList::default();
        }
        let frames: Vec<_> = chunks.into_iter().map(|chunk| vec![chunk]).collect();
        ChunkList::direct(self.pack(PackClass::Tree, &frames).1)
    }
}

/// An entry with nothing special about it.
pub fn entry(name: &str, body: EntryBody) -> TreeEntry {
    TreeEntry {
        name: name.as_bytes().to_vec(),
        mode: 0o644,
        owner: Arc::new(Owner::default()),
        mtime: crate::clock::Timestamp::from_seconds(1),
        ctime: crate::clock::Timestamp::from_seconds(1),
        inode: 1,
        device: 1,
        hard_linked: false,
        no_metadata: false,
        xattrs: Vec::new(),
        body,
    }
}

/// A directory's entry.
pub fn folder(name: &str, content: ChunkList) -> TreeEntry {
    entry(
        name,
        EntryBody::Directory {
            content,
            entries_below: 0,
            bytes_below: 0,
        },
    )
}
