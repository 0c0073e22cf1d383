// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `key`: who may open a repository. Keys are added and removed without touching any data (F-7).

use std::{ffi::OsStr, io::Write, os::unix::fs::OpenOptionsExt, sync::Arc};

use duplicati_actors::events::ProgressSnapshot;
use duplicati_engine::{
    crypto::{
        key_file::{self, HolderKind, KeyContent, KeyHolder, KeyKind, Unlock},
        secret::random_id,
    },
    id::KeyId,
    repository::{KEY_FILES_MAX, KeyTries, Repository, RepositoryError},
    storage::{ObjectKind, ObjectName, StoreErrorKind},
};
use duplicati_programs_common::{ExitCode, error_id::ids};
use serde_json::json;

use crate::{
    connection::{Target, trusted},
    failure::{Outcome, failed, wrong_arguments},
    invocation::Invocation,
    output::text,
    passphrase,
    results::CommandResult,
    trust::Standing,
};

/// One key file as far as this machine can look into it.
struct KnownKey {
    id: KeyId,
    holder: String,
    /// Whether several recipients open it.
    is_shared: bool,
    /// Its content, when the passphrase or identity at hand opens it.
    content: Option<KeyContent>,
}

pub async fn run(invocation: &Invocation) -> Outcome<ExitCode> {
    // The word comes before the destination here; the destination is looked for behind it.
    let word = invocation
        .argument(0)
        .map(OsStr::to_string_lossy)
        .unwrap_or_default();
    let actions = ["list", "add", "remove", "change", "export", "trust"];
    let Some(action) = actions.iter().find(|action| action.eq_ignore_ascii_case(&word)) else {
        return Err(wrong_arguments(format!(
            "the command key needs one of {} and a destination",
            actions.join(", ")
        )));
    };
    let target = Target::at(invocation, 1)?;
    let Some(unlock) = passphrase::unlock(&invocation.options)?.map(Arc::new) else {
        if *action == "trust" && invocation.argument(2).is_none() {
            trust(invocation, target, None, &[]).await?;
            return CommandResult::new(invocation).finish(
                invocation,
                None,
                &ProgressSnapshot::default(),
                ExitCode::Success,
            );
        }
        return Err(failed(
            ids::PASSPHRASE_ADDITION_NOT_SUPPORTED,
            "a backup without encryption has no keys, and encryption cannot be added to it later",
        ));
    };
    let pin = target.pin(invocation)?;
    let store = Arc::clone(&target.store);
    let repository = Repository::open_trusted(store, Some(&unlock), trusted(pin.as_ref())).await?;
    let keys = known_keys(invocation, &repository, &unlock).await?;
    let doubt = Standing::of(&repository, pin.as_ref())
        .doubt(&target.destination.to_string(), invocation.options.path("dbpath"));
    match (*action, doubt) {
        ("list", doubt) => {
            list(invocation, &repository, &keys)?;
            if let Some(doubt) = doubt {
                invocation.log.warning("RepositoryChanged", &doubt);
            }
        }
        ("trust", _) => trust(invocation, target, Some(unlock), &keys).await?,
        ("remove", _) => remove(invocation, &repository, &keys).await?,
        // A key made from a forged one would carry the forgery on.
        (_, Some(doubt)) => return Err(failed(ids::REPOSITORY_CHANGED, doubt)),
        ("add", None) => {
            let (holder, content) = new_key(invocation, &repository)?;
            add(invocation, &repository, &content, &holder).await?;
        }
        ("change", None) => change(invocation, &repository, &keys).await?,
        _ => export(invocation, &repository)?,
    }
    CommandResult::new(invocation).finish(invocation, None, &ProgressSnapshot::default(), ExitCode::Success)
}

async fn known_keys(
    invocation: &Invocation,
    repository: &Repository,
    unlock: &Unlock,
) -> Outcome<Vec<KnownKey>> {
    let listing = repository.store.list(ObjectKind::Key).await?;
    let mut keys = Vec::with_capacity(listing.objects.len());
    let mut objects = Vec::new();
    for (place, info) in listing.objects.into_iter().enumerate() {
        let id = KeyId(info.name.id());
        let unread = |holder: &str| KnownKey {
            id,
            holder: holder.to_owned(),
            is_shared: false,
            content: None,
        };
        if info.size_bytes > key_file::KEY_FILE_SIZE_BYTES_MAX {
            keys.push(unread("unreadable"));
            continue;
        }
        if place >= KEY_FILES_MAX {
            keys.push(unread("not tried"));
            continue;
        }
        let object = match repository.store.get(&info.name, None).await {
            Ok(object) => object,
            Err(error) if error.kind == StoreErrorKind::NotFound => continue,
            Err(error) if matches!(error.kind, StoreErrorKind::Unreadable | StoreErrorKind::Truncated) => {
                invocation.log.warning("KeyUnreadable", &error.to_string());
                keys.push(unread("unreadable"));
                continue;
            }
            Err(error) => return Err(RepositoryError::from(error).into()),
        };
        let holder = key_file::holder_kind(&object);
        let is_shared = matches!(holder, Ok(HolderKind::Recipients(count)) if count > 1);
        let holder = match holder {
            Ok(HolderKind::Passphrase) => "passphrase".to_owned(),
            Ok(HolderKind::Recipients(1)) => "1 recipient".to_owned(),
            Ok(HolderKind::Recipients(count)) => format!("{count} recipients"),
            Err(_) => "unreadable".to_owned(),
        };
        objects.push((keys.len(), object));
        keys.push(KnownKey {
            id,
            holder,
            is_shared,
            content: None,
        });
    }
    // As when a repository is opened.
    objects.sort_by_key(|(_, object)| KeyTries::is_costly(unlock, object));
    let mut tries = KeyTries::default();
    for (place, object) in objects {
        if tries.admits(unlock, &object) {
            // One of another repository that the same holder opens is no key here.
            keys[place].content = key_file::open(&object, unlock)
                .ok()
                .filter(|content| repository.is_own_key(content));
        }
    }
    Ok(keys)
}

fn list(invocation: &Invocation, repository: &Repository, keys: &[KnownKey]) -> Outcome<()> {
    let own = repository.key.as_ref().map(KeyContent::recipients);
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
        let seals_for_others = key
            .content
            .as_ref()
            .is_some_and(|content| Some(content.recipients()) != own);
        let others = match seals_for_others {
            true => "  (seals for other recipients)",
            false => "",
        };
        invocation.console.row(format!(
            "{}  {}  {rights}  {label}  {}{mine}{others}",
            key.id,
            key.holder,
            text::iso_time(created)
        ))?;
        invocation.console.json(&json!({
            "type": "key", "id": key.id.to_string(), "holder": key.holder, "rights": rights,
            "label": label, "created": created, "opened": key.content.is_some(),
            "other_recipients": seals_for_others,
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

/// Adds a key and removes the one that it replaces. The new one comes first: a crash in between leaves two keys, never none. Only keys that are named go, or the
/// one full key that opens with what is at hand and is nobody else's.
async fn change(invocation: &Invocation, repository: &Repository, keys: &[KnownKey]) -> Outcome<()> {
    let (holder, mut content) = new_key(invocation, repository)?;
    let replaced = match invocation.argument(2) {
        Some(_) => named(invocation, keys)?,
        None => only_own(keys)?,
    };
    let Some(old) = &replaced.content else {
        return Err(failed(
            ids::INVALID_KEY,
            format!(
                "the key {} does not open with the passphrase or identity at hand, so nobody here knows what it may do; use 'key add' and 'key remove'",
                replaced.id
            ),
        ));
    };
    if old.kind == KeyKind::Full && content.kind != KeyKind::Full {
        return Err(wrong_arguments(
            "a full key cannot be changed into a write-only one; add the write-only key and remove the other",
        ));
    }
    if !invocation.options.is_given("label") {
        content.label.clone_from(&old.label);
    }
    if old.kind == KeyKind::WriteOnly {
        // It does not get more rights by being changed.
        content = content.write_only(content.label.clone(), content.created.clone());
    }
    add(invocation, repository, &content, &holder).await?;
    delete(invocation, repository, replaced.id).await?;
    for key in keys.iter().filter(|key| key.id != replaced.id) {
        if let Some(content) = &key.content {
            invocation.console.line(format!(
                "The {} key {} ({}) still opens as before; 'key remove' removes it",
                rights(content.kind),
                key.id,
                content.label
            ))?;
        }
    }
    Ok(())
}

/// The full key that opens with what is at hand, when there is no doubt that nobody else depends on it.
fn only_own(keys: &[KnownKey]) -> Outcome<&KnownKey> {
    let mut own = keys.iter().filter(|key| is_full(key));
    let names = || {
        let names: Vec<_> = keys
            .iter()
            .filter(|key| is_full(key))
            .map(|key| key.id.to_string())
            .collect();
        names.join(", ")
    };
    match (own.next(), own.next()) {
        (Some(key), None) if key.is_shared => Err(failed(
            ids::PASSPHRASE_CHANGE_NOT_SUPPORTED,
            format!(
                "the key {} opens for several recipients, and others may depend on it; name it behind the destination if it shall go, or use 'key add'",
                key.id
            ),
        )),
        (Some(key), None) => Ok(key),
        _ => Err(failed(
            ids::PASSPHRASE_CHANGE_NOT_SUPPORTED,
            format!(
                "several full keys open with the passphrase or identity at hand ({}), and some may be other people's; name the one that shall be replaced behind \
                 the destination, and remove others with 'key remove'",
                names()
            ),
        )),
    }
}

fn is_full(known: &KnownKey) -> bool {
    known
        .content
        .as_ref()
        .is_some_and(|content| content.kind == KeyKind::Full)
}

/// The key whose id the command line names, in whole or by its beginning.
fn named<'a>(invocation: &Invocation, keys: &'a [KnownKey]) -> Outcome<&'a KnownKey> {
    let wanted = invocation
        .argument(2)
        .map(OsStr::to_string_lossy)
        .filter(|id| !id.is_empty())
        .ok_or_else(|| wrong_arguments("name the key by the id that 'key list' shows"))?;
    let mut matching = keys
        .iter()
        .filter(|key| key.id.to_string().starts_with(wanted.as_ref()));
    match (matching.next(), matching.next()) {
        (Some(key), None) => Ok(key),
        _ => Err(failed(
            ids::INVALID_KEY,
            format!("not exactly one key has an id that begins with {wanted:?}; 'key list' shows all"),
        )),
    }
}

/// Makes this machine use the repository as it is now, after it was refused.
async fn trust(
    invocation: &Invocation,
    target: Target,
    unlock: Option<Arc<Unlock>>,
    keys: &[KnownKey],
) -> Outcome<()> {
    let key = match invocation.argument(2) {
        Some(_) => Some(named(invocation, keys)?),
        None => None,
    };
    if let Some(key) = key
        && key.content.is_none()
    {
        return Err(failed(
            ids::INVALID_KEY,
            format!(
                "the key {} does not open with the passphrase or identity at hand",
                key.id
            ),
        ));
    }
    if invocation.is_dry_run() {
        return Ok(invocation
            .console
            .line("Would use the repository as it is from now on")?);
    }
    let connection = target.trust(invocation, unlock, key.map(|key| key.id)).await?;
    let repository = &connection.repository;
    if !repository.rival_keys.is_empty() {
        invocation.log.warning(
            "KeysDisagree",
            &format!(
                "other key files open as well and seal for other recipients: {}; remove what is not yours",
                repository
                    .rival_keys
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        );
    }
    let (id, key) = (repository.config.repository_id, repository.key_id);
    invocation.console.line(format!(
        "This machine uses repository {id} from now on{}",
        key.map(|key| format!(", with the recipients of key {key}"))
            .unwrap_or_default()
    ))?;
    invocation.console.json(&json!({
        "type": "repository-trusted", "id": id.to_string(), "key": key.map(|key| key.to_string()),
    }))?;
    Ok(())
}

async fn remove(invocation: &Invocation, repository: &Repository, keys: &[KnownKey]) -> Outcome<()> {
    let key = named(invocation, keys)?;
    let own = repository.key.as_ref().map(KeyContent::recipients);
    let stays = |other: &KnownKey| {
        other.id != key.id && is_full(other) && other.content.as_ref().map(KeyContent::recipients) == own
    };
    // Whether the holders of other keys still have them, nobody here can know.
    if !keys.iter().any(stays) {
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
