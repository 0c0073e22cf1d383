// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Joins sealed frames into packs and encrypts them as they come.
//!
//! In: `SealedFrame` from the sealers. Out: `FinishedPack` to the uploaders. Waits only for room there. One worker: order inside a pack is its
//! own business, and the cipher runs far faster than the sealers feed it.

use std::sync::Arc;

use duplicati_engine::{
    crypto::{age_file::FileBuilder, secret::random_id},
    format::{
        index_segment::PackDescription,
        pack::{PackClass, PackFooter},
    },
    id::PackId,
    repository::Repository,
};

use super::batches::{FinishedPack, SealedFrame};
use crate::{
    buffers::BufferPool,
    byte_budget::BytePermit,
    error::RunError,
    inlet::{Inlet, Outlet},
};

/// Name of the stage.
pub const NAME: &str = "packer";

/// What the packer works with.
pub struct Packer {
    /// For whom packs are sealed.
    pub repository: Arc<Repository>,
    /// Size at which a pack is finished, bytes.
    pub pack_size_bytes: u64,
    /// Open every pack again.
    pub verify: bool,
    /// Frames to pack.
    pub frames: Outlet<SealedFrame>,
    /// The next stage.
    pub uploader: Inlet<FinishedPack>,
    /// Where sealed buffers go back to.
    pub sealed_buffers: BufferPool,
    /// Where pack buffers come from.
    pub pack_buffers: BufferPool,
}

struct OpenPack {
    builder: FileBuilder,
    footer: PackFooter,
    permit: BytePermit,
    plaintext_hash: blake3::Hasher,
}

impl Packer {
    /// Works until the stream ends, then finishes the open packs.
    pub fn run(self) -> Result<(), RunError> {
        let mut open: [Option<OpenPack>; 2] = [None, None];
        let mut scratch = Vec::new();
        while let Some(SealedFrame {
            class,
            stored,
            description,
            permit,
        }) = self.frames.receive_blocking()?
        {
            let slot = &mut open[usize::from(class == PackClass::Tree)];
            let pack = match slot {
                Some(pack) => {
                    pack.permit.join(permit);
                    pack
                }
                None => slot.insert(OpenPack {
                    builder: FileBuilder::new(self.pack_buffers.take(), self.repository.data.recipient())?,
                    footer: PackFooter {
                        class,
                        frames: Vec::new(),
                    },
                    permit,
                    plaintext_hash: blake3::Hasher::new(),
                }),
            };
            pack.builder.push(&stored)?;
            if self.verify {
                pack.plaintext_hash.update(&stored);
            }
            pack.footer.frames.push(description);
            self.sealed_buffers.give(stored);
            if pack.builder.object_length() as u64 >= self.pack_size_bytes
                && let Some(pack) = slot.take()
            {
                self.finish(pack, &mut scratch)?;
            }
        }
        for pack in open.into_iter().flatten() {
            self.finish(pack, &mut scratch)?;
        }
        Ok(())
    }

    fn finish(&self, pack: OpenPack, scratch: &mut Vec<u8>) -> Result<(), RunError> {
        let OpenPack {
            mut builder,
            footer,
            permit,
            mut plaintext_hash,
        } = pack;
        let footer_frame = footer.encode_frame();
        builder.push(&footer_frame)?;
        let age_header = builder.header().to_vec();
        let (object, check) = builder.finish()?;
        if self.verify {
            // The frames were compared when they were sealed; this shows that the pack opens to the same frames (F-9).
            plaintext_hash.update(&footer_frame);
            let mut opened = blake3::Hasher::new();
            check.open(&object, scratch, |plaintext| {
                opened.update(plaintext);
            })?;
            if opened.finalize() != plaintext_hash.finalize() {
                let message = "a sealed pack does not open to what went in".to_owned();
                return Err(RunError::Check { stage: NAME, message });
            }
        }
        let id = PackId(random_id()?);
        let chunks = footer.frames.iter().map(|frame| frame.chunks.len()).sum();
        let mut description = Vec::new();
        PackDescription {
            id,
            object_size_bytes: object.len() as u64,
            age_header,
            footer,
        }
        .encode(&mut description);
        self.uploader.send_blocking(FinishedPack {
            id,
            object,
            description,
            chunks,
            permit,
        })
    }
}
