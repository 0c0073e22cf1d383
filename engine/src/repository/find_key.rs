// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Choosing the key file that opens a repository. Key files come from the target, so strangers may have put some: what trying them costs is bounded, and those
//! that open are compared with each other and with what this machine knows.

use bytes::Bytes;

use crate::{
    crypto::{
        CryptoError,
        key_file::{self, KeyContent, KeyFileError, KeyKind, Unlock},
    },
    format::{
        FormatError,
        config::{CheckLine, RepositoryConfig},
    },
    id::KeyId,
    storage::{ObjectKind, ObjectName, Store, StoreErrorKind},
};

use super::RepositoryError;

/// Key files that are looked at; a repository with a key for each of a thousand machines is served.
pub const KEY_FILES_MAX: usize = 1024;
/// Sum of 2^factor of all scrypt key files that are tried: 512 of ours, 64 of the costliest, well under a minute of one core.
const SCRYPT_WORK_MAX: u64 = 1 << 24;

/// What tries of key files may cost together; strangers may have put some.
#[derive(Debug, Default)]
pub struct KeyTries {
    work: u64,
}

impl KeyTries {
    /// Whether this key file may be tried, and counts it.
    pub fn admits(&mut self, unlock: &Unlock, object: &[u8]) -> bool {
        let Unlock::Passphrase(_) = unlock else {
            return true;
        };
        match key_file::scrypt_work_factor(object) {
            // Beyond the largest factor it is refused without any work.
            Some(factor) if factor <= key_file::WORK_FACTOR_MAX => {
                let work = 1 << factor;
                let fits = self.work + work <= SCRYPT_WORK_MAX;
                if fits {
                    self.work += work;
                }
                fits
            }
            _ => true,
        }
    }

    /// Whether a key file was made by another program, or by somebody who wants to cost us time: ours come first.
    pub fn is_costly(unlock: &Unlock, object: &[u8]) -> bool {
        matches!(unlock, Unlock::Passphrase(_))
            && key_file::scrypt_work_factor(object) > Some(key_file::WORK_FACTOR)
    }
}

/// Which of the keys that open is meant.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Whichever opens.
    Any,
    /// The one that seals for the recipients that were seen at first use ([`KeyContent::pin`]).
    Pinned(&'a str),
    /// This one, by name.
    Key(KeyId),
}

/// A key that opens.
pub(super) struct FoundKey {
    pub id: KeyId,
    pub content: KeyContent,
    /// Others that open and seal for other recipients. One of them is forged.
    pub rivals: Vec<KeyId>,
}

struct Search<'a> {
    store: &'a dyn Store,
    config: &'a RepositoryConfig,
    check: &'a CheckLine,
    unlock: &'a Unlock,
    trust: Trust<'a>,
    found: Vec<(KeyId, KeyContent)>,
    damaged: Option<RepositoryError>,
    tried: usize,
    left_out: usize,
    tries: KeyTries,
}

/// The key that is meant; among equals a full one is preferred to a write-only one.
pub(super) async fn find_key(
    store: &dyn Store,
    config: &RepositoryConfig,
    check: &CheckLine,
    unlock: &Unlock,
    trust: Trust<'_>,
) -> Result<FoundKey, RepositoryError> {
    let mut search = Search {
        store,
        config,
        check,
        unlock,
        trust,
        found: Vec::new(),
        damaged: None,
        tried: 0,
        left_out: 0,
        tries: KeyTries::default(),
    };
    let listing = store.list(ObjectKind::Key).await?;
    let mut costly = Vec::new();
    for (place, info) in listing.objects.into_iter().enumerate() {
        if place >= KEY_FILES_MAX || info.size_bytes > key_file::KEY_FILE_SIZE_BYTES_MAX {
            search.left_out += 1;
            continue;
        }
        let Some(object) = search.read(&info.name).await? else {
            continue;
        };
        if KeyTries::is_costly(unlock, &object) {
            costly.push(info.name);
            continue;
        }
        if search.take(&info.name, &object) {
            return search.choose();
        }
    }
    for name in costly {
        let Some(object) = search.read(&name).await? else {
            continue;
        };
        if search.take(&name, &object) {
            break;
        }
    }
    search.choose()
}

impl Search<'_> {
    /// Reads a key file. One that went meanwhile, or that the medium gives back no more, must not lock out the holders of the others.
    async fn read(&mut self, name: &ObjectName) -> Result<Option<Bytes>, RepositoryError> {
        match self.store.get(name, None).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) if matches!(error.kind, StoreErrorKind::Unreadable | StoreErrorKind::Truncated) => {
                self.damaged = Some(error.into());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tries one; says whether no other needs to be tried.
    fn take(&mut self, name: &ObjectName, object: &[u8]) -> bool {
        if !self.tries.admits(self.unlock, object) {
            self.left_out += 1;
            return false;
        }
        self.tried += 1;
        match self.open(object) {
            Ok(content) => self.found.push((KeyId(name.id()), content)),
            Err(Unusable::Foreign) => {}
            // One damaged key file must not lock out the holders of the others.
            Err(Unusable::Damaged(object, problem)) => {
                let name = object.unwrap_or(*name);
                self.damaged = Some(RepositoryError::object(&name, self.store.location(), problem));
            }
        }
        let Some((id, content)) = self.found.last() else {
            return false;
        };
        // Whoever puts a forged key for a public key needs that key only; a passphrase he would have to know. So all that identities open are compared.
        match self.trust {
            Trust::Any => matches!(self.unlock, Unlock::Passphrase(_)) && content.kind == KeyKind::Full,
            Trust::Pinned(pin) => content.kind == KeyKind::Full && content.pin() == pin,
            Trust::Key(wanted) => *id == wanted,
        }
    }

    fn open(&self, object: &[u8]) -> Result<KeyContent, Unusable> {
        let damaged = |error: KeyFileError| Unusable::Damaged(None, error);
        let content = match key_file::open(object, self.unlock) {
            Err(KeyFileError::Crypto(CryptoError::NoKey)) => return Err(Unusable::Foreign),
            outcome => outcome.map_err(damaged)?,
        };
        if content.repository_id != self.config.repository_id {
            // It opens, so the passphrase is not what is wrong.
            let detail = format!(
                "it belongs to repository {}, but {} is that of repository {}; one of the two was exchanged",
                content.repository_id,
                ObjectName::CONFIG,
                self.config.repository_id
            );
            return Err(damaged(FormatError::damaged("key file", detail).into()));
        }
        content.check().map_err(|error| damaged(error.into()))?;
        self.check
            .verify(&content.secret)
            .map_err(|error| Unusable::Damaged(Some(ObjectName::CONFIG), error.into()))?;
        Ok(content)
    }

    fn choose(mut self) -> Result<FoundKey, RepositoryError> {
        let is_meant = |(id, content): &(KeyId, KeyContent)| match self.trust {
            Trust::Any => true,
            Trust::Pinned(pin) => content.pin() == pin,
            Trust::Key(wanted) => *id == wanted,
        };
        let is_full = |(_, content): &(KeyId, KeyContent)| content.kind == KeyKind::Full;
        let position = |wanted: &dyn Fn(&(KeyId, KeyContent)) -> bool| self.found.iter().position(wanted);
        let meant = position(&|key| is_meant(key) && is_full(key)).or_else(|| position(&|key| is_meant(key)));
        let chosen = meant
            .or_else(|| position(&is_full))
            .or((!self.found.is_empty()).then_some(0));
        let Some(chosen) = chosen else {
            return Err(self.damaged.unwrap_or(RepositoryError::WrongKey {
                location: self.store.location(),
                tried: self.tried,
                left_out: self.left_out,
            }));
        };
        let is_settled = meant.is_some() && !matches!(self.trust, Trust::Any);
        let (id, content) = self.found.swap_remove(chosen);
        let rivals = match is_settled {
            true => Vec::new(),
            false => self
                .found
                .iter()
                .filter(|(_, other)| other.recipients() != content.recipients())
                .map(|(id, _)| *id)
                .collect(),
        };
        Ok(FoundKey { id, content, rivals })
    }
}

/// Why a key file is not the one.
enum Unusable {
    /// It is for somebody else.
    Foreign,
    /// It, or the object named, is not what it should be.
    Damaged(Option<ObjectName>, KeyFileError),
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        crypto::{key_file::KeyHolder, secret::random_id},
        format::config::ChunkingParameters,
        repository::{CreateOptions, Repository, test_packs::now},
        storage::memory::MemoryStore,
    };

    fn passphrase(text: &str) -> Unlock {
        Unlock::Passphrase(text.to_owned().into())
    }

    fn repository(holder: KeyHolder) -> (Arc<MemoryStore>, Repository) {
        let store = Arc::new(MemoryStore::new());
        let options = CreateOptions {
            holder: Some(holder),
            chunking: ChunkingParameters::around(16 << 10),
            label: "true".to_owned(),
            created: String::new(),
        };
        let repository = now(Repository::create(Arc::clone(&store) as Arc<dyn Store>, options)).unwrap();
        (store, repository)
    }

    #[test]
    fn tries_end_when_they_have_cost_enough() {
        let holder = KeyHolder::Passphrase("right".to_owned().into());
        let (store, repository) = repository(holder);
        let (config, check) =
            RepositoryConfig::decode(&now(store.get(&ObjectName::CONFIG, None)).unwrap()).unwrap();
        let name = ObjectName::from(repository.key_id.unwrap());
        let object = now(store.get(&name, None)).unwrap();
        let unlock = passphrase("right");
        let mut search = Search {
            store: store.as_ref(),
            config: &config,
            check: &check,
            unlock: &unlock,
            trust: Trust::Any,
            found: Vec::new(),
            damaged: None,
            tried: 0,
            left_out: 0,
            tries: KeyTries {
                work: SCRYPT_WORK_MAX - (1 << key_file::WORK_FACTOR) + 1,
            },
        };
        assert!(!search.take(&name, &object));
        assert_eq!((search.tried, search.left_out), (0, 1));
        search.tries.work -= 1;
        assert!(search.take(&name, &object));
        assert_eq!((search.tried, search.tries.work), (1, SCRYPT_WORK_MAX));
    }

    #[test]
    fn hostile_files_come_last_and_are_named_when_nothing_opens() {
        let holder = KeyHolder::Passphrase("right".to_owned().into());
        let (store, repository) = repository(holder);
        let own = ObjectName::from(repository.key_id.unwrap());
        let object = now(store.get(&own, None)).unwrap().to_vec();
        let position = object.windows(4).position(|part| part == b" 15\n").unwrap();
        let with_factor = |factor: &str| {
            let mut hostile = object.clone();
            hostile.splice(position..position + 4, factor.bytes());
            hostile
        };
        // Before all others in the listing: one at the limit, which would be tried, and one beyond it.
        for (id, factor) in [([0; 16], " 18\n"), ([1; 16], " 60\n")] {
            let name = ObjectName::from(KeyId(id));
            now(store.put(&name, with_factor(factor).into())).unwrap();
        }
        let opened = now(Repository::open(
            Arc::clone(&store) as Arc<dyn Store>,
            Some(&passphrase("right")),
        ));
        assert_eq!(opened.unwrap().key_id, repository.key_id);
        let error = now(Repository::open(store, Some(&passphrase("wrong"))))
            .unwrap_err()
            .to_string();
        assert!(error.contains("2^60"), "{error}");
    }

    #[test]
    fn of_keys_that_disagree_the_pinned_or_named_one_is_taken() {
        let reader =
            KeyContent::generate(crate::id::RepositoryId([0; 16]), String::new(), String::new()).unwrap();
        let holder = KeyHolder::Recipients(vec![reader.data_recipient.clone()]);
        let (store, repository) = repository(holder.clone());
        let unlock = || Unlock::from_identity_text(&reader.data_identities[0]).unwrap();
        let other =
            KeyContent::generate(repository.config.repository_id, String::new(), String::new()).unwrap();
        let mut forged = repository.key.clone().unwrap();
        forged.data_identities.clone_from(&other.data_identities);
        forged.data_recipient.clone_from(&other.data_recipient);
        let object = key_file::seal(&forged, &holder).unwrap();
        for id in [[0; 16], random_id().unwrap(), [0xff; 16]] {
            let name = ObjectName::from(KeyId(id));
            now(store.put(&name, object.clone().into())).unwrap();
        }
        // With another secret it is none of this repository's, and costs nobody the way in.
        let mut foreign = other;
        foreign.label = "foreign".to_owned();
        let object = key_file::seal(&foreign, &holder).unwrap();
        let name = ObjectName::from(KeyId([2; 16]));
        now(store.put(&name, object.into())).unwrap();
        let open = |trust: Trust<'_>| {
            let store = Arc::clone(&store) as Arc<dyn Store>;
            now(Repository::open_trusted(store, Some(&unlock()), trust)).unwrap()
        };
        let any = open(Trust::Any);
        assert_eq!(
            any.rival_keys.len(),
            if any.pin() == repository.pin() { 3 } else { 1 }
        );
        let pinned = open(Trust::Pinned(&repository.pin()));
        assert_eq!(pinned.key_id, repository.key_id);
        assert!(pinned.rival_keys.is_empty());
        let named = open(Trust::Key(KeyId([0xff; 16])));
        assert_eq!(named.key_id, Some(KeyId([0xff; 16])));
        assert_ne!(named.pin(), repository.pin());
        // Nothing that fits: whoever asked sees it by the pin.
        let none = open(Trust::Pinned("something else"));
        assert_ne!(none.pin(), "something else");
    }
}
