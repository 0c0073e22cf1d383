// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Gathers new chunks into frames and sends them to the sealers.

use duplicati_engine::{format::pack::PackClass, id::ChunkId};

use super::{batches::RawFrame, wiring::FRAME_SIZE_BYTES};
use crate::{buffers::BufferPool, byte_budget::ByteBudget, error::RunError, inlet::Inlet};

/// One frame being filled.
pub struct FrameFiller {
    class: PackClass,
    compressible: bool,
    open: Option<RawFrame>,
    sealer: Inlet<RawFrame>,
    budget: ByteBudget,
    buffers: BufferPool,
}

impl FrameFiller {
    /// A filler for one class of chunks.
    pub fn new(
        class: PackClass,
        compressible: bool,
        sealer: Inlet<RawFrame>,
        budget: ByteBudget,
        buffers: BufferPool,
    ) -> Self {
        Self {
            class,
            compressible,
            open: None,
            sealer,
            budget,
            buffers,
        }
    }

    /// Adds a chunk; waits for the byte budget and for room in front of the sealers.
    pub fn add(&mut self, id: ChunkId, chunk: &[u8]) -> Result<(), RunError> {
        let permit = self.budget.acquire(chunk.len() as u64)?;
        let frame = match &mut self.open {
            Some(frame) => {
                frame.permit.join(permit);
                frame
            }
            None => self.open.insert(RawFrame {
                class: self.class,
                compressible: self.compressible,
                content: self.buffers.take(),
                chunks: Vec::new(),
                permit,
            }),
        };
        frame.content.extend_from_slice(chunk);
        frame.chunks.push((id, chunk.len() as u32));
        if frame.content.len() >= FRAME_SIZE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Throws away what is there.
    pub fn discard(&mut self) {
        self.open = None;
    }

    /// Sends on what is there.
    pub fn flush(&mut self) -> Result<(), RunError> {
        match self.open.take() {
            Some(frame) => self.sealer.send_blocking(frame),
            None => Ok(()),
        }
    }
}
