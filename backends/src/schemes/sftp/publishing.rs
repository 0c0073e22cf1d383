// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How a file gets its name at this target: what was found out about hard links there.

use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use duplicati_engine::storage::layout::CONFIG_NAME;

use super::{
    errors::{About, Trouble},
    packet::Request,
    paths::Paths,
    reply::code,
    session::Session,
};
use crate::schemes::names;

/// What this process knows; nothing at first.
#[derive(Debug, Default)]
pub(super) struct Publishing(AtomicU8);

/// Zero stands for not known yet.
const LINKS_PROVEN: u8 = 1;
const NO_LINKS: u8 = 2;

impl Publishing {
    /// Hard links work and refuse a name that exists.
    pub(super) fn is_exclusive(&self) -> bool {
        self.0.load(Ordering::Relaxed) == LINKS_PROVEN
    }

    pub(super) fn has_no_links(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NO_LINKS
    }

    pub(super) fn give_up_links(&self) {
        self.0.store(NO_LINKS, Ordering::Relaxed);
    }

    /// Finds out with a file made for it.
    pub(super) async fn prove_with_a_file(&self, session: &Session, paths: &Paths) -> Result<(), Trouble> {
        if !session.server.can_link {
            self.give_up_links();
            return Ok(());
        }
        let path = paths.of(&names::temporary(CONFIG_NAME));
        let request = Request::Create { path: path.clone() };
        let handle = session.ask(request).await?.into_handle().about(&path)?;
        session.post(Request::Close { handle });
        let proven = self.prove(session, paths, CONFIG_NAME, &path).await;
        session
            .ask(Request::Remove { path: path.clone() })
            .await?
            .into_done()
            .about(&path)?;
        proven
    }

    /// Finds out with the temporary file of an object.
    pub(super) async fn prove(
        &self,
        session: &Session,
        paths: &Paths,
        object: &str,
        temporary: &Bytes,
    ) -> Result<(), Trouble> {
        let probe = paths.of(&names::temporary(object));
        let link = || Request::Link {
            from: temporary.clone(),
            to: probe.clone(),
        };
        let first = session.ask(link()).await?.into_done().about(&probe);
        let is_proven = match &first {
            Ok(()) => {
                let second = session.ask(link()).await?.into_done();
                let there = session.ask(Request::Inspect { path: probe.clone() }).await?;
                let removed = session.ask(Request::Remove { path: probe.clone() }).await?;
                second.is_err() && there.into_attributes().is_ok() && removed.into_done().is_ok()
            }
            // FAT, some network file systems, and servers that offer what they cannot do.
            Err(trouble) => match trouble.code() {
                Some(code::FAILURE | code::UNSUPPORTED | code::PERMISSION_DENIED) => false,
                _ => return first,
            },
        };
        if is_proven {
            self.0.store(LINKS_PROVEN, Ordering::Relaxed);
        } else {
            tracing::info!(
                "the target has no hard links and cannot tell which of two writers of one name came first"
            );
            self.give_up_links();
        }
        Ok(())
    }
}
