// SPDX-License-Identifier: Apache-2.0 OR MIT
//! FTP: `ftp://host/path`. An upload goes to a name of its own first and is renamed; there is no put-if-absent.
//!
//! The path counts from the root of the server's file system; servers that keep users in their home folder make that
//! the same as the home folder.

use std::sync::Arc;

use opendal::{Operator, services::Ftp};
use secrecy::ExposeSecret;

use crate::{
    address::StoreAddress,
    opendal_store::{OpendalStore, Service},
    registry::OpenError,
};

const SCHEME: &str = "ftp";

/// Requests at once, each on a connection of its own: servers allow few for one user.
const CONCURRENT_REQUESTS_MAX: usize = 4;

/// Makes the store of an `ftp` address.
pub fn open(address: &StoreAddress) -> Result<Arc<OpendalStore>, OpenError> {
    if address.host.is_empty() {
        return Err(OpenError::Missing {
            scheme: SCHEME,
            what: "a host: ftp://host/path",
        });
    }
    let options = &address.options;
    let encryption = options
        .text("ftp-encryption-mode")
        .or_else(|| options.text("aftp-encryption-mode"))
        .unwrap_or("None");
    let use_tls = match encryption {
        "Implicit" => {
            return Err(OpenError::InvalidOption {
                scheme: SCHEME,
                option: "ftp-encryption-mode",
                message: "TLS from the first byte is not part of this version; use Explicit".to_owned(),
            });
        }
        "Explicit" => true,
        _ => options.flag("use-ssl") || address.scheme == "ftps",
    };
    let scheme = if use_tls { "ftps" } else { "ftp" };
    let port = address.port.unwrap_or(21);
    let folder = address.remote_folder(SCHEME)?;
    let operator_in = |root: &str| {
        let builder = Ftp::default()
            .endpoint(&format!("{scheme}://{}:{port}", address.host))
            .root(root);
        let builder = match (&address.user, &address.password) {
            (Some(user), Some(password)) => builder.user(user).password(password.expose_secret()),
            (Some(user), None) => builder.user(user),
            (None, _) => builder.user("anonymous").password("anonymous"),
        };
        Operator::new(builder).map_err(|error| OpenError::InvalidPath {
            scheme: SCHEME,
            path: address.host.clone(),
            message: error.message().to_owned(),
        })
    };
    let operator = operator_in(&format!("/{folder}"))?;
    let around = Some((operator_in("/")?, format!("{folder}/")));
    Ok(OpendalStore::new(
        operator,
        Service {
            location: format!("{scheme}://{}:{port}/{folder}", address.host),
            concurrent_requests_max: CONCURRENT_REQUESTS_MAX,
            verifies_size: true,
            writes_conditionally: !options.flag("no-conditional-writes"),
            around,
        },
    ))
}
