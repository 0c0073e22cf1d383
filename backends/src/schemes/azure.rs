// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Azure Blob Storage: `azure://container/prefix`. Put-if-absent is `If-None-Match: *`.

use std::sync::Arc;

use opendal::{Operator, services::Azblob};
use secrecy::ExposeSecret;

use crate::{
    address::StoreAddress,
    http::{client::client, transport},
    opendal_store::{OpendalStore, Service},
    registry::OpenError,
};

const SCHEME: &str = "azure";

/// Requests at once.
const CONCURRENT_REQUESTS_MAX: usize = 32;

/// Makes the store of an `azure` address.
pub fn open(address: &StoreAddress) -> Result<Arc<OpendalStore>, OpenError> {
    let options = &address.options;
    let missing = |what| OpenError::Missing { scheme: SCHEME, what };
    if address.host.is_empty() {
        return Err(missing("a container: azure://container/prefix"));
    }
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
        .container(&address.host)
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
    let operator = Operator::new(builder).map_err(|error| OpenError::InvalidPath {
        scheme: SCHEME,
        path: address.host.clone(),
        message: error.message().to_owned(),
    })?;
    let operator = transport::over(operator, client(SCHEME, options)?, Arc::clone(&address.limits));
    Ok(OpendalStore::new(
        operator,
        Service {
            location: format!("azure://{}/{folder}", address.host)
                .trim_end_matches('/')
                .to_owned(),
            concurrent_requests_max: CONCURRENT_REQUESTS_MAX,
            verifies_size: false,
            writes_conditionally: !options.flag("no-conditional-writes"),
            around: None,
        },
    ))
}
