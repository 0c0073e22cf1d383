// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Fills one pack with finished frames, seals it and opens it again (F-9).

use bytes::Bytes;

use crate::{
    compression,
    crypto::{age_file::FileBuilder, secret::random_id},
    format::{
        FormatError,
        index_segment::{PackDescription, encode_segment},
        pack::{FrameDescription, PackClass, PackFooter},
    },
    id::{ChunkId, PackId},
    repository::{Repository, RepositoryError},
    storage::ObjectName,
};

/// A pack being filled.
pub struct PackWriter {
    builder: FileBuilder,
    footer: PackFooter,
    plaintext: blake3::Hasher,
    chunks: usize,
}

/// A pack ready to be stored.
pub struct WrittenPack {
    /// The whole object.
    pub object: Bytes,
    /// What the index says about it.
    pub description: PackDescription,
}

impl PackWriter {
    /// An empty pack.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new(repository: &Repository, class: PackClass) -> Result<Self, RepositoryError> {
        let builder =
            FileBuilder::new(Vec::new(), repository.data.recipient()).map_err(RepositoryError::Seal)?;
        Ok(Self {
            builder,
            footer: PackFooter {
                class,
                frames: Vec::new(),
            },
            plaintext: blake3::Hasher::new(),
            chunks: 0,
        })
    }

    /// Size of the object if it were finished now, bytes, roughly.
    pub fn size_bytes(&self) -> u64 {
        (self.builder.object_length() + self.footer.frames.len() * 9 + self.chunks * 36) as u64
    }

    /// Appends a finished frame.
    ///
    /// # Errors
    /// When sealing fails.
    pub fn push(
        &mut self,
        stored: &[u8],
        raw_size_bytes: u32,
        chunks: Vec<(ChunkId, u32)>,
    ) -> Result<(), RepositoryError> {
        self.builder.push(stored).map_err(RepositoryError::Seal)?;
        self.plaintext.update(stored);
        self.chunks += chunks.len();
        self.footer.frames.push(FrameDescription {
            stored_size_bytes: stored.len() as u32,
            raw_size_bytes,
            chunks,
        });
        Ok(())
    }

    /// Seals the pack under a new name and opens it again.
    ///
    /// # Errors
    /// When sealing fails, or the sealed pack does not say what went in.
    pub fn finish(mut self, repository: &Repository) -> Result<WrittenPack, RepositoryError> {
        let id = PackId(random_id().map_err(RepositoryError::Seal)?);
        let footer_frame = self.footer.encode_frame();
        self.builder.push(&footer_frame).map_err(RepositoryError::Seal)?;
        self.plaintext.update(&footer_frame);
        let age_header = self.builder.header().to_vec();
        let (object, check) = self.builder.finish().map_err(RepositoryError::Seal)?;
        let mut opened = blake3::Hasher::new();
        check
            .open(&object, &mut Vec::new(), |plaintext| {
                opened.update(plaintext);
            })
            .map_err(RepositoryError::Seal)?;
        if opened.finalize() != self.plaintext.finalize() {
            let source = FormatError::damaged("pack", "just sealed, it does not open to what went in");
            return Err(RepositoryError::object(
                &ObjectName::from(id),
                repository.store.location(),
                source,
            ));
        }
        Ok(WrittenPack {
            description: PackDescription {
                id,
                object_size_bytes: object.len() as u64,
                age_header,
                footer: self.footer,
            },
            object: Bytes::from(object),
        })
    }
}

/// The sealed object of an index segment, and its opened, still compressed form for the local copy.
///
/// # Errors
/// When compressing or sealing fails.
pub fn encode_index_segment(
    repository: &Repository,
    packs: &[Vec<u8>],
) -> Result<(Bytes, Vec<u8>), RepositoryError> {
    let content = encode_segment(packs.iter().map(Vec::as_slice));
    let stored = compression::compress_object(&content).map_err(RepositoryError::Compress)?;
    let sealed = repository.index.seal(&stored).map_err(RepositoryError::Seal)?;
    Ok((Bytes::from(sealed), stored))
}
