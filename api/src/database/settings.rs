// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Server settings and options for all jobs: names and texts.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::RngCore;

use super::{
    Database, DatabaseError,
    seal::{SealError, Sealer},
};

/// The pseudo-backup whose options are defaults for all jobs.
pub const ALL_JOBS: i64 = -1;
/// The pseudo-backup whose options are settings of the server.
pub const SERVER: i64 = -2;
/// Settings that are sealed.
const SECRETS: &[&str] = &[
    "jwt-config",
    "pbkdf-config",
    // With its key.
    "server-ssl-certificate",
    "server-ssl-certificate-password",
    "server-ca-certificate-key",
];
const SALT_BYTES: usize = 16;
const SALT: &str = "settings-encryption-salt";
const CHECK: &str = "settings-encryption-check";
const CHECK_TEXT: &str = "the key fits";
/// Sealed like any other option, so that it can be read with all of them.
const CHECK_FIELD: &str = "option:settings-encryption-check";

impl Database {
    /// All settings, or all options for jobs.
    ///
    /// # Errors
    /// When the database fails or the key does not fit.
    pub async fn options_of(&self, owner: i64) -> Result<BTreeMap<String, String>, DatabaseError> {
        let rows = self
            .rows(
                "SELECT name, value FROM backup_option WHERE backup_id = $1",
                &[owner.into()],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                let name = row.text(0)?;
                let value = self.unseal(&format!("option:{name}"), row.text(1)?)?;
                Ok((name, value))
            })
            .collect()
    }

    /// Stores values; none deletes. `is_secret` says which are sealed.
    ///
    /// # Errors
    /// When the database fails; then nothing has changed.
    pub async fn set_options_of(
        &self,
        owner: i64,
        values: &[(String, Option<String>)],
        is_secret: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<(), DatabaseError> {
        let mut transaction = self.begin().await?;
        for (name, value) in values {
            match value {
                None => {
                    transaction
                        .execute(
                            "DELETE FROM backup_option WHERE backup_id = $1 AND name = $2",
                            &[owner.into(), name.as_str().into()],
                        )
                        .await?;
                }
                Some(value) => {
                    let is_sealed = SECRETS.contains(&name.as_str()) || is_secret(name);
                    let value = if is_sealed {
                        self.seal(&format!("option:{name}"), value)?
                    } else {
                        value.clone()
                    };
                    transaction
                        .execute(
                            "INSERT INTO backup_option (backup_id, filter, name, value) VALUES ($1, '', $2, $3)
                             ON CONFLICT (backup_id, filter, name) DO UPDATE SET value = excluded.value",
                            &[owner.into(), name.as_str().into(), value.into()],
                        )
                        .await?;
                }
            }
        }
        transaction.commit().await
    }

    /// Uses a key for secrets from now on; the first one given is remembered by a check value. Without a key, sealed values cannot be read.
    /// Says whether it is the first one, so that what is stored must be sealed.
    ///
    /// # Errors
    /// When the key is too short or another one than before.
    pub async fn use_key(&mut self, text: Option<&str>) -> Result<bool, DatabaseError> {
        let stored = async |name: &str| -> Result<Option<String>, DatabaseError> {
            let rows = self
                .rows(
                    "SELECT value FROM backup_option WHERE backup_id = $1 AND name = $2",
                    &[SERVER.into(), name.into()],
                )
                .await?;
            rows.first().map(|row| row.text(0)).transpose()
        };
        let (salt, check) = (stored(SALT).await?, stored(CHECK).await?);
        let Some(text) = text else {
            return match check {
                Some(_) => Err(SealError::NoKey.into()),
                None => Ok(false),
            };
        };
        let salt = match salt {
            Some(salt) => salt,
            None => {
                let mut bytes = [0; SALT_BYTES];
                rand::rng().fill_bytes(&mut bytes);
                STANDARD.encode(bytes)
            }
        };
        let sealer = Sealer::new(text, salt.as_bytes())?;
        if let Some(check) = check {
            if sealer.unseal(CHECK_FIELD, &check)? != CHECK_TEXT {
                return Err(SealError::WrongKey.into());
            }
            self.sealer = Some(sealer);
            return Ok(false);
        }
        let check = sealer.seal(CHECK_FIELD, CHECK_TEXT)?;
        let values = [(SALT.to_owned(), Some(salt)), (CHECK.to_owned(), Some(check))];
        self.set_options_of(SERVER, &values, &|_| false).await?;
        self.sealer = Some(sealer);
        Ok(true)
    }

    /// Uses a key if the database is sealed, to read it.
    ///
    /// # Errors
    /// When it is sealed with another key, or none is given.
    pub async fn use_known_key(&mut self, text: Option<&str>) -> Result<(), DatabaseError> {
        let rows = self
            .rows(
                "SELECT value FROM backup_option WHERE backup_id = $1 AND name = $2",
                &[SERVER.into(), CHECK.into()],
            )
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        self.use_key(text).await.map(drop)
    }

    /// Forgets the key; callers have read everything with it and write it again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_key(&mut self) -> Result<(), DatabaseError> {
        self.sealer = None;
        let values = [(SALT.to_owned(), None), (CHECK.to_owned(), None)];
        self.set_options_of(SERVER, &values, &|_| false).await
    }

    /// Whether secrets are sealed.
    pub fn has_key(&self) -> bool {
        self.sealer.is_some()
    }
}
