// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One round: upload, list, download, overwrite, delete, list again, and a file that is missing.

use std::{collections::BTreeMap, future::Future, time::Duration};

use bytes::Bytes;
use duplicati_backends::Files;
use duplicati_engine::storage::{StoreError, StoreErrorKind};
use rand::Rng;

use crate::settings::Settings;

/// Between two looks at a listing that is not right yet.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Characters of names.
const PLAIN: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
/// Further characters of names, on request.
const EXTENDED: &str = "._ '(),&+=@!äöüéñß漢字кир";

struct TestFile {
    name: String,
    size_bytes: u64,
    hash: blake3::Hash,
}

/// Runs one round; an error is what went wrong, as a sentence.
pub async fn run(files: &dyn Files, settings: &Settings) -> Result<(), String> {
    let mut stored = BTreeMap::new();
    for number in 0..settings.number_of_files {
        let file = upload(files, settings, number).await?;
        stored.insert(file.name.clone(), file);
    }
    tokio::time::sleep(settings.wait_after_upload).await;
    let outcome = examine(files, settings, &stored).await;
    // What was written is removed also after a failure.
    for name in stored.keys() {
        let deleted = again(settings, || files.delete_file(name)).await;
        if outcome.is_ok() {
            deleted.map_err(|error| format!("failed to delete: {error}"))?;
        }
    }
    outcome?;
    tokio::time::sleep(settings.wait_after_delete).await;
    until_listed(files, settings, &BTreeMap::new()).await?;
    let missing = format!("missing-{:016x}", rand::random::<u64>());
    match files.read_file(&missing).await {
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("a missing file is not told as such: {error}")),
        Ok(_) => Err(format!(
            "the target answers for the file {missing}, which does not exist"
        )),
    }
}

async fn upload(files: &dyn Files, settings: &Settings, number: u32) -> Result<TestFile, String> {
    let name = random_name(settings, number);
    let content = random_content(settings);
    if !settings.skip_overwrite_test && number == 0 {
        again(settings, || {
            files.write_file(&name, Bytes::from_static(b"to be overwritten"))
        })
        .await
        .map_err(|error| format!("failed to upload: {error}"))?;
    }
    again(settings, || files.write_file(&name, content.clone()))
        .await
        .map_err(|error| format!("failed to upload: {error}"))?;
    println!("  uploaded {name:?}, {} bytes", content.len());
    Ok(TestFile {
        size_bytes: content.len() as u64,
        hash: blake3::hash(&content),
        name,
    })
}

async fn examine(
    files: &dyn Files,
    settings: &Settings,
    stored: &BTreeMap<String, TestFile>,
) -> Result<(), String> {
    let sizes = stored
        .values()
        .map(|file| (file.name.clone(), file.size_bytes))
        .collect();
    until_listed(files, settings, &sizes).await?;
    for file in stored.values() {
        let content = again(settings, || files.read_file(&file.name))
            .await
            .map_err(|error| format!("failed to download: {error}"))?;
        if blake3::hash(&content) != file.hash {
            return Err(format!(
                "the file {:?} came back with {} bytes and another content than the {} bytes uploaded",
                file.name,
                content.len(),
                file.size_bytes
            ));
        }
        println!("  downloaded {:?}", file.name);
    }
    Ok(())
}

async fn until_listed(
    files: &dyn Files,
    settings: &Settings,
    wanted: &BTreeMap<String, u64>,
) -> Result<(), String> {
    let mut looks = 0;
    loop {
        let entries = again(settings, || files.list_files(false))
            .await
            .map_err(|error| format!("failed to list: {error}"))?;
        let listed: BTreeMap<String, u64> = entries
            .into_iter()
            .filter(|entry| !entry.is_folder)
            .map(|entry| (entry.path, entry.size_bytes))
            .collect();
        if listed == *wanted {
            return Ok(());
        }
        if looks >= settings.verification_retries {
            return Err(difference(&listed, wanted));
        }
        looks += 1;
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
}

fn difference(listed: &BTreeMap<String, u64>, wanted: &BTreeMap<String, u64>) -> String {
    for (name, size) in wanted {
        match listed.get(name) {
            None => return format!("the file {name:?} is not listed"),
            Some(other) if other != size => {
                return format!("the file {name:?} is listed with {other} bytes instead of {size}");
            }
            Some(_) => {}
        }
    }
    let surplus = listed.keys().find(|name| !wanted.contains_key(*name));
    format!(
        "the file {:?} is listed and should not be there",
        surplus.map_or("", String::as_str)
    )
}

async fn again<T, F: Future<Output = Result<T, StoreError>>>(
    settings: &Settings,
    mut request: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let mut tries = 0;
    loop {
        match request().await {
            Err(_) if tries < settings.failure_retries => tries += 1,
            other => return other,
        }
    }
}

fn random_name(settings: &Settings, number: u32) -> String {
    let mut random = rand::rng();
    let length = random.random_range(settings.min_filename_length..=settings.max_filename_length);
    let inner: Vec<char> = if settings.extended_chars {
        PLAIN.chars().chain(EXTENDED.chars()).collect()
    } else {
        PLAIN.chars().collect()
    };
    let plain: Vec<char> = PLAIN.chars().collect();
    // The number makes names differ also on targets that do not tell cases apart.
    let mut name = format!("{number}");
    while name.len() < length {
        let is_last = name.len() + 4 >= length;
        let letters = if is_last { &plain } else { &inner };
        name.push(letters[random.random_range(0..letters.len())]);
    }
    name
}

fn random_content(settings: &Settings) -> Bytes {
    let mut random = rand::rng();
    let size = random.random_range(settings.min_file_size..=settings.max_file_size);
    let mut content = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    random.fill(content.as_mut_slice());
    Bytes::from(content)
}
