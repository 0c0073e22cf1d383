// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The config and the key files: without them nothing else can be looked at.

use std::collections::HashSet;

use bytes::Bytes;
use duplicati_engine::{
    format::config::RepositoryConfig,
    storage::{ObjectKind, ObjectName, StoreErrorKind},
};

use super::{Healer, job};
use crate::{
    error::RunError,
    follow::{Job, get_if_readable},
    object_check::Proof,
};

/// Kinds whose names are compared to see whether two targets are copies of one repository.
const COMPARED: [ObjectKind; 4] = [
    ObjectKind::Key,
    ObjectKind::Snapshot,
    ObjectKind::IndexSegment,
    ObjectKind::Pack,
];

/// Heals them, so that the repository opens.
pub async fn open(healer: &mut Healer) -> Result<(), RunError> {
    let mut jobs: Vec<Job> = config(healer).await?.into_iter().collect();
    jobs.extend(keys(healer).await?);
    healer.carry_out(jobs).await
}

async fn config(healer: &Healer) -> Result<Option<Job>, RunError> {
    let (first, second) = (&healer.first, &healer.second);
    let (is_there, content) = match get_if_readable(first.store.as_ref(), &ObjectName::CONFIG).await {
        Ok(content) => (true, content),
        Err(error) if error.kind == StoreErrorKind::NotFound => (false, None),
        Err(error) => return Err(error.into()),
    };
    if let Some(content) = &content {
        if first.check_config(content).is_ok() {
            return Ok(None);
        }
        if let Ok((config, _)) = RepositoryConfig::decode(content)
            && config.repository_id != second.config.repository_id
        {
            return Err(RunError::Refused(format!(
                "{} holds backup {} and {} holds backup {}: one cannot heal the other; nothing was changed",
                first.store.location(),
                config.repository_id,
                second.store.location(),
                second.config.repository_id
            )));
        }
    }
    // Names are random, so two targets with a name in common are copies of one repository.
    for kind in COMPARED {
        let theirs: HashSet<ObjectName> = names(healer, kind, false).await?;
        if names(healer, kind, true)
            .await?
            .iter()
            .any(|name| theirs.contains(name))
        {
            let size = config_size(healer).await?;
            return Ok(Some(job(ObjectName::CONFIG, size, None, is_there)));
        }
    }
    Err(RunError::Refused(format!(
        "nothing shows that {} is the same backup as {}: it has no readable {} and no object in common; nothing was changed. To copy the backup \
         there, use `sync` with an empty folder",
        first.store.location(),
        second.store.location(),
        ObjectName::CONFIG
    )))
}

async fn config_size(healer: &Healer) -> Result<u64, RunError> {
    Ok(healer.second.store.get(&ObjectName::CONFIG, None).await?.len() as u64)
}

async fn names(healer: &Healer, kind: ObjectKind, of_first: bool) -> Result<HashSet<ObjectName>, RunError> {
    let repository = if of_first { &healer.first } else { &healer.second };
    let listing = match repository.store.list(kind).await {
        Err(error) if of_first && error.kind == StoreErrorKind::NotFound => return Ok(HashSet::new()),
        listing => listing?,
    };
    Ok(listing.objects.into_iter().map(|info| info.name).collect())
}

async fn keys(healer: &mut Healer) -> Result<Vec<Job>, RunError> {
    let (here, there) = (
        names(healer, ObjectKind::Key, true).await?,
        names(healer, ObjectKind::Key, false).await?,
    );
    let mut jobs = Vec::new();
    let mut opens = false;
    for name in &here {
        let content = get_if_readable(healer.first.store.as_ref(), name).await?;
        let found = match &content {
            Some(content) => proof(healer, name, content).await?,
            None => None,
        };
        match found {
            Some(Proof::Content) => opens = true,
            Some(Proof::Form) => {}
            None if there.contains(name) => {
                let size = content.map_or(0, |content| content.len() as u64);
                jobs.push(job(*name, size, None, true));
            }
            None => healer.fail(
                name.to_string(),
                "this key file is damaged, and the second destination does not have it".to_owned(),
            ),
        }
    }
    for name in there.difference(&here) {
        let content = get_if_readable(healer.second.store.as_ref(), name).await?;
        let Some(content) = content.filter(|_| !opens) else {
            healer.report.keys_elsewhere += 1;
            continue;
        };
        if proof(healer, name, &content).await? == Some(Proof::Content) {
            jobs.push(job(*name, content.len() as u64, None, false));
        } else {
            healer.report.keys_elsewhere += 1;
        }
    }
    Ok(jobs)
}

async fn proof(healer: &Healer, name: &ObjectName, content: &Bytes) -> Result<Option<Proof>, RunError> {
    Ok(healer
        .checker
        .check_apart(*name, content.clone(), None)
        .await?
        .ok())
}
