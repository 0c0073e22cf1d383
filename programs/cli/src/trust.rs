// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether a repository is the one that this machine has used before. Whoever may write at the target can put another one in its place, or a key file that seals
//! for somebody else; what is stored after that is theirs to read.

use std::path::Path;

use duplicati_engine::{index::local::Pin, repository::Repository};

/// How a repository compares with what the local database remembers.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is remembered, or it is the same.
    Fine,
    /// Several keys open and disagree, and nothing is remembered.
    Rivals(Vec<String>),
    /// Another repository.
    OtherRepository { before: String, now: String },
    /// The same repository by name, which seals for others.
    OtherRecipients { key: String },
}

impl Standing {
    pub fn of(repository: &Repository, pin: Option<&Pin>) -> Self {
        let now = repository.config.repository_id.to_string();
        let key = repository.key_id.map(|id| id.to_string()).unwrap_or_default();
        match pin {
            Some(pin) if pin.repository_id != now => Self::OtherRepository {
                before: pin.repository_id.clone(),
                now,
            },
            Some(Pin {
                recipients: Some(recipients),
                ..
            }) if *recipients != repository.pin() => Self::OtherRecipients { key },
            Some(Pin {
                recipients: Some(_), ..
            }) => Self::Fine,
            _ if !repository.rival_keys.is_empty() => {
                let rivals = repository.rival_keys.iter().map(ToString::to_string);
                Self::Rivals(std::iter::once(key).chain(rivals).collect())
            }
            _ => Self::Fine,
        }
    }

    /// What to tell the user, if anything. A local database that was named must be named again, or another one would learn to trust.
    pub fn doubt(&self, destination: &str, database: Option<&Path>) -> Option<String> {
        let database = database.map_or_else(String::new, |path| format!(" --dbpath={}", path.display()));
        let way_out = format!(
            "Ask whoever else uses it. If it was meant, 'duplicati-cli key trust {destination}{database}' makes this machine use it from now on"
        );
        match self {
            Self::Fine => None,
            Self::OtherRepository { before, now } => Some(format!(
                "{destination} holds repository {now}, and this machine has used repository {before} there. Somebody may have exchanged it, to read what is \
                 stored from now on. {way_out}"
            )),
            Self::OtherRecipients { key } => Some(format!(
                "the key file {key} at {destination} seals for other recipients than this machine has used there. Somebody may have put it there, to read what \
                 is stored from now on; 'key list' shows all key files, 'key remove' removes one. {way_out}"
            )),
            Self::Rivals(keys) => Some(format!(
                "the key files {} at {destination} open with the key at hand and seal for different recipients, so one of them may have been put there by \
                 somebody who wants to read what is stored from now on. Find out which is yours ('key list' shows label and date), remove the other with 'key \
                 remove', or name yours: 'duplicati-cli key trust {destination} <key>{database}'",
                keys.join(", ")
            )),
        }
    }
}
