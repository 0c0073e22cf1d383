// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `env://`: secrets from environment variables.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use secrecy::SecretString;

use super::provider::unusable;
use crate::error_id::UserError;

pub(super) fn get(
    variables: &BTreeMap<OsString, OsString>,
    name: &str,
) -> Result<Option<SecretString>, UserError> {
    match variables.get(OsStr::new(name)).map(|value| value.to_str()) {
        None => Ok(None),
        Some(Some(value)) => Ok(Some(SecretString::from(value))),
        Some(None) => Err(unusable(format!(
            "the environment variable {name:?} is not valid UTF-8"
        ))),
    }
}
