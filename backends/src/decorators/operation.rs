// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One call of a store as a value, and the one place where a decorator acts on it.

use std::ops::Range;

use bytes::Bytes;
use duplicati_engine::storage::{
    Listing, ObjectKind, ObjectName, Store, StoreError, StoreErrorKind, StoreFuture,
};

/// Which method was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    Put,
    Get,
    List,
    Delete,
    Prepare,
    ListForeignRoot,
    RemoveStaleTemporaries,
}

/// A call: the method and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub kind: OperationKind,
    /// The object of `put`, `get` and `delete`.
    pub name: Option<ObjectName>,
    /// The kind of that object, or the kind that is listed.
    pub object_kind: Option<ObjectKind>,
    /// The range of a ranged `get`.
    pub range: Option<Range<u64>>,
    /// The bytes of a `put`.
    pub size_bytes: u64,
    /// The content of a `put`, shared and not copied; recorders drop it.
    pub content: Option<Bytes>,
}

impl Operation {
    fn new(kind: OperationKind) -> Self {
        Self {
            kind,
            name: None,
            object_kind: None,
            range: None,
            size_bytes: 0,
            content: None,
        }
    }

    fn about(kind: OperationKind, name: &ObjectName) -> Self {
        Self {
            name: Some(*name),
            object_kind: Some(name.kind()),
            ..Self::new(kind)
        }
    }

    pub(crate) fn put(name: &ObjectName, content: &Bytes) -> Self {
        Self {
            size_bytes: content.len() as u64,
            content: Some(content.clone()),
            ..Self::about(OperationKind::Put, name)
        }
    }

    pub(crate) fn get(name: &ObjectName, range: Option<Range<u64>>) -> Self {
        Self {
            range,
            ..Self::about(OperationKind::Get, name)
        }
    }

    pub(crate) fn list(kind: ObjectKind) -> Self {
        Self {
            object_kind: Some(kind),
            ..Self::new(OperationKind::List)
        }
    }

    pub(crate) fn delete(name: &ObjectName) -> Self {
        Self::about(OperationKind::Delete, name)
    }

    pub(crate) fn prepare() -> Self {
        Self::new(OperationKind::Prepare)
    }

    pub(crate) fn list_foreign_root() -> Self {
        Self::new(OperationKind::ListForeignRoot)
    }

    pub(crate) fn remove_stale_temporaries() -> Self {
        Self::new(OperationKind::RemoveStaleTemporaries)
    }

    /// What the call is about, for messages.
    pub(crate) fn subject(&self) -> String {
        match (self.name, self.object_kind) {
            (Some(name), _) => name.to_string(),
            (None, Some(kind)) if kind != ObjectKind::Config => kind.folder().to_owned(),
            _ => "(root)".to_owned(),
        }
    }

    /// An error of this operation.
    pub(crate) fn error(&self, kind: StoreErrorKind, location: String, message: &str) -> StoreError {
        StoreError {
            kind,
            operation: match self.kind {
                OperationKind::Put => "put",
                OperationKind::Get => "get",
                OperationKind::List | OperationKind::ListForeignRoot => "list",
                OperationKind::Delete => "delete",
                OperationKind::Prepare => "prepare",
                OperationKind::RemoveStaleTemporaries => "remove_stale_temporaries",
            },
            object: self.subject(),
            location,
            message: message.to_owned(),
            retry_after: None,
            source: None,
        }
    }
}

/// Bytes of content that an answer carries.
pub trait Answer: Send {
    fn content_bytes(&self) -> u64 {
        0
    }
}

impl Answer for () {}
impl Answer for u64 {}
impl Answer for Listing {}
impl Answer for Vec<String> {}
impl Answer for Bytes {
    fn content_bytes(&self) -> u64 {
        self.len() as u64
    }
}

/// What a decorator does around a call. The call runs only when it is awaited.
pub trait Around {
    /// The store that is decorated.
    fn inner(&self) -> &dyn Store;

    /// Runs the call, or does not.
    fn around<'a, T: Answer + 'a>(
        &'a self,
        operation: Operation,
        call: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T>;
}
