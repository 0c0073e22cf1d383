// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Google Cloud Storage: `gcs://bucket/prefix`, with a service account. Put-if-absent is `ifGenerationMatch=0`.

use std::{fs, sync::Arc};

use opendal::services::Gcs;
use secrecy::ExposeSecret;

use super::bucket;
use crate::{address::StoreAddress, opendal_store::OpendalStore, registry::OpenError};

const SCHEME: &str = "gcs";

/// Makes the store of a `gcs` address.
pub fn open(address: &StoreAddress) -> Result<Arc<OpendalStore>, OpenError> {
    let options = &address.options;
    let missing = |what| OpenError::Missing { scheme: SCHEME, what };
    let bucket = bucket::name(SCHEME, address, "a bucket: gcs://bucket/prefix")?;
    let endpoint = options.text("gcs-endpoint");
    let account = match (
        options.secret("gcs-service-account-json"),
        options.path("gcs-service-account-file"),
    ) {
        (Some(json), _) => Some(json.clone()),
        (None, Some(path)) => Some(
            fs::read_to_string(path)
                .map_err(|error| OpenError::InvalidOption {
                    scheme: SCHEME,
                    option: "gcs-service-account-file",
                    message: format!("failed to read {}: {error}", path.display()),
                })?
                .into(),
        ),
        // An emulator knows no accounts.
        (None, None) if endpoint.is_some() => None,
        (None, None) => {
            return Err(missing(
                "a service account: --gcs-service-account-file or --gcs-service-account-json",
            ));
        }
    };
    let folder = address.remote_folder(SCHEME)?;
    let mut builder = Gcs::default()
        .bucket(bucket)
        .root(&folder)
        .disable_vm_metadata()
        .disable_config_load();
    builder = match account {
        Some(account) => builder.credential(&base64(account.expose_secret().as_bytes())),
        None => builder.skip_signature(),
    };
    if let Some(endpoint) = endpoint {
        builder = builder.endpoint(endpoint.trim_end_matches('/'));
    }
    if let Some(class) = options.text("gcs-storage-class") {
        builder = builder.default_storage_class(class);
    }
    bucket::store(SCHEME, address, &folder, builder)
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}
