// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Making the entries of a folder at the server durable: a folder is opened like a file, and synced like one.

use bytes::Bytes;
use duplicati_engine::storage::StoreErrorKind;

use super::{
    errors::{About, Trouble},
    packet::Request,
    session::{Pending, Session},
};

/// A folder that is open for syncing; absent where the server cannot do that.
pub(super) struct OpenFolder<'a> {
    session: &'a Session,
    handle: Option<Bytes>,
}

impl Drop for OpenFolder<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.session.post(Request::Close { handle });
        }
    }
}

impl<'a> OpenFolder<'a> {
    pub(super) async fn request(session: &Session, path: Bytes) -> Result<Option<Pending>, Trouble> {
        match session.server.can_sync {
            true => Ok(Some(session.send(Request::Open { path }).await?)),
            false => Ok(None),
        }
    }

    pub(super) async fn opened(session: &'a Session, pending: Option<Pending>) -> Result<Self, Trouble> {
        let handle = match pending {
            // A server that cannot open folders so keeps its promises otherwise, or makes none.
            Some(pending) => pending.reply().await?.into_handle().ok(),
            None => None,
        };
        Ok(Self { session, handle })
    }

    pub(super) async fn send_sync(&self) -> Result<Option<Pending>, Trouble> {
        match &self.handle {
            Some(handle) => Ok(Some(
                self.session
                    .send(Request::Sync {
                        handle: handle.clone(),
                    })
                    .await?,
            )),
            None => Ok(None),
        }
    }

    pub(super) async fn sync(&self, path: &Bytes) -> Result<(), Trouble> {
        synced(self.send_sync().await?, path).await
    }
}

/// Some file systems cannot sync folders and say so; a broken disk is told by the file's own sync.
pub(super) async fn synced(pending: Option<Pending>, path: &Bytes) -> Result<(), Trouble> {
    let Some(pending) = pending else { return Ok(()) };
    match pending.reply().await?.into_done().about(path) {
        Err(trouble) if trouble.kind() == StoreErrorKind::Unavailable => Err(trouble),
        Err(trouble) => {
            tracing::debug!(?trouble, "a folder of the target cannot be synced");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
