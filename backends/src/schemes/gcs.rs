// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Google Cloud Storage: `gcs://bucket/prefix`, with a service account. Put-if-absent is `ifGenerationMatch=0`.

use std::{fs, sync::Arc};

use opendal::{Operator, services::Gcs};
use secrecy::ExposeSecret;

use crate::{
    address::StoreAddress,
    http::{client::client, transport},
    opendal_store::{OpendalStore, Service},
    registry::OpenError,
};

const SCHEME: &str = "gcs";

/// Requests at once.
const CONCURRENT_REQUESTS_MAX: usize = 32;

/// Makes the store of a `gcs` address.
pub fn open(address: &StoreAddress) -> Result<Arc<OpendalStore>, OpenError> {
    let options = &address.options;
    let missing = |what| OpenError::Missing { scheme: SCHEME, what };
    if address.host.is_empty() {
        return Err(missing("a bucket: gcs://bucket/prefix"));
    }
    let account = match (
        options.secret("gcs-service-account-json"),
        options.path("gcs-service-account-file"),
    ) {
        (Some(json), _) => json.clone(),
        (None, Some(path)) => fs::read_to_string(path)
            .map_err(|error| OpenError::InvalidOption {
                scheme: SCHEME,
                option: "gcs-service-account-file",
                message: format!("failed to read {}: {error}", path.display()),
            })?
            .into(),
        (None, None) => {
            return Err(missing(
                "a service account: --gcs-service-account-file or --gcs-service-account-json",
            ));
        }
    };
    let folder = address.remote_folder(SCHEME)?;
    let mut builder = Gcs::default()
        .bucket(&address.host)
        .root(&folder)
        .credential(&base64(account.expose_secret().as_bytes()))
        .disable_vm_metadata()
        .disable_config_load();
    if let Some(class) = options.text("gcs-storage-class") {
        builder = builder.default_storage_class(class);
    }
    let operator = Operator::new(builder).map_err(|error| OpenError::InvalidPath {
        scheme: SCHEME,
        path: address.host.clone(),
        message: error.message().to_owned(),
    })?;
    let operator = transport::over(operator, client(SCHEME, options)?, Arc::clone(&address.limits));
    Ok(OpendalStore::new(
        operator,
        Service {
            location: format!("gcs://{}/{folder}", address.host)
                .trim_end_matches('/')
                .to_owned(),
            concurrent_requests_max: CONCURRENT_REQUESTS_MAX,
            verifies_size: false,
            writes_conditionally: !options.flag("no-conditional-writes"),
            around: None,
        },
    ))
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}
