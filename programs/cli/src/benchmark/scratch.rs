// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The one folder at the target that a benchmark writes to.
//!
//! It lies below the destination under a name that no repository and no folder of one can have. Everything goes through a store or a folder of files
//! that is rooted there, so nothing else can be reached, and in the end all that is in it goes, then the folder.

use std::{sync::Arc, time::Duration};

use duplicati_backends::{Files, OpenError, StoreAddress};
use duplicati_engine::{
    clock::Clock,
    crypto::secret::random_id,
    storage::{Store, StoreError, StoreErrorKind},
};

/// Begin of the folder's name.
const NAME: &str = "duplicati-benchmark-";
/// Times that the folder is looked at again: a request that was given up may still have been carried out.
const ROUNDS_MAX: usize = 20;
/// Time between two looks, milliseconds.
const ROUND_MS: u64 = 250;
/// Time for removing, seconds: a target that does not answer any more must not keep the program from ending.
const REMOVAL_SECONDS_MAX: u64 = 120;
/// Left-overs of runs that were killed go after this time, seconds: no benchmark takes as long.
const STALE_SECONDS: i64 = 86_400;

/// The folder.
pub struct Scratch {
    /// Its name below the destination.
    pub name: String,
    /// For measured requests: nothing but the benchmark chooses how many run at once.
    pub measured: Arc<dyn Store>,
    /// As backups use it.
    pub careful: Arc<dyn Store>,
    files: Arc<dyn Files>,
}

impl Scratch {
    /// Chooses a name below the destination. Nothing is written yet.
    ///
    /// # Errors
    /// When the address makes no store.
    pub fn below(address: &StoreAddress, clock: &dyn Clock) -> Result<Self, OpenError> {
        let id = random_id().unwrap_or([0; 16]);
        let digits: String = id.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self::named(address, format!("{NAME}{}-{digits}", clock.now().seconds))
    }

    fn named(address: &StoreAddress, name: String) -> Result<Self, OpenError> {
        let mut address = address.clone();
        // A prefix is a folder below the destination; this one no user can choose, because theirs have no hyphen.
        address.prefix.clone_from(&name);
        Ok(Self {
            measured: duplicati_backends::open_to_measure(&address)?,
            careful: duplicati_backends::open_with_care(&address)?,
            files: duplicati_backends::open_files(&address)?,
            name,
        })
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// When the target refuses.
    pub async fn make(&self) -> Result<(), StoreError> {
        self.careful.prepare(true).await
    }

    /// Removes everything in the folder and the folder itself.
    ///
    /// # Errors
    /// When something stays; the error names it.
    pub async fn remove(&self) -> Result<(), StoreError> {
        let limit = Duration::from_secs(REMOVAL_SECONDS_MAX);
        let mut last = None;
        let outcome = tokio::time::timeout(limit, async {
            for _ in 0..ROUNDS_MAX {
                match self.remove_what_is_there().await {
                    Ok(()) => return true,
                    Err(error) => last = Some(error),
                }
                tokio::time::sleep(Duration::from_millis(ROUND_MS)).await;
            }
            false
        })
        .await;
        match (outcome, last) {
            (Ok(true), _) => Ok(()),
            (_, Some(error)) => Err(error),
            (_, None) => Err(StoreError {
                kind: StoreErrorKind::Unavailable,
                operation: "delete",
                object: self.name.clone(),
                location: self.files.location(),
                message: format!("the target did not remove it within {REMOVAL_SECONDS_MAX} s"),
                retry_after: None,
                source: None,
            }),
        }
    }

    async fn remove_what_is_there(&self) -> Result<(), StoreError> {
        let entries = match self.files.list_files(true).await {
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let (mut folders, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.is_folder);
        for file in files {
            match self.files.delete_file(&file.path).await {
                Err(error) if error.kind != StoreErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // What lies deeper first.
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.path.matches('/').count()));
        for folder in folders {
            self.files.remove_folder(&folder.path).await?;
        }
        self.files.remove_folder("").await
    }
}

/// Removes what benchmarks left that were killed long ago; says which.
pub async fn remove_stale(address: &StoreAddress, clock: &dyn Clock) -> Vec<String> {
    let mut removed = Vec::new();
    let Ok(root) = duplicati_backends::open_files(address) else {
        return removed;
    };
    // A target that cannot be listed says so when it is measured.
    let entries = root.list_files(false).await.unwrap_or_default();
    for entry in entries.into_iter().filter(|entry| entry.is_folder) {
        if is_stale(&entry.path, clock.now().seconds)
            && let Ok(scratch) = Scratch::named(address, entry.path.clone())
            && scratch.remove().await.is_ok()
        {
            removed.push(entry.path);
        }
    }
    removed
}

fn is_stale(name: &str, now: i64) -> bool {
    let Some((time, digits)) = name.strip_prefix(NAME).and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    let is_ours = digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let time: Option<i64> = time.parse().ok();
    is_ours && time.is_some_and(|time| now.saturating_sub(time) > STALE_SECONDS)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use duplicati_engine::{
        clock::SystemClock,
        storage::{ObjectKind, ObjectName},
    };

    use super::*;

    #[tokio::test]
    async fn the_folder_goes_with_everything_in_it_and_its_neighbours_stay() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("packs")).unwrap();
        std::fs::write(folder.path().join("packs/theirs"), "x").unwrap();
        let address = StoreAddress::local(folder.path());
        let scratch = Scratch::below(&address, &SystemClock).unwrap();
        scratch.make().await.unwrap();
        let name = ObjectName::of(ObjectKind::Pack, [3; 16]);
        scratch
            .measured
            .put(&name, Bytes::from_static(b"x"))
            .await
            .unwrap();
        assert!(folder.path().join(&scratch.name).join(name.to_string()).exists());
        // As a write that was cut off leaves it.
        std::fs::write(folder.path().join(&scratch.name).join("packs/03/half.tmp-1"), "x").unwrap();
        scratch.remove().await.unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["packs"]);
        assert!(folder.path().join("packs/theirs").exists());
        scratch.remove().await.unwrap();
    }

    #[test]
    fn only_names_of_ours_and_old_ones_are_stale() {
        assert!(is_stale("duplicati-benchmark-1000-0123456789ab", 1_000_000));
        for name in [
            "duplicati-benchmark-999999-0123456789ab",
            "duplicati-benchmark-1000-0123456789",
            "duplicati-benchmark-x-0123456789ab",
            "duplicati-benchmark-1000",
            "packs",
        ] {
            assert!(!is_stale(name, 1_000_000), "{name}");
        }
    }
}
