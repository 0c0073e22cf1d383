// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sending the content of a file, with many writes on their way at once.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    errors::{About, Trouble},
    flow::{Flow, Passage},
    packet::Request,
    session::{Pending, Session},
};
use crate::transfer::RateLimit;

/// Writes on their way at once; the server's window is usually the narrower bound.
const WRITES_MAX: usize = 64;

/// Bytes of one request: as many as the server takes and the line carries soon, and few under a limit, so that it is kept
/// evenly.
pub(super) fn piece_bytes(flow: &Flow, limit: &RateLimit, server_bytes_max: usize) -> usize {
    let bytes_max = match limit.bytes_per_second() {
        0 => server_bytes_max,
        _ => limit.piece_bytes().min(server_bytes_max),
    };
    flow.piece_bytes(bytes_max)
}

/// Sends the whole content of an open file, closes it, and waits until the server has all of it, durably.
pub(super) async fn send(
    session: &Session,
    handle: Bytes,
    content: &Bytes,
    path: &Bytes,
) -> Result<(), Trouble> {
    let mut writes: VecDeque<(Pending, Passage<'_>)> = VecDeque::new();
    let mut offset = 0;
    while offset < content.len() {
        let flow = &session.uploads;
        let bytes = piece_bytes(flow, &session.limits.upload, session.server.write_bytes_max);
        let end = (offset + bytes).min(content.len());
        session.limits.upload.pass((end - offset) as u64).await;
        let passage = loop {
            match flow.try_pass(end - offset) {
                Some(passage) if writes.len() < WRITES_MAX => break passage,
                _ => {}
            }
            match writes.pop_front() {
                Some(write) => written(write, path).await?,
                None => break flow.pass(end - offset).await,
            }
        };
        let request = Request::Write {
            handle: handle.clone(),
            offset: offset as u64,
            content: content.slice(offset..end),
        };
        writes.push_back((session.send(request).await?, passage));
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
    let mut pendings = Vec::new();
    if session.server.is_sequential {
        for request in last.drain(..) {
            pendings.push(session.send(request).await?);
        }
    }
    for write in writes {
        written(write, path).await?;
    }
    for pending in pendings {
        pending.reply().await?.into_done().about(path)?;
    }
    for request in last {
        session.ask(request).await?.into_done().about(path)?;
    }
    Ok(())
}

async fn written((pending, passage): (Pending, Passage<'_>), path: &Bytes) -> Result<(), Trouble> {
    let reply = pending.reply().await?;
    passage.answered();
    reply.into_done().about(path)
}
