// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The port to a target: whole named objects, written once.
//!
//! Everything above relies on these promises, and the contract suite checks them against every store:
//!
//! 1. `put` either makes the whole object visible under its name or nothing at all; a reader never sees part of it.
//! 2. `put` never replaces: when the name exists it fails with [`StoreErrorKind::AlreadyExists`] and changes nothing. Where
//!    [`Capability::put_if_absent`] is true, exactly one of several concurrent `put`s of one name succeeds, across machines.
//! 3. When `put` returns, the object survives power loss of the target as far as the target can promise it (S-6).
//! 4. `list` returns every object whose `put` returned before the call began, once each, in any order, and no temporary
//!    files. Names that are not of the repository's grammar are returned as [`Listing::foreign`], never hidden.
//! 5. `delete` of an absent object succeeds. Objects are never empty: `put` of zero bytes is refused.

use std::{future::Future, ops::Range, pin::Pin};

use bytes::Bytes;

mod capability;
mod error;
pub mod layout;
pub mod memory;

pub use capability::Capability;
pub use error::{StoreError, StoreErrorKind};
pub use layout::{ObjectKind, ObjectName};

/// A boxed future, so that stores can be used as trait objects without naming a runtime.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// One listed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub name: ObjectName,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// What `list` found under one kind.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Objects of the kind asked for.
    pub objects: Vec<ObjectInfo>,
    /// Paths (relative to the store's root) in the same place that are not ours. Reported, never deleted (S-5).
    pub foreign: Vec<String>,
}

/// A target: raw put, get, list and delete of named objects.
pub trait Store: Send + Sync + 'static {
    /// What this target can do.
    fn capability(&self) -> Capability;

    /// Where it is, for messages; never holds a secret.
    fn location(&self) -> String;

    /// Stores a new object; see the promises above.
    fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()>;

    /// Reads a whole object, or the given byte range of it. A range that reaches past the end is an error of kind
    /// [`StoreErrorKind::Truncated`].
    fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes>;

    /// Lists all objects of a kind.
    fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing>;

    /// Removes an object; absent is success.
    fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()>;

    /// Makes the target ready for a new repository (folders), or checks that it is there. `create` false means that a
    /// missing root is an error of kind [`StoreErrorKind::NotFound`].
    fn prepare(&self, create: bool) -> StoreFuture<'_, ()>;

    /// Removes what cut-off uploads left behind under temporary names and nobody has written to since `older_than` (seconds since 1970); says how many.
    /// Targets without such names have nothing to do.
    fn remove_stale_temporaries(&self, older_than: i64) -> StoreFuture<'_, u64> {
        let _ = older_than;
        Box::pin(std::future::ready(Ok(0)))
    }

    /// Names in the root of the target that are not this repository's; used to refuse a folder that holds something else.
    fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>>;
}
