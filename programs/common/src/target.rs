// SPDX-License-Identifier: Apache-2.0 OR MIT
//! From a destination and the options of the command line to what a store is made of.
//!
//! Every option of a destination may stand in the URL or on the command line; the URL wins. Which store understands which
//! option is the store's business.

use std::{ffi::OsStr, path::Path, sync::Arc, time::Duration};

use duplicati_backends::{
    OpenError, OptionValue, StoreAddress, StoreOptions, address::DEFAULT_PREFIX, transfer::Limits,
};
use jiff::Zoned;
use secrecy::ExposeSecret;

use crate::destination::Destination;
use crate::error_id::{UserError, ids};
use crate::options::options_value::Value;
use crate::options::{Group, Options, table};

/// Options outside of the two groups below that stores look at as well.
const ALSO_FOR_STORES: &[&str] = &["tempdir"];

/// The address of a destination as the user wrote it, with the options that apply to it.
pub fn address_of(
    text: &OsStr,
    options: &Options,
    current_folder: &Path,
    now: &Zoned,
) -> Result<StoreAddress, UserError> {
    let destination = Destination::parse(text, current_folder)?;
    address(&destination, &effective_options(&destination, options, now)?)
}

/// Says why an address makes no store, with the id that scripts know.
pub fn open_error(error: &OpenError) -> UserError {
    let id = match error {
        OpenError::UnknownScheme { .. } => ids::BACKEND_NOT_SUPPORTED,
        _ => ids::INVALID_DESTINATION,
    };
    UserError::failed(id, error.to_string())
}

/// The options of the command line with those of the URL laid over them.
pub fn effective_options(
    destination: &Destination,
    options: &Options,
    now: &Zoned,
) -> Result<Options, UserError> {
    let mut effective = options.clone();
    for (name, value) in &destination.query {
        if let Some(spec) = table::find(name)
            && !is_for_stores(spec.group)
        {
            return Err(UserError::invalid_command_line(
                ids::INVALID_DESTINATION,
                format!(
                    "the option {} does not belong into the destination URL; write it on the command line as --{}",
                    spec.name, spec.name
                ),
            ));
        }
        // `name` without `=` and `name=` are the same in a URL; for a yes-or-no option both mean yes.
        let text = Some(value.expose_secret()).filter(|text| !text.is_empty());
        effective.set(name, text.map(OsStr::new), now)?;
    }
    Ok(effective)
}

/// The address of a destination under [`effective_options`].
pub fn address(destination: &Destination, effective: &Options) -> Result<StoreAddress, UserError> {
    let prefix = effective.string("prefix").unwrap_or(DEFAULT_PREFIX);
    if prefix.contains('-') {
        return Err(UserError::failed(
            ids::PREFIX_CANNOT_CONTAIN_HYPHENS,
            format!("the prefix {prefix:?} contains a hyphen; choose one without"),
        ));
    }
    let text = |name: &str| effective.string(name).filter(|text| !text.is_empty());
    Ok(StoreAddress {
        scheme: destination.scheme.clone(),
        user: destination
            .user
            .clone()
            .or_else(|| text("auth-username").map(str::to_owned)),
        password: destination
            .password
            .clone()
            .or_else(|| effective.secret("auth-password").cloned())
            .filter(|secret| !secret.expose_secret().is_empty()),
        host: destination.host.clone(),
        port: destination.port,
        path: destination.path.clone(),
        prefix: prefix.to_owned(),
        options: store_options(effective),
        limits: limits(destination, effective),
    })
}

/// The limits of the command line, unless they are lifted for this kind of destination.
fn limits(destination: &Destination, effective: &Options) -> Arc<Limits> {
    let is_lifted = effective.bool("throttle-disabled")
        || effective
            .list("throttle-disabled-backends")
            .iter()
            .any(|scheme| scheme.eq_ignore_ascii_case(&destination.scheme));
    let rate = |name: &str| {
        if is_lifted {
            0
        } else {
            effective.size(name).unwrap_or(0)
        }
    };
    Limits::new(rate("throttle-upload"), rate("throttle-download"))
}

fn is_for_stores(group: Group) -> bool {
    matches!(group, Group::Backend | Group::Transfer)
}

fn store_options(effective: &Options) -> StoreOptions {
    let mut options = StoreOptions::default();
    let defaults = effective.defaults.iter().map(|(name, value)| (*name, value));
    let given = effective.given.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in defaults.chain(given) {
        let is_wanted = ALSO_FOR_STORES.contains(&name)
            || table::find(name).is_some_and(|spec| is_for_stores(spec.group));
        if is_wanted {
            options.set(name, store_value(value));
        }
    }
    options
}

fn store_value(value: &Value) -> OptionValue {
    match value {
        Value::Boolean(flag) => OptionValue::Flag(*flag),
        Value::Integer(number) => OptionValue::Number(*number),
        // No option of a target is one; as text it is at least not lost.
        Value::Decimal(number) => OptionValue::Text(number.to_string()),
        Value::Versions(versions) => OptionValue::Text(format!("{versions:?}")),
        Value::TimePoint(time) => OptionValue::Text(time.to_string()),
        Value::Size(bytes) => OptionValue::Number(i64::try_from(*bytes).unwrap_or(i64::MAX)),
        Value::Timespan(span) => {
            OptionValue::Duration(Duration::from_secs(span.total_seconds().unsigned_abs()))
        }
        Value::Path(path) => OptionValue::Path(path.clone()),
        Value::PathList(paths) => OptionValue::Paths(paths.clone()),
        Value::Text(text) => OptionValue::Text(text.clone()),
        Value::Secret(secret) => OptionValue::Secret(secret.clone()),
        Value::List(texts) => OptionValue::List(texts.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, path::Path};

    use super::*;
    use crate::{environment::Environment, options::ParseContext};

    fn parsed(url: &str, arguments: &[&str]) -> Result<StoreAddress, UserError> {
        let environment = Environment::for_tests(Path::new("/")).with("AUTH_USERNAME", "from-environment");
        let now = "2026-11-24T00:00:00[UTC]".parse().unwrap();
        let context = ParseContext {
            environment: &environment,
            now: &now,
        };
        let options = Options::parse(arguments.iter().map(OsString::from), &context)?;
        address_of(url.as_ref(), &options, Path::new("/"), &now)
    }

    #[test]
    fn the_url_wins_over_the_command_line_and_both_over_the_environment() {
        let address = parsed(
            "s3://bucket/a/b?s3-servername=in-url&use-ssl",
            &[
                "--s3-server-name=on-line",
                "--s3-storage-class=COLD",
                "--auth-password=secret",
            ],
        )
        .unwrap();
        assert_eq!(address.options.text("s3-server-name"), Some("in-url"));
        assert_eq!(address.options.text("s3-storage-class"), Some("COLD"));
        assert!(address.options.flag("use-ssl"));
        assert_eq!(address.user.as_deref(), Some("from-environment"));
        assert_eq!(address.remote_folder("s3").unwrap(), "a/b");
        let address = parsed("ssh://me@host/x", &["--auth-username=other"]).unwrap();
        assert_eq!(address.user.as_deref(), Some("me"));
    }

    #[test]
    fn limits_are_read_and_may_be_lifted_for_one_kind_of_target() {
        let limit = |url: &str| {
            let address = parsed(url, &["--throttle-upload=500", "--throttle-disabled-backends=s3"]).unwrap();
            address.limits.upload.bytes_per_second()
        };
        assert_eq!(limit("webdav://h/x"), 500 << 10);
        assert_eq!(limit("s3://b/x"), 0);
    }

    #[test]
    fn no_part_of_an_address_shows_a_secret() {
        let address = parsed(
            "ssh://me:hunter2@host/x?ssh-key=hunter2&auth-password=hunter2",
            &["--aws-secret-access-key=hunter2", "--auth-password=hunter2"],
        )
        .unwrap();
        assert_eq!(address.password.as_ref().unwrap().expose_secret(), "hunter2");
        assert!(!format!("{address:?}").contains("hunter2"));
    }

    #[test]
    fn options_in_the_url_are_checked_like_those_of_the_command_line() {
        for (url, id, word) in [
            ("s3://b/x?s3-servr-name=y", "UnknownOption", "s3-server-name"),
            ("s3://b/x?s3-client=z", "InvalidOptionValue", "minio"),
            (
                "s3://b/x?passphrase=hunter2",
                "InvalidDestination",
                "--passphrase",
            ),
        ] {
            let error = parsed(url, &[]).unwrap_err();
            assert_eq!(error.id, id);
            assert!(error.message.contains(word), "{error}");
            assert!(!error.message.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn paths_that_climb_are_refused() {
        let address = parsed("s3://b/x/../y", &[]).unwrap();
        assert!(address.remote_folder("s3").is_err());
        let address = parsed("s3://b//x//y/?use-ssl=true", &["--prefix=laptop"]).unwrap();
        assert_eq!(address.remote_folder("s3").unwrap(), "x/y/laptop");
    }
}
