// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sending the content of a file, with many writes on their way at once.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    errors::{About, Trouble},
    packet::Request,
    session::{Pending, Session},
};
use crate::transfer::RateLimit;

/// Writes on their way at once; the server's window is usually the narrower bound.
const WRITES_MAX: usize = 64;

/// Bytes of one request: as many as the server takes, and few under a limit, so that it is kept evenly.
pub(super) fn piece_bytes(limit: &RateLimit, server_bytes_max: usize) -> usize {
    match limit.bytes_per_second() {
        0 => server_bytes_max,
        _ => limit.piece_bytes().min(server_bytes_max),
    }
}

/// Sends the whole content of an open file, closes it, and waits until the server has all of it, durably.
pub(super) async fn send(
    session: &Session,
    handle: Bytes,
    content: &Bytes,
    path: &Bytes,
) -> Result<(), Trouble> {
    let mut pendings: VecDeque<Pending> = VecDeque::new();
    let mut offset = 0;
    while offset < content.len() {
        let piece_bytes = piece_bytes(&session.limits.upload, session.server.write_bytes_max);
        let end = (offset + piece_bytes).min(content.len());
        session.limits.upload.pass((end - offset) as u64).await;
        if pendings.len() == WRITES_MAX
            && let Some(pending) = pendings.pop_front()
        {
            pending.reply().await?.into_done().about(path)?;
        }
        let request = Request::Write {
            handle: handle.clone(),
            offset: offset as u64,
            content: content.slice(offset..end),
        };
        pendings.push_back(session.send(request).await?);
        offset = end;
    }
    let mut last = Vec::new();
    if session.server.can_sync {
        last.push(Request::Sync {
            handle: handle.clone(),
        });
    }
    // Some file systems tell only on closing that they had no room.
    last.push(Request::Close { handle });
    if session.server.is_sequential {
        for request in last.drain(..) {
            pendings.push_back(session.send(request).await?);
        }
    }
    for pending in pendings {
        pending.reply().await?.into_done().about(path)?;
    }
    for request in last {
        session.ask(request).await?.into_done().about(path)?;
    }
    Ok(())
}
