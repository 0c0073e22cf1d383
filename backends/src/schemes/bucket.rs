// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What S3, Azure and Google have in common: a bucket over OpenDAL, with our client and our limits.

use std::sync::Arc;

use opendal::{Builder, Operator};

use crate::{
    address::StoreAddress,
    http::{client::client, transport},
    opendal_store::{OpendalStore, Service},
    registry::OpenError,
};

/// Requests at once: these services scale far beyond this; what they bear is found out while running.
const CONCURRENT_REQUESTS_MAX: usize = 32;

/// The store in a folder of a bucket that `builder` describes.
pub(super) fn store(
    scheme: &'static str,
    address: &StoreAddress,
    folder: &str,
    builder: impl Builder,
) -> Result<Arc<OpendalStore>, OpenError> {
    let options = &address.options;
    let operator = Operator::new(builder).map_err(|error| OpenError::InvalidPath {
        scheme,
        path: address.host.clone(),
        message: error.message().to_owned(),
    })?;
    let operator = transport::over(operator, client(scheme, options)?, Arc::clone(&address.limits));
    Ok(OpendalStore::new(
        operator,
        Service {
            location: format!("{scheme}://{}/{folder}", address.host)
                .trim_end_matches('/')
                .to_owned(),
            concurrent_requests_max: CONCURRENT_REQUESTS_MAX,
            writes_conditionally: !options.flag("no-conditional-writes"),
        },
    ))
}

/// The bucket or container of an address.
pub(super) fn name<'a>(
    scheme: &'static str,
    address: &'a StoreAddress,
    what: &'static str,
) -> Result<&'a str, OpenError> {
    if address.host.is_empty() {
        return Err(OpenError::Missing { scheme, what });
    }
    Ok(&address.host)
}
