// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tries out what a target claims, with objects that are removed again: before the first repository is made there, and on request.
//!
//! The objects are sessions with random names, the one kind of which a left-over does no harm: a collector ends it.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use duplicati_engine::storage::{ObjectKind, ObjectName, Store, StoreError, StoreErrorKind};
use futures_util::future::join_all;

/// Writers that compete for one name.
const COMPETITORS: u8 = 6;
/// Bytes of the object that is read in part.
const OBJECT_BYTES: usize = 4_096;

/// What a target was seen to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeReport {
    /// What it claims about exclusive writes.
    pub claims_put_if_absent: bool,
    /// A second `put` of a name was refused and changed nothing.
    pub refuses_to_replace: bool,
    /// Of several writers of one name at once, one won and the others were told.
    pub is_exclusive: bool,
    /// Ranges are exact.
    pub reads_ranges: bool,
    /// An object is listed, with its size, as soon as it is stored.
    pub lists_at_once: bool,
    /// An object is gone as soon as it is deleted.
    pub deletes: bool,
}

impl ProbeReport {
    /// Whether a repository may be made there as the store is configured.
    pub fn is_usable(&self) -> bool {
        self.refuses_to_replace
            && self.reads_ranges
            && self.lists_at_once
            && (self.is_exclusive || !self.claims_put_if_absent)
    }

    /// What is missing, one line each.
    pub fn shortcomings(&self) -> Vec<&'static str> {
        let mut lines = Vec::new();
        if !self.refuses_to_replace {
            lines.push("it replaces an object although it was asked not to");
        } else if self.claims_put_if_absent && !self.is_exclusive {
            lines.push("it lets several writers create one object at the same time");
        }
        if !self.reads_ranges {
            lines.push("it does not send the part of an object that was asked for");
        }
        if !self.lists_at_once {
            lines.push("it does not list an object that was just stored");
        }
        if !self.deletes {
            lines.push("it does not delete objects, or not with these credentials");
        }
        lines
    }
}

impl fmt::Display for ProbeReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |is_so: bool| if is_so { "yes" } else { "no" };
        writeln!(
            formatter,
            "refuses to replace an object:      {}",
            word(self.refuses_to_replace)
        )?;
        let exclusive = match (self.claims_put_if_absent, self.is_exclusive) {
            (false, _) => "not claimed: one machine at a time",
            (true, true) => "yes",
            (true, false) => "no, although it claims to",
        };
        writeln!(formatter, "one of several writers wins:       {exclusive}")?;
        writeln!(
            formatter,
            "reads parts of objects:            {}",
            word(self.reads_ranges)
        )?;
        writeln!(
            formatter,
            "lists what was just stored:        {}",
            word(self.lists_at_once)
        )?;
        write!(
            formatter,
            "deletes objects:                   {}",
            word(self.deletes)
        )
    }
}

fn random_name() -> ObjectName {
    ObjectName::of(ObjectKind::Session, rand::random())
}

/// Tries a target out. An error means that it cannot be used at all.
pub async fn probe(store: &Arc<dyn Store>) -> Result<ProbeReport, StoreError> {
    let (name, contested) = (random_name(), random_name());
    let result = try_out(store, &name, &contested).await;
    let mut is_gone = true;
    for name in [&name, &contested] {
        is_gone &= store.delete(name).await.is_ok() && is_absent(store, name).await;
    }
    result.map(|report| ProbeReport {
        deletes: is_gone,
        ..report
    })
}

async fn is_absent(store: &Arc<dyn Store>, name: &ObjectName) -> bool {
    matches!(store.get(name, None).await, Err(error) if error.kind == StoreErrorKind::NotFound)
}

async fn try_out(
    store: &Arc<dyn Store>,
    name: &ObjectName,
    contested: &ObjectName,
) -> Result<ProbeReport, StoreError> {
    let content = Bytes::from_iter((0..OBJECT_BYTES).map(|place| (place * 7 % 251) as u8));
    store.put(name, content.clone()).await?;
    let again = store.put(name, Bytes::from_static(b"another")).await;
    let refused = matches!(&again, Err(error) if error.kind == StoreErrorKind::AlreadyExists);
    let is_unchanged = store.get(name, None).await? == content;
    let part = store.get(name, Some(100..1_100)).await;
    let listing = store.list(ObjectKind::Session).await?;
    let is_listed = |object: &duplicati_engine::storage::ObjectInfo| {
        object.name == *name && object.size_bytes == OBJECT_BYTES as u64
    };
    let claims_put_if_absent = store.capability().put_if_absent;
    let is_exclusive = claims_put_if_absent && compete(store, contested).await?;
    Ok(ProbeReport {
        claims_put_if_absent,
        refuses_to_replace: refused && is_unchanged,
        is_exclusive,
        reads_ranges: part.is_ok_and(|part| part == content.slice(100..1_100)),
        lists_at_once: listing.objects.iter().any(is_listed),
        deletes: false,
    })
}

async fn compete(store: &Arc<dyn Store>, name: &ObjectName) -> Result<bool, StoreError> {
    let writers = (0..COMPETITORS).map(|writer| store.put(name, Bytes::from(vec![writer + 1; 64])));
    let mut winners = Vec::new();
    for (writer, result) in (0..COMPETITORS).zip(join_all(writers).await) {
        match result {
            Ok(()) => winners.push(writer),
            Err(error) if error.kind == StoreErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    let stored = store.get(name, None).await?;
    Ok(matches!(winners[..], [winner] if stored.first() == Some(&(winner + 1))))
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use duplicati_engine::storage::{Capability, Listing, StoreFuture, memory::MemoryStore};

    use super::*;

    #[tokio::test]
    async fn a_target_that_keeps_its_promises_is_usable_and_left_as_it_was() {
        let memory = Arc::new(MemoryStore::new());
        let store: Arc<dyn Store> = memory.clone();
        let report = probe(&store).await.unwrap();
        assert!(report.is_usable() && report.shortcomings().is_empty(), "{report}");
        assert!(report.is_exclusive && report.deletes);
        assert!(memory.inventory().is_empty());
    }

    /// Takes the condition for a joke, as some services do.
    struct Replacing(MemoryStore);

    impl Store for Replacing {
        fn capability(&self) -> Capability {
            self.0.capability()
        }
        fn location(&self) -> String {
            self.0.location()
        }
        fn put<'a>(&'a self, name: &'a ObjectName, content: Bytes) -> StoreFuture<'a, ()> {
            Box::pin(async move {
                self.0.delete(name).await?;
                self.0.put(name, content).await
            })
        }
        fn get<'a>(&'a self, name: &'a ObjectName, range: Option<Range<u64>>) -> StoreFuture<'a, Bytes> {
            self.0.get(name, range)
        }
        fn list(&self, kind: ObjectKind) -> StoreFuture<'_, Listing> {
            self.0.list(kind)
        }
        fn delete<'a>(&'a self, name: &'a ObjectName) -> StoreFuture<'a, ()> {
            self.0.delete(name)
        }
        fn prepare(&self, create: bool) -> StoreFuture<'_, ()> {
            self.0.prepare(create)
        }
        fn list_foreign_root(&self) -> StoreFuture<'_, Vec<String>> {
            self.0.list_foreign_root()
        }
    }

    #[tokio::test]
    async fn a_target_that_replaces_is_found_out() {
        let store: Arc<dyn Store> = Arc::new(Replacing(MemoryStore::new()));
        let report = probe(&store).await.unwrap();
        assert!(!report.is_usable() && !report.refuses_to_replace, "{report}");
        assert!(report.shortcomings()[0].contains("replaces"));
    }
}
