// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `key`: who may open a repository. Keys are added and removed without touching any data (F-7).

use std::{ffi::OsStr, io::Write, os::unix::fs::OpenOptionsExt};

use duplicati_actors::events::ProgressSnapshot;
use duplicati_engine::{
    crypto::{
        key_file::{self, HolderKind, KeyContent, KeyHolder, KeyKind, Unlock},
        secret::random_id,
    },
    id::KeyId,
    repository::{Repository, RepositoryError},
    storage::{ObjectKind, ObjectName},
};
use duplicati_programs_common::{ExitCode, error_id::ids};
use serde_json::json;

use crate::{
    connection::Target,
    failure::{Outcome, failed, wrong_arguments},
    invocation::Invocation,
    output::text,
    passphrase,
    results::CommandResult,
};

/// One key file as far as this machine can look into it.
struct KnownKey {
    id: KeyId,
    holder: String,
    /// Its content, when the passphrase or identity at hand opens it.
    content: Option<KeyContent>,
}

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    // The word comes before the destination here; the destination is looked for behind it.
    let word = invocation
        .argument(0)
        .map(OsStr::to_string_lossy)
        .unwrap_or_default();
    let actions = ["list", "add", "remove", "change", "export"];
    let Some(action) = actions.iter().find(|action| action.eq_ignore_ascii_case(&word)) else {
        return Err(wrong_arguments(format!(
            "the command key needs one of {} and a destination",
            actions.join(", ")
        )));
    };
    let store = Target::at(invocation, 1)?.store;
    let unlock = passphrase::unlock(&invocation.options)?.ok_or_else(|| {
        failed(
            ids::PASSPHRASE_ADDITION_NOT_SUPPORTED,
            "a backup without encryption has no keys, and encryption cannot be added to it later",
        )
    })?;
    let repository = Repository::open(store, Some(&unlock)).await?;
    let keys = known_keys(&repository, &unlock).await?;
    match *action {
        "list" => list(invocation, &keys)?,
        "add" => {
            let (holder, content) = new_key(invocation, &repository)?;
            add(invocation, &repository, &content, &holder).await?;
        }
        "change" => change(invocation, &repository, &keys).await?,
        "remove" => remove(invocation, &repository, &keys).await?,
        _ => export(invocation, &repository)?,
    }
    CommandResult::new(invocation).finish(invocation, None, &ProgressSnapshot::default(), ExitCode::Success)
}

async fn known_keys(repository: &Repository, unlock: &Unlock) -> Outcome<Vec<KnownKey>> {
    let listing = repository.store.list(ObjectKind::Key).await?;
    let mut keys = Vec::with_capacity(listing.objects.len());
    for info in listing.objects {
        let id = KeyId(info.name.id());
        if info.size_bytes > key_file::KEY_FILE_SIZE_BYTES_MAX {
            keys.push(KnownKey {
                id,
                holder: "unreadable".to_owned(),
                content: None,
            });
            continue;
        }
        let object = repository.store.get(&info.name, None).await?;
        let holder = match key_file::holder_kind(&object) {
            Ok(HolderKind::Passphrase) => "passphrase".to_owned(),
            Ok(HolderKind::Recipients(1)) => "1 recipient".to_owned(),
            Ok(HolderKind::Recipients(count)) => format!("{count} recipients"),
            Err(_) => "unreadable".to_owned(),
        };
        let content = key_file::open(&object, unlock).ok();
        keys.push(KnownKey { id, holder, content });
    }
    Ok(keys)
}

fn list(invocation: &Invocation, keys: &[KnownKey]) -> Outcome<()> {
    for key in keys {
        let (rights, label, created) = match &key.content {
            Some(content) => (
                rights(content.kind),
                content.label.as_str(),
                content.created.as_str(),
            ),
            None => ("?", "", ""),
        };
        let mine = if key.content.is_some() {
            "  (opened with the key at hand)"
        } else {
            ""
        };
        invocation.console.row(format!(
            "{}  {}  {rights}  {label}  {}{mine}",
            key.id,
            key.holder,
            text::iso_time(created)
        ))?;
        invocation.console.json(&json!({
            "type": "key", "id": key.id.to_string(), "holder": key.holder, "rights": rights,
            "label": label, "created": created, "opened": key.content.is_some(),
        }))?;
    }
    Ok(())
}

const fn rights(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Full => "full",
        KeyKind::WriteOnly => "write-only",
    }
}

/// The content of a further key, and for whom it is.
fn new_key(invocation: &Invocation, repository: &Repository) -> Outcome<(KeyHolder, KeyContent)> {
    let options = &invocation.options;
    let Some(own) = repository.key.as_ref().filter(|key| key.kind == KeyKind::Full) else {
        return Err(RepositoryError::WriteOnlyKey {
            operation: "making keys",
        }
        .into());
    };
    let label = options.string("label").unwrap_or_default().to_owned();
    let created = invocation.now().timestamp().to_string();
    let content = if options.bool("write-only") {
        own.write_only(label, created)
    } else {
        own.relabelled(label, created)
    };
    let holder = match passphrase::recipient(options) {
        Some(recipient) => recipient,
        None => KeyHolder::Passphrase(passphrase::new_passphrase(options)?),
    };
    Ok((holder, content))
}

fn seal(content: &KeyContent, holder: &KeyHolder) -> Outcome<Vec<u8>> {
    key_file::seal(content, holder).map_err(|error| failed(ids::INVALID_KEY, error.to_string()))
}

async fn add(
    invocation: &Invocation,
    repository: &Repository,
    content: &KeyContent,
    holder: &KeyHolder,
) -> Outcome<()> {
    let object = seal(content, holder)?;
    if invocation.is_dry_run() {
        return Ok(invocation.console.line("Would add a key")?);
    }
    let id = KeyId(random_id().map_err(|error| failed(ids::INVALID_KEY, error.to_string()))?);
    repository.store.put(&id.into(), object.into()).await?;
    invocation
        .console
        .line(format!("Added the {} key {id}", rights(content.kind)))?;
    invocation
        .console
        .json(&json!({"type": "key-added", "id": id.to_string(), "rights": rights(content.kind)}))?;
    Ok(())
}

/// Adds the new key first: a crash in between leaves two keys, never none.
async fn change(invocation: &Invocation, repository: &Repository, keys: &[KnownKey]) -> Outcome<()> {
    let (holder, content) = new_key(invocation, repository)?;
    if content.kind != KeyKind::Full {
        return Err(wrong_arguments(
            "a full key cannot be changed into a write-only one; add the write-only key and remove the other",
        ));
    }
    add(invocation, repository, &content, &holder).await?;
    for key in keys.iter().filter(|key| key.content.is_some()) {
        delete(invocation, repository, key.id).await?;
    }
    Ok(())
}

async fn remove(invocation: &Invocation, repository: &Repository, keys: &[KnownKey]) -> Outcome<()> {
    let wanted = invocation
        .argument(2)
        .map(OsStr::to_string_lossy)
        .filter(|id| !id.is_empty())
        .ok_or_else(|| wrong_arguments("name the key to remove by the id that 'key list' shows"))?;
    let mut matching = keys
        .iter()
        .filter(|key| key.id.to_string().starts_with(wanted.as_ref()));
    let (Some(key), None) = (matching.next(), matching.next()) else {
        return Err(failed(
            ids::INVALID_KEY,
            format!("not exactly one key has an id that begins with {wanted:?}; 'key list' shows all"),
        ));
    };
    let is_full = |known: &KnownKey| {
        known
            .content
            .as_ref()
            .is_some_and(|content| content.kind == KeyKind::Full)
    };
    // Whether the holders of other keys still have them, nobody here can know.
    if !keys.iter().any(|other| other.id != key.id && is_full(other)) {
        return Err(failed(
            ids::PASSPHRASE_REMOVAL_NOT_SUPPORTED,
            "no other full key opens with the passphrase or identity at hand, so that removing this one could lock \
             everybody out; open with the key that shall stay",
        ));
    }
    delete(invocation, repository, key.id).await
}

async fn delete(invocation: &Invocation, repository: &Repository, id: KeyId) -> Outcome<()> {
    if invocation.is_dry_run() {
        return Ok(invocation.console.line(format!("Would remove the key {id}"))?);
    }
    repository.store.delete(&ObjectName::from(id)).await?;
    invocation.console.line(format!("Removed the key {id}"))?;
    invocation
        .console
        .json(&json!({"type": "key-removed", "id": id.to_string()}))?;
    Ok(())
}

/// Writes a key file beside the repository, to be kept where the target cannot be lost with it.
fn export(invocation: &Invocation, repository: &Repository) -> Outcome<()> {
    let path = invocation
        .argument(2)
        .ok_or_else(|| wrong_arguments("name the file to write the key to"))?;
    let path = invocation.environment.current_folder.join(path);
    let (holder, content) = new_key(invocation, repository)?;
    let object = seal(&content, &holder)?;
    std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(&object).and_then(|()| file.sync_all()))
        .map_err(|error| {
            failed(
                ids::UNEXPECTED_FAILURE,
                format!("failed to write the key file {}: {error}", path.display()),
            )
        })?;
    invocation.console.line(format!(
        "Wrote the {} key to {}",
        rights(content.kind),
        path.display()
    ))?;
    Ok(())
}
