// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The HTTP client of a store.

use std::time::Duration;

use reqwest::redirect::Policy;

use super::tls;
use crate::{options::StoreOptions, registry::OpenError};

/// How long a connection may take to come about when `short-timeout` is not given.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The part of `short-timeout` that is for the connection: what is told of a wrong address is then that nobody answers there.
const CONNECT_PART: f64 = 0.7;
/// Idle connections that are kept: as many as requests may run at once.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// Redirects that are followed; more is a loop.
const REDIRECTS_MAX: usize = 5;
/// Sent with each request, so that an operator of a target knows who asks.
const USER_AGENT: &str = concat!("duplicati-engine/", env!("CARGO_PKG_VERSION"));

/// Makes a client by the options that all HTTP targets share.
pub fn client(scheme: &'static str, options: &StoreOptions) -> Result<reqwest::Client, OpenError> {
    // Whoever comes first decides; a program that installed one in `main` keeps it.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let connect_timeout = options
        .duration("short-timeout")
        .filter(|timeout| !timeout.is_zero())
        .map_or(CONNECT_TIMEOUT, |timeout| timeout.mul_f64(CONNECT_PART));
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(connect_timeout)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .redirect(Policy::limited(REDIRECTS_MAX))
        .tcp_nodelay(true)
        // Retries are ours to count.
        .retry(reqwest::retry::never());
    if let Some(config) = tls::own_config(scheme, options)? {
        builder = builder.tls_backend_preconfigured(config);
    }
    builder.build().map_err(|error| OpenError::Client {
        scheme,
        message: error.without_url().to_string(),
    })
}
