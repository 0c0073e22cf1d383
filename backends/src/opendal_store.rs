// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A store over an OpenDAL operator whose root is the repository's folder.
//!
//! How the promises of the port are kept: an object is written in one request, which these services make visible as a
//! whole. Where the service has a conditional write, that decides who was first; elsewhere `put` looks before it writes,
//! and the capability says that this is not exclusive across machines.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use duplicati_engine::storage::{
    Capability, Listing, ObjectKind, ObjectName, Store, StoreError, StoreErrorKind, StoreFuture,
};
use futures_util::TryStreamExt;
use opendal::{
    Buffer, ErrorKind, Metadata, Operator,
    options::{ListOptions, ReadOptions, WriteOptions},
};

use crate::{error::translate, http::retry_after, schemes::names::Sorter};

mod files;

/// What objects are, for services that want to know.
const CONTENT_TYPE: &str = "application/octet-stream";

/// What is particular to a service.
#[derive(Clone)]
pub struct Service {
    /// The target for messages, without secrets.
    pub location: String,
    /// Requests at once.
    pub concurrent_requests_max: usize,
    /// Whether conditions on writing are used where the service has them.
    pub writes_conditionally: bool,
}

/// A target that OpenDAL serves.
pub struct OpendalStore {
    operator: Operator,
    service: Service,
    put_if_absent: bool,
}

impl OpendalStore {
    /// A store in the root of an operator. Nothing is sent yet.
    pub fn new(operator: Operator, service: Service) -> Arc<Self> {
        let capability = operator.info().capability();
        Arc::new(Self {
            put_if_absent: capability.write_with_if_not_exists && service.writes_conditionally,
            operator,
            service,
        })
    }

    fn failure(
        &self,
        operation: &'static str,
        object: impl ToString,
        kind: StoreErrorKind,
        message: impl Into<String>,
    ) -> StoreError {
        StoreError {
            kind,
            operation,
            object: object.to_string(),
            location: self.service.location.clone(),
            message: message.into(),
            retry_after: None,
            source: None,
        }
    }

    /// Runs a request and translates how it ends.
    async fn request<T>(
        &self,
        operation: &'static str,
        object: &(dyn ToString + Sync),
        call: impl Future<Output = opendal::Result<T>> + Send,
    ) -> Result<T, StoreError> {
        let (result, wish) = retry_after::listen(call).await;
        result.map_err(|error| {
            let (kind, message) = translate(&error);
            let mut failure = self.failure(operation, object.to_string(), kind, message);
            failure.retry_after = wish;
            failure.with_source(error)
        })
    }

    /// Size of an object; none when it is absent.
    async fn size(&self, operation: &'static str, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        let path = name.to_string();
        match self.request(operation, name, self.operator.stat(&path)).await {
            Ok(metadata) => Ok(Some(metadata.content_length())),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn put_object(&self, name: &ObjectName, content: Bytes) -> Result<(), StoreError> {
        if content.is_empty() {
            return Err(self.failure("put", name, StoreErrorKind::Invalid, "an object is never empty"));
        }
        if !self.put_if_absent && self.size("put", name).await?.is_some() {
            return Err(self.failure(
                "put",
                name,
                StoreErrorKind::AlreadyExists,
                "the name exists already",
            ));
        }
        let options = WriteOptions {
            if_not_exists: self.put_if_absent,
            content_type: Some(CONTENT_TYPE.to_owned()),
            ..WriteOptions::default()
        };
        let path = name.to_string();
        let write = self.operator.write_options(&path, Buffer::from(content), options);
        let _metadata: Metadata = self.request("put", name, write).await?;
        Ok(())
    }

    async fn get_object(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        let path = name.to_string();
        let Some(range) = range else {
            return Ok(self
                .request("get", name, self.operator.read(&path))
                .await?
                .to_bytes());
        };
        let truncated = |size: u64| {
            let message = format!("{size} bytes stored, {range:?} wanted");
            self.failure("get", name, StoreErrorKind::Truncated, message)
        };
        if range.start >= range.end {
            let size = self.size("get", name).await?;
            let size =
                size.ok_or_else(|| self.failure("get", name, StoreErrorKind::NotFound, "no such object"))?;
            if range.start > range.end || range.end > size {
                return Err(truncated(size));
            }
            return Ok(Bytes::new());
        }
        let options = ReadOptions {
            range: range.clone().into(),
            ..ReadOptions::default()
        };
        let read = self
            .request("get", name, self.operator.read_options(&path, options))
            .await;
        match read {
            Ok(content) if content.len() as u64 == range.end - range.start => Ok(content.to_bytes()),
            // Short: either the object is, or the answer was. Only its size tells.
            Ok(_) => self.explain_short(name, &range).await,
            Err(error)
                if matches!(
                    error.kind,
                    StoreErrorKind::NotFound | StoreErrorKind::PermissionDenied
                ) =>
            {
                Err(error)
            }
            Err(error) => match self.size("get", name).await {
                Ok(Some(size)) if size < range.end => Err(truncated(size)),
                _ => Err(error),
            },
        }
    }

    async fn explain_short(&self, name: &ObjectName, range: &Range<u64>) -> Result<Bytes, StoreError> {
        let size = self.size("get", name).await?.unwrap_or(0);
        let (kind, message) = if size < range.end {
            (
                StoreErrorKind::Truncated,
                format!("{size} bytes stored, {range:?} wanted"),
            )
        } else {
            (
                StoreErrorKind::Unavailable,
                format!("the target sent less than the {range:?} wanted"),
            )
        };
        Err(self.failure("get", name, kind, message))
    }

    async fn delete_object(&self, name: &ObjectName) -> Result<(), StoreError> {
        let path = name.to_string();
        match self.request("delete", name, self.operator.delete(&path)).await {
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// One folder, or everything below it; a missing one is empty.
    async fn list_folder(
        &self,
        folder: &str,
        recursive: bool,
        sorter: &mut Sorter,
    ) -> Result<(), StoreError> {
        let object = if folder.is_empty() { "(root)" } else { folder };
        let options = ListOptions {
            recursive,
            ..ListOptions::default()
        };
        let listing = async {
            let lister = match self.operator.lister_options(folder, options).await {
                Ok(lister) => lister,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            lister.try_collect::<Vec<_>>().await
        };
        for entry in self.request("list", &object, listing).await? {
            let (path, metadata) = entry.into_parts();
            if path == folder || path.is_empty() || path == "/" {
                // Some services list a folder in itself.
            } else if path.ends_with('/') {
                sorter.folder(&path);
            } else {
                sorter.file(&path, metadata.content_length());
            }
        }
        Ok(())
    }

    async fn list_kind(&self, kind: ObjectKind) -> Result<Listing, StoreError> {
        let mut sorter = Sorter::new(kind);
        if kind == ObjectKind::Config {
            self.list_folder("", false, &mut sorter).await?;
        } else {
            self.list_folder(&format!("{}/", kind.folder()), true, &mut sorter)
                .await?;
        }
        Ok(sorter.finish())
    }

    /// There is nothing to make; asking for one name tells whether bucket and credentials are right.
    async fn prepare_root(&self) -> Result<(), StoreError> {
        let options = ListOptions {
            limit: Some(1),
            ..ListOptions::default()
        };
        let probe = async {
            let mut lister = self.operator.lister_options("", options).await?;
            lister.try_next().await.map(|_| ())
        };
        match self.request("prepare", &"(root)", probe).await {
            // A container that can be listed has no missing root.
            Err(error) if error.kind == StoreErrorKind::NotFound && !error.message.contains("bucket") => {
                Ok(())
            }
            other => other,
        }
    }
}

impl Store for OpendalStore {
    fn capability(&self) -> Capability {
        Capability {
            put_if_absent: self.put_if_absent,
            range_reads: true,
            concurrent_requests_max: self.service.concurrent_requests_max,
        }
    }

    fn location(&self) -> String {
        self.service.location.clone()
    }

    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(self.put_object(name, content))
    }

    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
        Box::pin(self.get_object(name, range))
    }

    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
        Box::pin(self.list_kind(kind))
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
        Box::pin(self.delete_object(name))
    }

    fn prepare(&self, _create: bool) -> StoreFuture<'_, ()> {
        Box::pin(self.prepare_root())
    }

    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move {
            let mut sorter = Sorter::new(ObjectKind::Config);
            self.list_folder("", false, &mut sorter).await?;
            Ok(sorter.finish().foreign)
        })
    }
}
