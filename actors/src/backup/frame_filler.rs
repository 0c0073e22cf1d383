// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Gathers new chunks into frames and sends them to the sealers.
//!
//! One filler belongs to one worker and holds all frames that this worker has open. That matters for the byte budget: whoever must wait for it
//! first sends on what it holds, so bytes are never kept by a worker that waits for bytes.

use duplicati_engine::{format::pack::PackClass, id::ChunkId};

use super::batches::RawFrame;
use crate::{buffers::BufferPool, byte_budget::ByteBudget, error::RunError, inlet::Inlet};

/// What goes into one frame together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// File content that compresses.
    Text,
    /// File content that does not.
    Noise,
    /// Directories and long chunk lists.
    Tree,
}

const KINDS: usize = 3;

/// The frames that one worker fills.
pub struct FrameFiller {
    open: [Option<RawFrame>; KINDS],
    sealer: Inlet<RawFrame>,
    budget: ByteBudget,
    buffers: BufferPool,
}

impl FrameFiller {
    /// A filler for one worker.
    pub fn new(sealer: Inlet<RawFrame>, budget: ByteBudget, buffers: BufferPool) -> Self {
        Self {
            open: [None, None, None],
            sealer,
            budget,
            buffers,
        }
    }

    /// Adds a chunk; waits for the byte budget and for room in front of the sealers.
    ///
    /// # Errors
    /// When the run is over.
    pub fn add(&mut self, kind: FrameKind, id: ChunkId, chunk: &[u8]) -> Result<(), RunError> {
        let bytes = chunk.len() as u64;
        let permit = match self.budget.try_acquire(bytes)? {
            Some(permit) => permit,
            None => {
                self.flush()?;
                self.budget.acquire(bytes)?
            }
        };
        let slot = &mut self.open[kind as usize];
        let frame = match slot {
            Some(frame) => {
                frame.permit.join(permit);
                frame
            }
            None => slot.insert(RawFrame {
                class: match kind {
                    FrameKind::Text | FrameKind::Noise => PackClass::Data,
                    FrameKind::Tree => PackClass::Tree,
                },
                compressible: kind != FrameKind::Noise,
                content: self.buffers.take(),
                chunks: Vec::new(),
                permit,
            }),
        };
        frame.content.extend_from_slice(chunk);
        frame.chunks.push((id, chunk.len() as u32));
        if frame.content.len() >= frame.class.frame_size_bytes() {
            self.send(kind as usize)?;
        }
        Ok(())
    }

    /// Throws away what is there.
    pub fn discard(&mut self) {
        self.open = [None, None, None];
    }

    /// Sends on what is there.
    ///
    /// # Errors
    /// When the run is over.
    pub fn flush(&mut self) -> Result<(), RunError> {
        (0..KINDS).try_for_each(|slot| self.send(slot))
    }

    fn send(&mut self, slot: usize) -> Result<(), RunError> {
        match self.open[slot].take() {
            Some(frame) => self.sealer.send_blocking(frame),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{control::RunControl, inlet::inlet};

    #[test]
    fn workers_that_wait_for_bytes_hold_none() {
        const WORKERS: usize = 12;
        const CHUNK_BYTES: usize = 100 << 10;
        let control = RunControl::new();
        // Far less than the workers' open frames would take together.
        let budget = ByteBudget::new(6 * CHUNK_BYTES as u64, &control);
        let (sender, receiver) = inlet("test", 1, &control);
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let mut filler = FrameFiller::new(sender.clone(), budget.clone(), BufferPool::new(WORKERS));
                std::thread::spawn(move || {
                    for number in 0..30u8 {
                        let kind =
                            [FrameKind::Text, FrameKind::Noise, FrameKind::Tree][usize::from(number) % KINDS];
                        let id = ChunkId([number; 32]);
                        filler.add(kind, id, &vec![worker as u8; CHUNK_BYTES]).unwrap();
                    }
                    filler.flush().unwrap();
                })
            })
            .collect();
        drop(sender);
        let mut chunks = 0;
        while let Some(frame) = receiver.receive_blocking().unwrap() {
            chunks += frame.chunks.len();
            assert_eq!(frame.content.len(), frame.chunks.len() * CHUNK_BYTES);
        }
        assert_eq!(chunks, WORKERS * 30);
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(budget.used(), 0);
    }
}
