// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which certificate of the server is accepted: what the options say, else the one in the server database of this machine, else what the
//! system trusts.

use std::time::Duration;

use reqwest::{Client, ClientBuilder};

use crate::{arguments::Arguments, client::Failure, machine};

/// How long an answer may take, seconds.
const ANSWER_SECONDS: u64 = 120;
/// Accepts any certificate.
const ANY: &str = "*";

fn builder() -> ClientBuilder {
    Client::builder().timeout(Duration::from_secs(ANSWER_SECONDS))
}

fn built(builder: ClientBuilder) -> Result<Client, Failure> {
    builder
        .build()
        .map_err(|error| Failure::new(format!("failed to start: {error}")))
}

/// A client for the server of the arguments.
pub async fn client(arguments: &Arguments) -> Result<Client, Failure> {
    if is_plain(arguments.url()) {
        // A machine without any certificate authority can still talk to its own server.
        return built(builder().tls_certs_only([]));
    }
    match arguments.text("host-cert") {
        Some(ANY) => built(builder().tls_danger_accept_invalid_certs(true)),
        Some(hashes) => pinned(hashes),
        None if arguments.is_on("insecure") => built(builder().tls_danger_accept_invalid_certs(true)),
        None => {
            if let Some(own) = machine::certificate(arguments).await {
                let client = pinned(&own)?;
                // Another program may stand in front of the server, with a certificate of its own.
                let health = format!("{}/health", arguments.url());
                if client.get(health).send().await.is_ok() {
                    return Ok(client);
                }
            }
            built(builder())
        }
    }
}

/// A client that accepts certificates with these hashes only.
fn pinned(hashes: &str) -> Result<Client, Failure> {
    let hashes: Vec<String> = hashes.split(',').map(|hash| hash.trim().to_owned()).collect();
    let config = duplicati_backends::trusting_hashes(&hashes)
        .map_err(|reason| Failure::of_user(format!("--host-cert: {reason}")))?;
    built(builder().tls_backend_preconfigured(config))
}

/// Whether no TLS is spoken with the server.
fn is_plain(url: &str) -> bool {
    url.split_once("://")
        .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("http"))
}

/// What to do about a connection that was refused for its certificate.
pub fn advice(error: &reqwest::Error) -> &'static str {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("certificate") {
            return "; let this machine trust the authority that signed it, or give its SHA-1 with --host-cert";
        }
        cause = error.source();
    }
    ""
}

/// The reason at the bottom, for the outermost says only that it failed.
pub fn reason(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
