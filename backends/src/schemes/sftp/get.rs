// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading an object or a part of it, with many reads on their way at once.
//!
//! The size is asked for together with the first reads, so that a small part costs two round trips: open, and the rest.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;
use duplicati_engine::storage::StoreErrorKind;

use super::{
    errors::{About, Trouble},
    flow::Passage,
    packet::Request,
    session::{Pending, Session},
    upload::piece_bytes,
};

/// Bytes on their way at once for one read: a gigabit over a round trip of 60 ms.
const AHEAD_BYTES_MAX: u64 = 8 << 20;
/// Bytes asked for before the size is known.
const BLIND_BYTES_MAX: u64 = 512 << 10;

/// An open file; closed when this is dropped.
struct OpenFile<'a> {
    session: &'a Session,
    handle: Bytes,
}

impl Drop for OpenFile<'_> {
    fn drop(&mut self) {
        self.session.post(Request::Close {
            handle: self.handle.clone(),
        });
    }
}

/// One read on its way.
struct Part<'a> {
    offset: u64,
    length: u64,
    pending: Pending,
    passage: Passage<'a>,
}

/// Reads a file at the server.
pub(super) async fn read(
    session: &Session,
    path: &Bytes,
    range: Option<Range<u64>>,
) -> Result<Bytes, Trouble> {
    let handle = session
        .ask(Request::Open { path: path.clone() })
        .await?
        .into_handle()
        .about(path)?;
    let file = OpenFile { session, handle };
    let inspect = session
        .send(Request::InspectHandle {
            handle: file.handle.clone(),
        })
        .await?;
    let mut reads = Reads {
        file: &file,
        path,
        parts: VecDeque::new(),
        next: range.as_ref().map_or(0, |range| range.start),
        content: Vec::new(),
    };
    let blind_end = reads.next.saturating_add(BLIND_BYTES_MAX);
    reads
        .send_until(range.as_ref().map_or(blind_end, |range| range.end.min(blind_end)))
        .await?;
    let attributes = inspect.reply().await?.into_attributes().about(path)?;
    if !attributes.is_file() {
        let message = format!(
            "{}: this is not a file; move it away",
            String::from_utf8_lossy(path)
        );
        return Err(Trouble::told(StoreErrorKind::Other, message));
    }
    let Some(size) = attributes.size_bytes else {
        return Err(Trouble::told(
            StoreErrorKind::Other,
            "the server does not tell the sizes of files",
        ));
    };
    let range = range.unwrap_or(0..size);
    let truncated = || {
        let message = format!(
            "{}: {size} bytes stored, {range:?} wanted",
            String::from_utf8_lossy(path)
        );
        Trouble::told(StoreErrorKind::Truncated, message)
    };
    // Checked before anything is allocated: a range from a damaged index may ask for any size.
    if range.start > range.end || range.end > size {
        return Err(truncated());
    }
    let length = usize::try_from(range.end - range.start).map_err(|_| truncated())?;
    reads.content.try_reserve_exact(length).map_err(|error| {
        Trouble::told(
            StoreErrorKind::Other,
            format!("not enough memory to hold the object: {error}"),
        )
    })?;
    reads.receive_until(range.end).await?;
    if reads.content.len() == length {
        Ok(Bytes::from(reads.content))
    } else {
        Err(truncated())
    }
}

struct Reads<'a> {
    file: &'a OpenFile<'a>,
    path: &'a Bytes,
    parts: VecDeque<Part<'a>>,
    /// Where the next read begins.
    next: u64,
    content: Vec<u8>,
}

impl<'a> Reads<'a> {
    /// Sends reads up to `end`, as far as the bound allows.
    async fn send_until(&mut self, end: u64) -> Result<(), Trouble> {
        loop {
            let received = self.parts.front().map_or(self.next, |part| part.offset);
            if self.next >= end || self.next - received >= AHEAD_BYTES_MAX {
                return Ok(());
            }
            let session = self.file.session;
            let flow = &session.downloads;
            let bytes = piece_bytes(flow, &session.limits.download, session.server.read_bytes_max);
            let length = (end - self.next).min(bytes as u64);
            let passage = match flow.try_pass(length as usize) {
                Some(passage) => passage,
                // What is on its way makes room when it comes.
                None if !self.parts.is_empty() => return Ok(()),
                None => flow.pass(length as usize).await,
            };
            session.limits.download.pass(length).await;
            let part = self.send(self.next, length, passage).await?;
            self.parts.push_back(part);
            self.next += length;
        }
    }

    async fn send(&self, offset: u64, length: u64, passage: Passage<'a>) -> Result<Part<'a>, Trouble> {
        let request = Request::Read {
            handle: self.file.handle.clone(),
            offset,
            // Bounded by `read_bytes_max`.
            length: length as u32,
        };
        let pending = self.file.session.send(request).await?;
        Ok(Part {
            offset,
            length,
            pending,
            passage,
        })
    }

    /// Receives everything up to `end` in order; less when the file ends before.
    async fn receive_until(&mut self, end: u64) -> Result<(), Trouble> {
        loop {
            self.send_until(end).await?;
            let Some(mut part) = self.parts.pop_front() else {
                return Ok(());
            };
            // What was asked for blindly may lie behind the end.
            if part.offset >= end {
                continue;
            }
            loop {
                let reply = part.pending.reply().await?;
                part.passage.answered();
                let Some(pieces) = reply.into_data().about(self.path)? else {
                    return Ok(());
                };
                let received: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
                if received == 0 || received > part.length {
                    return Err(Trouble::passing(
                        "the server sent another number of bytes than was asked for",
                    ));
                }
                let mut wanted = usize::try_from(end.saturating_sub(part.offset)).unwrap_or(usize::MAX);
                for piece in pieces {
                    let taken = piece.len().min(wanted);
                    self.content.extend_from_slice(&piece[..taken]);
                    wanted -= taken;
                }
                let (offset, length) = (part.offset + received, part.length - received);
                if length == 0 || offset >= end {
                    break;
                }
                // A server may give less than was asked for; the rest is asked for again, before what follows is taken.
                let passage = self.file.session.downloads.always_pass(length as usize);
                part = self.send(offset, length, passage).await?;
            }
        }
    }
}
