// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Proving who we are: key, password, agent.
//!
//! A password that opens an encrypted key is never sent to the server. What was given is tried before the agent.

use std::sync::Arc;

use duplicati_engine::storage::StoreErrorKind;
use russh::{
    client::{AuthResult, Handle, KeyboardInteractiveAuthResponse},
    keys::{
        Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, agent::AgentIdentity,
        agent::client::AgentClient,
    },
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    arguments::{LoginKey, SftpArguments},
    connection::HostKeyCheck,
    errors::Trouble,
};

/// Keys of the agent that are tried; servers end the conversation after six tries by default.
const AGENT_KEYS_MAX: usize = 4;
/// Questions of the server that are answered, rounds.
const QUESTION_ROUNDS_MAX: usize = 8;
/// Largest key file that is read, bytes.
const KEY_FILE_BYTES_MAX: u64 = 256 << 10;

/// The keys and passwords of a login, read and opened once.
pub(super) struct Credentials {
    key: Option<Arc<PrivateKey>>,
    /// Only what may be sent to the server.
    password: Option<SecretString>,
}

impl Credentials {
    /// Reads and opens the key, where one is given.
    pub(super) fn load(arguments: &SftpArguments) -> Result<Self, Trouble> {
        let (text, what, option) = match &arguments.key {
            None => {
                return Ok(Self {
                    key: None,
                    password: arguments.password.clone(),
                });
            }
            Some(LoginKey::Text(text)) => {
                (text.clone(), "the key given as --ssh-key".to_owned(), "--ssh-key")
            }
            Some(LoginKey::File(path)) => {
                let what = format!("the key file {}", path.display());
                let text = read_key_file(path)
                    .map_err(|error| invalid(format!("{what} cannot be read: {error}")))?;
                (text, what, "--ssh-keyfile")
            }
        };
        let open =
            |passphrase: Option<&str>| russh::keys::decode_secret_key(text.expose_secret(), passphrase);
        let not_a_key = |error: russh::keys::Error| {
            invalid(format!(
                "{what} is not a private key that can be used ({error}); give one that ssh-keygen or PuTTYgen made to {option}"
            ))
        };
        if let Ok(key) = open(None) {
            return Ok(Self {
                key: Some(Arc::new(key)),
                password: arguments.password.clone(),
            });
        }
        let passphrase = arguments.password.as_ref();
        match open(passphrase.map(|passphrase| passphrase.expose_secret())) {
            Ok(key) => Ok(Self {
                key: Some(Arc::new(key)),
                password: None,
            }),
            Err(russh::keys::Error::KeyIsEncrypted) => Err(denied(format!(
                "{what} is protected by a passphrase; give it as --auth-password"
            ))),
            Err(error) if passphrase.is_none() => Err(not_a_key(error)),
            Err(error) => Err(denied(format!(
                "{what} cannot be opened ({error}); check that --auth-password is its passphrase"
            ))),
        }
    }
}

fn read_key_file(path: &std::path::Path) -> std::io::Result<SecretString> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > KEY_FILE_BYTES_MAX {
        return Err(std::io::Error::other("it is not a key file"));
    }
    Ok(SecretString::from(std::fs::read_to_string(path)?))
}

fn denied(message: String) -> Trouble {
    Trouble::told(StoreErrorKind::PermissionDenied, message)
}

fn invalid(message: String) -> Trouble {
    Trouble::told(StoreErrorKind::Invalid, message)
}

/// One conversation about who we are.
struct Login<'a> {
    handle: &'a mut Handle<HostKeyCheck>,
    user: &'a str,
    /// What was tried, for the message.
    tried: Vec<&'static str>,
}

/// Logs in, with everything that was given.
pub(super) async fn login(
    handle: &mut Handle<HostKeyCheck>,
    arguments: &SftpArguments,
    credentials: &Credentials,
) -> Result<(), Trouble> {
    let mut login = Login {
        handle,
        user: &arguments.user,
        tried: Vec::new(),
    };
    if let Some(key) = &credentials.key
        && login.with_key(key).await?
    {
        return Ok(());
    }
    if let Some(password) = &credentials.password
        && login.with_password(password).await?
    {
        return Ok(());
    }
    if let Some(agent) = &arguments.agent
        && login.with_agent(agent).await?
    {
        return Ok(());
    }
    // Some servers ask nothing of those who come from the right place.
    if login.tried.is_empty() && passed(login.handle.authenticate_none(login.user).await)? {
        return Ok(());
    }
    let message = match login.tried.as_slice() {
        [] => format!(
            "nothing was given to log in as {}; give --auth-password, or --ssh-keyfile, or start an ssh agent",
            arguments.user
        ),
        tried => format!(
            "the server refused the login of {} with {}; check user name and password or key, and that the server allows \
             this kind of login",
            arguments.user,
            tried.join(" and ")
        ),
    };
    Err(denied(message))
}

fn passed(result: Result<AuthResult, russh::Error>) -> Result<bool, Trouble> {
    match result {
        Ok(result) => Ok(result.success()),
        Err(error) => Err(Trouble::passing(format!(
            "the connection was lost during the login: {error}"
        ))),
    }
}

impl Login<'_> {
    async fn hash_for(&mut self, algorithm: &Algorithm) -> Result<Option<HashAlg>, Trouble> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        let best = self.handle.best_supported_rsa_hash().await.map_err(|error| {
            Trouble::passing(format!("the connection was lost during the login: {error}"))
        })?;
        // Servers that do not say understand SHA-256, unless they are very old.
        Ok(best.flatten().or(Some(HashAlg::Sha256)))
    }

    async fn with_key(&mut self, key: &Arc<PrivateKey>) -> Result<bool, Trouble> {
        self.tried.push("the key");
        let hash = self.hash_for(&key.algorithm()).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
        passed(self.handle.authenticate_publickey(self.user, key).await)
    }

    async fn with_password(&mut self, password: &SecretString) -> Result<bool, Trouble> {
        self.tried.push("the password");
        let result = self
            .handle
            .authenticate_password(self.user, password.expose_secret())
            .await;
        if passed(result)? {
            return Ok(true);
        }
        self.by_answering(password).await
    }

    /// Many servers ask for the password by a question instead.
    async fn by_answering(&mut self, password: &SecretString) -> Result<bool, Trouble> {
        let lost = |error| Trouble::passing(format!("the connection was lost during the login: {error}"));
        let mut response = self
            .handle
            .authenticate_keyboard_interactive_start(self.user, None::<String>)
            .await
            .map_err(lost)?;
        for _ in 0..QUESTION_ROUNDS_MAX {
            let prompts = match response {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            // A question that is shown while it is answered does not ask for a password.
            let answers = prompts
                .iter()
                .map(|prompt| match prompt.echo {
                    false => password.expose_secret().to_owned(),
                    true => String::new(),
                })
                .collect();
            response = self
                .handle
                .authenticate_keyboard_interactive_respond(answers)
                .await
                .map_err(lost)?;
        }
        Ok(false)
    }

    async fn with_agent(&mut self, socket: &std::path::Path) -> Result<bool, Trouble> {
        // An agent that is gone is no reason to fail: it may not have been meant.
        let Ok(mut agent) = AgentClient::connect_uds(socket).await else {
            return Ok(false);
        };
        let identities = match agent.request_identities().await {
            Ok(identities) => identities,
            Err(error) => {
                tracing::warn!(%error, "the ssh agent does not show its keys");
                return Ok(false);
            }
        };
        let keys = identities.into_iter().filter_map(|identity| match identity {
            AgentIdentity::PublicKey { key, .. } => Some(key),
            AgentIdentity::Certificate { .. } => None,
        });
        for key in keys.take(AGENT_KEYS_MAX) {
            if !self.tried.contains(&"the keys of the ssh agent") {
                self.tried.push("the keys of the ssh agent");
            }
            let hash = self.hash_for(&key.algorithm()).await?;
            match self
                .handle
                .authenticate_publickey_with(self.user, key, hash, &mut agent)
                .await
            {
                Ok(result) if result.success() => return Ok(true),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the ssh agent did not sign"),
            }
        }
        Ok(false)
    }
}
