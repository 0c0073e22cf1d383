// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Secrets that stand elsewhere: an option or URL value that is exactly `$name` or `${name}` is replaced by what a provider says.
//!
//! Reading order: [`provider`] (which kinds there are), one file for each kind, [`cache`] (for times when the provider cannot be reached).
//! Values never appear in errors, logs or `Debug`; names do.

mod cache;
mod environment_variables;
mod pass;
pub mod provider;
mod secret_file;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use crate::data_folder;
use crate::destination::Destination;
use crate::error_id::{UserError, ids};
use crate::options::ParseContext;
use cache::PersistentCache;
use provider::Provider;

/// What marks a value as the name of a secret, unless chosen.
const PATTERN_DEFAULT: &str = "$";
/// The most secrets of one run; more names are a mistake, not a configuration.
const SECRETS_MAX: usize = 1_000;

/// The options that say where secrets are, which are never replaced by one.
const OWN_OPTIONS: [&str; 3] = [
    "secret-provider",
    "secret-provider-pattern",
    "secret-provider-cache",
];

/// An open provider with its pattern and memory.
pub struct Secrets {
    provider: Provider,
    pattern: String,
    known: Mutex<BTreeMap<String, SecretString>>,
    persistent: Option<PersistentCache>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Secrets")
            .field(&self.provider.kind())
            .finish()
    }
}

impl Secrets {
    /// The provider that the options name, if they name one.
    pub(crate) fn open(
        values: &BTreeMap<String, Option<OsString>>,
        context: &ParseContext<'_>,
    ) -> Result<Option<Self>, UserError> {
        let text = |name: &str| {
            let value = values.get(name)?.as_ref()?;
            value.to_str().map(str::to_owned)
        };
        let Some(url) = text("secret-provider").filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let url = SecretString::from(from_environment(url, context)?);
        let provider = Provider::open(&url, context.environment)?;
        let is_persistent = text("secret-provider-cache")
            .is_some_and(|cache| cache.trim().eq_ignore_ascii_case("persistent"));
        let folder = || {
            let chosen = text("server-datafolder").map(std::path::PathBuf::from);
            let portable = values.contains_key("portable-mode");
            data_folder::locate(chosen.as_deref(), portable, context.environment)
        };
        Ok(Some(Self {
            provider,
            pattern: text("secret-provider-pattern")
                .filter(|pattern| !pattern.is_empty())
                .unwrap_or_else(|| PATTERN_DEFAULT.to_owned()),
            known: Mutex::default(),
            persistent: is_persistent.then(|| PersistentCache::new(&folder(), url)),
        }))
    }

    /// The name of the secret that a value stands for.
    fn name<'text>(&self, value: &'text str) -> Option<&'text str> {
        let rest = value.strip_prefix(&self.pattern)?;
        let name = match rest.strip_prefix('{') {
            Some(inner) => inner.strip_suffix('}')?,
            None => rest,
        };
        (!name.is_empty() && !name.contains(['{', '}'])).then_some(name)
    }

    /// Looks up a secret.
    pub fn get(&self, name: &str) -> Result<SecretString, UserError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(name) {
            return Ok(value.clone());
        }
        if known.len() >= SECRETS_MAX {
            return Err(UserError::failed(
                ids::SECRET_PROVIDER_FAILED,
                format!("more than {SECRETS_MAX} secrets are asked for"),
            ));
        }
        let value = match self.provider.get(name) {
            Ok(Some(value)) => {
                if let Some(cache) = &self.persistent {
                    cache.keep(name, &value)?;
                }
                value
            }
            Ok(None) => return Err(self.not_found(name)),
            Err(error) => match self.persistent.as_ref().and_then(|cache| cache.get(name)) {
                Some(value) => value,
                None => return Err(error),
            },
        };
        known.insert(name.to_owned(), value.clone());
        Ok(value)
    }

    fn not_found(&self, name: &str) -> UserError {
        UserError::failed(
            ids::SECRET_NOT_FOUND,
            format!(
                "the secret {name:?} is not in the store of secrets {} (--secret-provider)",
                self.provider
            ),
        )
    }

    /// Replaces the values of options that are names of secrets, and gives the names of those options.
    pub(crate) fn replace_values(
        &self,
        values: &mut BTreeMap<String, Option<OsString>>,
    ) -> Result<BTreeSet<String>, UserError> {
        let mut replaced = BTreeSet::new();
        for (option, value) in values.iter_mut() {
            if OWN_OPTIONS.contains(&option.as_str()) {
                continue;
            }
            if let Some(name) = value
                .as_ref()
                .and_then(|value| value.to_str())
                .and_then(|value| self.name(value))
            {
                let secret = self.get(name)?;
                *value = Some(OsString::from(secret.expose_secret()));
                replaced.insert(option.clone());
            }
        }
        Ok(replaced)
    }

    /// Replaces the values in a destination's query that are names of secrets.
    pub fn replace_in_destination(&self, destination: &mut Destination) -> Result<(), UserError> {
        for (_, value) in &mut destination.query {
            if let Some(name) = self.name(value.expose_secret()) {
                *value = self.get(name)?;
            }
        }
        Ok(())
    }
}

/// The provider's address may itself be `$NAME`, `${NAME}` or `%NAME%`, a variable of the environment.
fn from_environment(url: String, context: &ParseContext<'_>) -> Result<String, UserError> {
    let braced = |open: &str, close: &str| url.strip_prefix(open)?.strip_suffix(close);
    let Some(name) = braced("${", "}")
        .or_else(|| braced("%", "%"))
        .or_else(|| url.strip_prefix('$'))
    else {
        return Ok(url);
    };
    let value = context
        .environment
        .variable(name)
        .and_then(|value| value.to_str());
    value.map(str::to_owned).ok_or_else(|| {
        UserError::failed(
            ids::SECRET_PROVIDER_FAILED,
            format!("--secret-provider names the environment variable {name}, which is not set"),
        )
    })
}
