// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Large buffers that are used again: fresh ones cost a page fault for every 4 KiB.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// A bounded store of empty buffers.
#[derive(Clone)]
pub struct BufferPool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    keep_max: usize,
}

impl BufferPool {
    /// A pool that keeps at most this many buffers.
    pub fn new(keep_max: usize) -> Self {
        Self {
            free: Arc::default(),
            keep_max,
        }
    }

    /// An empty buffer with whatever room it had before.
    pub fn take(&self) -> Vec<u8> {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_default()
    }

    /// Gives a buffer back.
    pub fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.keep_max {
            free.push(buffer);
        }
    }

    /// Hands a buffer to a store; it comes back here when the last reference is gone.
    pub fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent {
            buffer,
            pool: self.clone(),
        })
    }
}

struct Lent {
    buffer: Vec<u8>,
    pool: BufferPool,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.buffer));
    }
}
