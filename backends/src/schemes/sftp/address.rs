// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From a destination as users write it to what an SFTP store needs to know.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

use super::{
    arguments::{DEFAULT_PORT, KEEPALIVE_DEFAULT, LoginKey, SILENCE_DEFAULT, SILENCE_MIN, SftpArguments},
    host_key::HostKeyPolicy,
};
use crate::{address::StoreAddress, registry::OpenError};

/// The name of the scheme in messages, whichever of its two spellings was used.
const SCHEME: &str = "ssh";
/// Stands before a key that is given in place of its file.
const KEY_TEXT_MARK: &str = "sshkey://";
/// Keys that all users of this machine know.
const KNOWN_HOSTS_OF_ALL: &str = "/etc/ssh/ssh_known_hosts";

/// The part of `read-write-timeout` for which a connection may be silent.
const SILENCE_PART: f64 = 0.8;

/// What the environment says about the user who runs the program.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) home: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) agent: Option<PathBuf>,
}

impl Environment {
    pub(super) fn of_this_process() -> Self {
        let text = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let user = text("LOGNAME").or_else(|| text("USER"));
        Self {
            home: text("HOME").map(PathBuf::from),
            user: user.and_then(|user| user.into_string().ok()),
            agent: text("SSH_AUTH_SOCK").map(PathBuf::from),
        }
    }
}

/// Takes an address apart.
pub(super) fn arguments(
    address: &StoreAddress,
    environment: &Environment,
) -> Result<SftpArguments, OpenError> {
    let options = &address.options;
    let missing = |what| OpenError::Missing { scheme: SCHEME, what };
    if address.host.is_empty() {
        return Err(missing("a host: ssh://user@host/folder"));
    }
    let user = address.user.clone().or_else(|| environment.user.clone());
    let agent = environment.agent.clone();
    Ok(SftpArguments {
        host: address
            .host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned(),
        port: address.port.unwrap_or(DEFAULT_PORT),
        user: user.ok_or_else(|| missing("a user name: ssh://user@host/folder, or --auth-username"))?,
        password: address.password.clone(),
        key: key(address)?,
        agent: agent.filter(|_| !options.flag("ssh-disable-agent")),
        host_key: host_key(address, environment)?,
        root: root(address)?,
        silence: silence(address),
        keepalive: match options.duration("ssh-keepalive") {
            None => Some(KEEPALIVE_DEFAULT),
            Some(Duration::ZERO) => None,
            Some(interval) => Some(interval.max(Duration::from_secs(1))),
        },
        limits: Arc::clone(&address.limits),
    })
}

/// Zero means for ever, as with all time-outs of the command line. A connection is given up before those who wait for single
/// requests give up theirs, so that they learn what it was and get another one.
fn silence(address: &StoreAddress) -> Duration {
    let options = &address.options;
    match options.duration("ssh-operation-timeout").or_else(|| {
        let waited = options.duration("read-write-timeout");
        waited.map(|time| time.mul_f64(SILENCE_PART).max(time.min(SILENCE_MIN)))
    }) {
        None => SILENCE_DEFAULT,
        Some(Duration::ZERO) => Duration::MAX,
        Some(chosen) => chosen.max(SILENCE_MIN),
    }
}

fn key(address: &StoreAddress) -> Result<Option<LoginKey>, OpenError> {
    let options = &address.options;
    if let Some(text) = options.secret("ssh-key") {
        return Ok(Some(LoginKey::Text(key_text(text.expose_secret()))));
    }
    let Some(path) = options
        .path("ssh-keyfile")
        .filter(|path| !path.as_os_str().is_empty())
    else {
        return Ok(None);
    };
    // Configurations made by others keep the key itself in the option for its file.
    match path.to_str().and_then(|text| text.split_once(KEY_TEXT_MARK)) {
        Some((_, encoded)) => Ok(Some(LoginKey::Text(percent_decoded(encoded.trim()).into()))),
        None => Ok(Some(LoginKey::File(path.to_owned()))),
    }
}

/// The key behind `sshkey://`, URL-encoded; without that mark it stands as it is.
fn key_text(text: &str) -> SecretString {
    let Some(encoded) = text.trim().strip_prefix(KEY_TEXT_MARK) else {
        return match text.contains("-----") || !text.contains('%') {
            true => SecretString::from(text.to_owned()),
            false => SecretString::from(percent_decoded(text)),
        };
    };
    SecretString::from(percent_decoded(encoded))
}

fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn host_key(address: &StoreAddress, environment: &Environment) -> Result<HostKeyPolicy, OpenError> {
    let options = &address.options;
    // A fingerprint that was given is checked, also when anything else would be accepted.
    if let Some(text) = options.text("ssh-fingerprint") {
        return HostKeyPolicy::fingerprints(text).map_err(|message| OpenError::InvalidOption {
            scheme: SCHEME,
            option: "ssh-fingerprint",
            message,
        });
    }
    if options.flag("ssh-accept-any-fingerprints") {
        return Ok(HostKeyPolicy::any());
    }
    let own = environment.home.iter().map(|home| home.join(".ssh/known_hosts"));
    Ok(HostKeyPolicy::known_hosts(
        own.chain([KNOWN_HOSTS_OF_ALL.into()]).collect(),
    ))
}

/// The folder at the server: absolute, unless it is asked to begin where the login does.
fn root(address: &StoreAddress) -> Result<Bytes, OpenError> {
    let mut path = address.path.clone();
    if let Some(folder) = address.sub_folder()? {
        path.push("/");
        path.push(folder);
    }
    let bytes = path.as_bytes();
    let parts: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
        .collect();
    if bytes.contains(&0) || parts.iter().any(|part| matches!(*part, b"." | b"..")) {
        return Err(OpenError::InvalidPath {
            scheme: SCHEME,
            path: address.path.to_string_lossy().into_owned(),
            message: "a path at a target holds no '.' or '..' and no zero byte".to_owned(),
        });
    }
    let joined = OsString::from_vec(parts.join(&b'/'));
    let is_relative = address.options.flag("ssh-relative-path");
    let root = match (is_relative, joined.is_empty()) {
        (true, true) => b".".to_vec(),
        (true, false) => joined.into_vec(),
        (false, _) => [b"/", joined.as_bytes()].concat(),
    };
    Ok(Bytes::from(root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{OptionValue, StoreOptions};

    fn address(options: StoreOptions) -> StoreAddress {
        StoreAddress {
            scheme: "ssh".to_owned(),
            user: Some("me".to_owned()),
            host: "example.org".to_owned(),
            path: "backup//laptop/".into(),
            options,
            ..StoreAddress::default()
        }
    }

    fn of(address: &StoreAddress) -> Result<SftpArguments, OpenError> {
        let environment = Environment {
            home: Some("/home/me".into()),
            user: None,
            agent: Some("/run/agent".into()),
        };
        arguments(address, &environment)
    }

    #[test]
    fn paths_are_absolute_unless_asked_to_be_relative() {
        let relative = StoreOptions::default().with("ssh-relative-path", OptionValue::Flag(true));
        let mut given = address(StoreOptions::default());
        assert_eq!(of(&given).unwrap().root, "/backup/laptop");
        assert_eq!(
            of(&given).unwrap().location(),
            "ssh://me@example.org/backup/laptop"
        );
        given.prefix = "two".to_owned();
        assert_eq!(of(&given).unwrap().root, "/backup/laptop/two");
        given = address(relative);
        assert_eq!(of(&given).unwrap().root, "backup/laptop");
        given.path = "/".into();
        assert_eq!(of(&given).unwrap().root, ".");
        given.path = "x/../y".into();
        assert!(matches!(of(&given), Err(OpenError::InvalidPath { .. })));
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_by_its_option() {
        let mut given = address(StoreOptions::default());
        given.user = None;
        assert!(of(&given).unwrap_err().to_string().contains("--auth-username"));
        given = address(StoreOptions::default());
        given.host = String::new();
        assert!(of(&given).unwrap_err().to_string().contains("ssh://user@host"));
        let wrong = StoreOptions::default().with_text("ssh-fingerprint", "rubbish");
        let error = of(&address(wrong)).unwrap_err().to_string();
        assert!(
            error.contains("--ssh-fingerprint") && error.contains("ssh-keyscan"),
            "{error}"
        );
    }

    #[test]
    fn keys_come_from_a_file_or_as_text_in_either_option() {
        let text = "sshkey://-----BEGIN%20X-----%0Aabc%2B%0A";
        let expected = "-----BEGIN X-----\nabc+\n";
        let as_key = StoreOptions::default().with("ssh-key", OptionValue::Secret(text.into()));
        let as_file = StoreOptions::default().with("ssh-keyfile", OptionValue::Path(text.into()));
        for options in [as_key, as_file] {
            match of(&address(options)).unwrap().key {
                Some(LoginKey::Text(text)) => assert_eq!(text.expose_secret(), expected),
                other => panic!("{other:?}"),
            }
        }
        let file = StoreOptions::default().with("ssh-keyfile", OptionValue::Path("/home/me/key".into()));
        assert!(matches!(of(&address(file)).unwrap().key, Some(LoginKey::File(_))));
    }

    #[test]
    fn agent_and_times_follow_their_options() {
        let arguments = of(&address(StoreOptions::default())).unwrap();
        assert_eq!(arguments.agent, Some("/run/agent".into()));
        assert_eq!(arguments.silence, SILENCE_DEFAULT);
        let options = StoreOptions::default()
            .with("ssh-disable-agent", OptionValue::Flag(true))
            .with("ssh-keepalive", OptionValue::Duration(Duration::ZERO))
            .with(
                "ssh-operation-timeout",
                OptionValue::Duration(Duration::from_secs(7)),
            );
        let arguments = of(&address(options)).unwrap();
        assert_eq!((arguments.agent, arguments.keepalive), (None, None));
        assert_eq!(arguments.silence, Duration::from_secs(7));
        for (waited, silence) in [(30, 24), (2, 2), (0, u64::MAX)] {
            let waited = OptionValue::Duration(Duration::from_secs(waited));
            let arguments = of(&address(
                StoreOptions::default().with("read-write-timeout", waited),
            ))
            .unwrap();
            assert_eq!(arguments.silence.as_secs(), silence);
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let mut given =
            address(StoreOptions::default().with("ssh-key", OptionValue::Secret("hunter2".into())));
        given.password = Some("hunter2".into());
        let arguments = of(&given).unwrap();
        assert!(!format!("{arguments:?} {}", arguments.location()).contains("hunter2"));
    }
}
