// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sessions that are remembered between calls, one per server.

use std::{
    fs::File,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use serde_json::{Value, json};

/// What is remembered of a session. Has no `Debug`: it is a secret.
#[derive(Clone)]
pub struct Remembered {
    pub refresh_token: String,
    pub nonce: String,
}

fn read(path: &Path) -> Vec<Value> {
    std::fs::read(path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Vec<Value>>(&bytes).ok())
        .unwrap_or_default()
}

/// The session with a server.
pub fn find(path: &Path, url: &str) -> Option<Remembered> {
    let all = read(path);
    let found = all.iter().find(|entry| entry["HostUrl"] == url)?;
    Some(Remembered {
        refresh_token: found["RefreshToken"]
            .as_str()
            .filter(|token| !token.is_empty())?
            .to_owned(),
        nonce: found["RefreshNonce"].as_str().unwrap_or_default().to_owned(),
    })
}

/// Remembers a session, or forgets it.
pub fn store(
    path: &Path,
    url: &str,
    data_folder: &Path,
    session: Option<&Remembered>,
) -> std::io::Result<()> {
    let mut all = read(path);
    all.retain(|entry| entry["HostUrl"] != url);
    if let Some(session) = session {
        all.push(json!({
            "RefreshToken": session.refresh_token, "RefreshNonce": session.nonce, "HostUrl": url,
            "ServerDatafolder": data_folder.display().to_string(),
        }));
    }
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    // A file beside it that takes its place: a call that is cut off leaves the old one.
    let beside = path.with_extension(format!("json.{}", std::process::id()));
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(Value::Array(all).to_string().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_a_session_of_its_own() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("sub/settings.json");
        let session = |token: &str| Remembered {
            refresh_token: token.to_owned(),
            nonce: "n".to_owned(),
        };
        for (url, token) in [("http://a", "1"), ("http://b", "2"), ("http://a", "3")] {
            store(&path, url, folder.path(), Some(&session(token))).expect("written");
        }
        let token = |url: &str| find(&path, url).map(|session| session.refresh_token);
        assert_eq!(token("http://a").as_deref(), Some("3"));
        store(&path, "http://a", folder.path(), None).expect("written");
        assert_eq!(token("http://a"), None);
        assert_eq!(token("http://b").as_deref(), Some("2"));
    }
}
