// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Azure Blob Storage: `azure://container/prefix`. Put-if-absent is `If-None-Match: *`.

use std::sync::Arc;

use opendal::services::Azblob;
use secrecy::ExposeSecret;

use super::bucket;
use crate::{address::StoreAddress, opendal_store::OpendalStore, registry::OpenError};

const SCHEME: &str = "azure";

/// Makes the store of an `azure` address.
pub fn open(address: &StoreAddress) -> Result<Arc<OpendalStore>, OpenError> {
    let options = &address.options;
    let missing = |what| OpenError::Missing { scheme: SCHEME, what };
    let bucket = bucket::name(SCHEME, address, "a container: azure://container/prefix")?;
    let account = options
        .text("azure-account-name")
        .or(address.user.as_deref())
        .ok_or_else(|| missing("the storage account: --azure-account-name or --auth-username"))?;
    let folder = address.remote_folder(SCHEME)?;
    let own_endpoint = options
        .text("azure-endpoint")
        .map(|url| url.trim_end_matches('/').to_owned());
    let endpoint = own_endpoint.unwrap_or_else(|| format!("https://{account}.blob.core.windows.net"));
    let mut builder = Azblob::default()
        .container(bucket)
        .root(&folder)
        .endpoint(&endpoint)
        .account_name(account);
    let key = options.secret("azure-access-key").or(address.password.as_ref());
    builder = match (options.secret("azure-access-sas-token"), key) {
        (Some(token), _) => builder.sas_token(token.expose_secret().trim_start_matches('?')),
        (None, Some(key)) => builder.account_key(key.expose_secret()),
        (None, None) => {
            return Err(missing(
                "a key: --azure-access-key, --auth-password or --azure-access-sas-token",
            ));
        }
    };
    bucket::store(SCHEME, address, &folder, builder)
}
