// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Destination URLs on their way to clients and back: secrets become a placeholder, and a placeholder becomes the stored secret again.
//!
//! Only secrets are touched; everything else comes back byte for byte.

use crate::{json::decode, settings::PLACEHOLDER};

/// A placeholder cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoStoredSecret(pub String);

struct Parts<'a> {
    /// `scheme://user:` or everything before the query.
    head: &'a str,
    /// The password as written, and what follows it up to the query.
    password: Option<(&'a str, &'a str)>,
    query: Option<&'a str>,
}

fn split(url: &str) -> Parts<'_> {
    let (location, query) = match url.split_once('?') {
        Some((location, query)) => (location, Some(query)),
        None => (url, None),
    };
    let password = location.find("://").and_then(|position| {
        let start = position + 3;
        let authority_end = location[start..]
            .find('/')
            .map_or(location.len(), |end| start + end);
        let at = location[start..authority_end].rfind('@')? + start;
        let colon = location[start..at].find(':')? + start;
        Some((colon + 1, at))
    });
    match password {
        Some((start, end)) => Parts {
            head: &location[..start],
            password: Some((&location[start..end], &location[end..])),
            query,
        },
        None => Parts {
            head: location,
            password: None,
            query,
        },
    }
}

/// Whether a value is the placeholder, also when it was encoded.
pub fn is_placeholder(value: &str) -> bool {
    value == PLACEHOLDER || (value.len() >= PLACEHOLDER.len() && decode(value) == PLACEHOLDER)
}

/// Rewrites each secret of a URL.
fn rewrite<E>(
    url: &str,
    is_secret: &dyn Fn(&str) -> bool,
    mut change: impl FnMut(&str, &str) -> Result<Option<String>, E>,
) -> Result<String, E> {
    let parts = split(url);
    let mut written = parts.head.to_owned();
    if let Some((password, rest)) = parts.password {
        match change("password", password)? {
            Some(changed) => written.push_str(&changed),
            None => written.push_str(password),
        }
        written.push_str(rest);
    }
    if let Some(query) = parts.query {
        for (position, part) in query.split('&').enumerate() {
            written.push(if position == 0 { '?' } else { '&' });
            let Some((name, value)) = part.split_once('=') else {
                written.push_str(part);
                continue;
            };
            written.push_str(name);
            written.push('=');
            let plain = decode(name).trim_start_matches("--").to_ascii_lowercase();
            let changed = if is_secret(&plain) && !value.is_empty() {
                change(&plain, value)?
            } else {
                None
            };
            written.push_str(changed.as_deref().unwrap_or(value));
        }
    }
    Ok(written)
}

/// The form for clients.
pub fn mask(url: &str, is_secret: &dyn Fn(&str) -> bool) -> String {
    let masked = rewrite::<std::convert::Infallible>(url, is_secret, |_, _| Ok(Some(PLACEHOLDER.to_owned())));
    match masked {
        Ok(masked) => masked,
        Err(never) => match never {},
    }
}

/// The form for export without secrets: they are left out.
pub fn strip(url: &str, is_secret: &dyn Fn(&str) -> bool) -> String {
    let parts = split(url);
    let mut written = match parts.password {
        Some((_, rest)) => format!("{}{rest}", parts.head.trim_end_matches(':')),
        None => parts.head.to_owned(),
    };
    let kept: Vec<&str> = parts
        .query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|part| {
            let name = decode(part.split_once('=').map_or(*part, |(name, _)| name));
            !is_secret(&name.trim_start_matches("--").to_ascii_lowercase())
        })
        .collect();
    if !kept.is_empty() {
        written.push('?');
        written.push_str(&kept.join("&"));
    }
    written
}

/// Puts stored secrets in the place of placeholders.
///
/// # Errors
/// When a placeholder stands for a secret that is not stored.
pub fn unmask(
    url: &str,
    stored: Option<&str>,
    is_secret: &dyn Fn(&str) -> bool,
) -> Result<String, NoStoredSecret> {
    let mut secrets: Vec<(String, String)> = Vec::new();
    if let Some(stored) = stored {
        let collected = rewrite::<std::convert::Infallible>(stored, is_secret, |name, value| {
            secrets.push((name.to_owned(), value.to_owned()));
            Ok(None)
        });
        drop(collected);
    }
    // A placeholder is looked for under any name, so that none is ever stored.
    rewrite(url, &|_| true, |name, value| {
        if !is_placeholder(value) {
            return Ok(None);
        }
        let found = secrets.iter().find(|(known, _)| known == name);
        match found {
            Some((_, secret)) => Ok(Some(secret.clone())),
            None => Err(NoStoredSecret(name.to_owned())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "ssh://me:p%2Fw@host:22/a%20b?auth-password=x%26y&ssh-keyfile=/k&use-ssl";

    fn is_secret(name: &str) -> bool {
        name == "auth-password"
    }

    #[test]
    fn secrets_are_masked_and_come_back_unchanged() {
        let masked = mask(URL, &is_secret);
        assert_eq!(
            masked,
            format!(
                "ssh://me:{PLACEHOLDER}@host:22/a%20b?auth-password={PLACEHOLDER}&ssh-keyfile=/k&use-ssl"
            )
        );
        assert_eq!(unmask(&masked, Some(URL), &is_secret).as_deref(), Ok(URL));
        let encoded = masked.replace('*', "%2A");
        assert_eq!(unmask(&encoded, Some(URL), &is_secret).as_deref(), Ok(URL));
    }

    #[test]
    fn a_placeholder_without_a_stored_secret_is_an_error() {
        let url = format!("file:///x?unknown={PLACEHOLDER}");
        assert_eq!(
            unmask(&url, Some(URL), &is_secret),
            Err(NoStoredSecret("unknown".to_owned()))
        );
        assert!(unmask(&mask(URL, &is_secret), None, &is_secret).is_err());
    }

    #[test]
    fn an_export_without_secrets_has_none() {
        assert_eq!(
            strip(URL, &is_secret),
            "ssh://me@host:22/a%20b?ssh-keyfile=/k&use-ssl"
        );
        assert_eq!(strip("file:///x", &is_secret), "file:///x");
    }
}
