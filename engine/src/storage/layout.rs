// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Object names: the grammar of `docs/format.md` section 2. Names reveal nothing about content (F-2).

use std::{fmt, str::FromStr};

use crate::id::{KeyId, PackId, PlanId, SegmentId, SnapshotId, parse_hex};

/// The kinds of stored objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// The repository's parameters; exactly one.
    Config,
    /// Key files.
    Key,
    /// Packs of chunks.
    Pack,
    /// Index segments.
    IndexSegment,
    /// Snapshot manifests and fences.
    Snapshot,
    /// Open writing sessions.
    Session,
    /// Collection plans.
    Plan,
}

impl ObjectKind {
    /// Every kind, in the order of writing (S-1).
    pub const ALL: [ObjectKind; 7] = [
        ObjectKind::Config,
        ObjectKind::Key,
        ObjectKind::Session,
        ObjectKind::Plan,
        ObjectKind::Pack,
        ObjectKind::IndexSegment,
        ObjectKind::Snapshot,
    ];

    /// The folder below the root; empty for the config, which lies in the root.
    pub fn folder(self) -> &'static str {
        match self {
            ObjectKind::Config => "",
            ObjectKind::Key => "keys",
            ObjectKind::Pack => "packs",
            ObjectKind::IndexSegment => "index",
            ObjectKind::Snapshot => "snapshots",
            ObjectKind::Session => "sessions",
            ObjectKind::Plan => "plans",
        }
    }
}

/// Name of the config object.
pub const CONFIG_NAME: &str = "repository.json";

/// The name of one object; the path below the root is its `Display` form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    kind: ObjectKind,
    id: [u8; 16],
}

impl ObjectName {
    /// The config object.
    pub const CONFIG: ObjectName = ObjectName {
        kind: ObjectKind::Config,
        id: [0; 16],
    };

    /// Name of an object of a kind other than [`ObjectKind::Config`].
    pub fn of(kind: ObjectKind, id: [u8; 16]) -> Self {
        if kind == ObjectKind::Config {
            Self::CONFIG
        } else {
            Self { kind, id }
        }
    }

    /// The kind.
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The 16 bytes of the identifier (zero for the config).
    pub fn id(&self) -> [u8; 16] {
        self.id
    }
}

macro_rules! named {
    ($($id:ident => $kind:ident),*) => {$(
        impl From<$id> for ObjectName {
            fn from(id: $id) -> Self { Self { kind: ObjectKind::$kind, id: id.0 } }
        }
    )*};
}
named!(KeyId => Key, PackId => Pack, SegmentId => IndexSegment, PlanId => Plan, SnapshotId => Snapshot);

impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ObjectKind::Config => formatter.write_str(CONFIG_NAME),
            // Packs are many: 256 folders keep each one small on file systems that dislike large ones.
            ObjectKind::Pack => {
                write!(formatter, "packs/{:02x}/", self.id[0])?;
                crate::id::write_hex(formatter, &self.id)
            }
            kind => {
                write!(formatter, "{}/", kind.folder())?;
                crate::id::write_hex(formatter, &self.id)
            }
        }
    }
}

/// A path that is not the name of any object of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a repository object")]
pub struct ForeignName;

impl FromStr for ObjectName {
    type Err = ForeignName;

    fn from_str(path: &str) -> Result<Self, ForeignName> {
        if path == CONFIG_NAME {
            return Ok(Self::CONFIG);
        }
        let (folder, rest) = path.split_once('/').ok_or(ForeignName)?;
        let kind = ObjectKind::ALL
            .into_iter()
            .find(|kind| *kind != ObjectKind::Config && kind.folder() == folder)
            .ok_or(ForeignName)?;
        let digits = if kind == ObjectKind::Pack {
            let (shard, digits) = rest.split_once('/').ok_or(ForeignName)?;
            if digits.get(..2) != Some(shard) {
                return Err(ForeignName);
            }
            digits
        } else {
            rest
        };
        let id = parse_hex::<16>(digits).map_err(|_| ForeignName)?;
        Ok(Self { kind, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_name_reads_back() {
        for kind in ObjectKind::ALL {
            let name = ObjectName::of(kind, [0x5a; 16]);
            assert_eq!(name.to_string().parse::<ObjectName>(), Ok(name));
        }
    }

    #[test]
    fn temporary_and_misplaced_names_are_foreign() {
        let digits = "5a".repeat(16);
        for path in [
            format!("packs/5a/{digits}.tmp-1"),
            format!("packs/5b/{digits}"),
            format!("packs/{digits}"),
            format!("other/{digits}"),
            "duplicati-20261122T171110Z.dlist.zip".to_owned(),
            String::new(),
        ] {
            assert_eq!(path.parse::<ObjectName>(), Err(ForeignName), "{path}");
        }
    }
}
