// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Storing one object: temporary name, a look at its size, a look that the name is free, rename.

use bytes::Bytes;
use duplicati_engine::storage::{ObjectKind, ObjectName, StoreError, StoreErrorKind};

use super::{
    FtpStore,
    session::{Session, Size},
    trouble::Trouble,
    walk,
};
use crate::schemes::names;

impl FtpStore {
    pub(super) async fn put_object(&self, name: &ObjectName, content: Bytes) -> Result<(), StoreError> {
        let path = name.to_string();
        let error = self.error("put", &path);
        if content.is_empty() {
            return Err(error(Trouble::invalid("an object is never empty")));
        }
        let mut held = self.pool.take().await.map_err(&error)?;
        let result = self.put_over(&mut held, name.kind(), &path, &content).await;
        held.settle(result).map_err(error)
    }

    async fn put_over(
        &self,
        session: &mut Session,
        kind: ObjectKind,
        path: &str,
        content: &Bytes,
    ) -> Result<(), Trouble> {
        let absolute = self.path(session, path);
        // Names of packs and segments are random; for those that two may want the cheap question is not enough.
        let is_contested = matches!(kind, ObjectKind::Config | ObjectKind::Snapshot);
        if is_taken(session, &absolute, is_contested).await? {
            return Err(exists());
        }
        let (folder, file_name) = names::split(path);
        let temporary = self.path(session, &names::relative(folder, &names::temporary(file_name)));
        self.make_folder(session, folder).await?;
        let mut uploaded = session.write(&temporary, content).await;
        if matches!(&uploaded, Err(Trouble::Refused(reply)) if matches!(reply.code, 550 | 553 | 450)) {
            // Somebody may have removed the folder since it was made or seen.
            self.lock_folders().clear();
            self.make_folder(session, folder).await?;
            uploaded = session.write(&temporary, content).await;
        }
        let published = match uploaded {
            Ok(()) => {
                self.publish(session, &temporary, &absolute, content, is_contested)
                    .await
            }
            Err(trouble) => Err(trouble),
        };
        if let Err(trouble) = &published
            && trouble.leaves_connection_usable()
        {
            // Most often there is nothing, or what is left is found by its age later.
            let _left_over = session.delete(&temporary).await?;
        }
        published
    }

    async fn publish(
        &self,
        session: &mut Session,
        temporary: &str,
        absolute: &str,
        content: &Bytes,
        is_contested: bool,
    ) -> Result<(), Trouble> {
        if !self.arguments.upload_delay.is_zero() {
            tokio::time::sleep(self.arguments.upload_delay).await;
        }
        let stored = self.known_size(session, temporary).await?;
        if stored != Some(content.len() as u64) {
            let stored = stored.map_or_else(|| "nothing".to_owned(), |bytes| format!("{bytes} bytes"));
            return Err(Trouble::passing(format!(
                "the target accepted {} bytes and shows {stored}",
                content.len()
            )));
        }
        // Again, because renaming replaces.
        if is_taken(session, absolute, is_contested).await? {
            return Err(exists());
        }
        match session.rename(temporary, absolute).await {
            Err(Trouble::Refused(reply)) => match walk::find(session, absolute).await? {
                Some(_) => Err(exists()),
                None => Err(Trouble::Refused(reply)),
            },
            result => result,
        }
    }

    /// Makes the folder of an object and those above it, below the root.
    pub(super) async fn make_folder(&self, session: &mut Session, folder: &str) -> Result<(), Trouble> {
        let mut made = String::new();
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            made = names::relative(&made, part);
            if self.lock_folders().contains(&made) {
                continue;
            }
            let absolute = self.path(session, &made);
            if !session.enter(&absolute).await? {
                let reply = session.make_folder(&absolute).await?;
                // Another connection may have been faster.
                if !reply.is_done() && !session.enter(&absolute).await? {
                    let root = self.path(session, "");
                    walk::check_root(session, &root).await?;
                    return Err(Trouble::Refused(reply));
                }
            }
            self.lock_folders().insert(made.clone());
        }
        if folder.is_empty() {
            let root = self.path(session, "");
            walk::check_root(session, &root).await?;
        }
        Ok(())
    }
}

async fn is_taken(session: &mut Session, absolute: &str, is_contested: bool) -> Result<bool, Trouble> {
    match session.size(absolute).await? {
        Size::Bytes(_) => Ok(true),
        Size::Refused if !is_contested => Ok(false),
        Size::Refused | Size::NotOffered => Ok(walk::find(session, absolute).await?.is_some()),
    }
}

fn exists() -> Trouble {
    Trouble::Told(
        StoreErrorKind::AlreadyExists,
        "the name exists already".to_owned(),
    )
}
