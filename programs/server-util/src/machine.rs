// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a server of this machine keeps, for whoever may read its database: a way in, and the certificate that it shows.

use duplicati_api::{auth::signin_token_from, database::Database, https::stored::Stored};
use duplicati_engine::clock::{Clock, SystemClock};

use crate::arguments::Arguments;

const DATABASE_FILE: &str = "Duplicati-server.sqlite";
/// Hosts that are this machine, whatever else it is called.
const OWN_HOSTS: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// The database of the server, if the address is of this machine and it can be read.
async fn database(arguments: &Arguments) -> Option<Database> {
    if !is_here(arguments.url()) {
        return None;
    }
    let mut database = match arguments.text("server-database-url") {
        Some(url) => Database::open_existing_postgres(url).await.ok()?,
        None => {
            let path = arguments.data_folder.join(DATABASE_FILE);
            if !path.exists() {
                return None;
            }
            Database::open_existing_sqlite(&path).await.ok()?
        }
    };
    let key = arguments.text("settings-encryption-key");
    database.use_known_key(key).await.ok()?;
    Some(database)
}

/// A sign-in token.
pub async fn token(arguments: &Arguments) -> Option<String> {
    let database = database(arguments).await?;
    let token = signin_token_from(&database, SystemClock.now().seconds).await;
    database.close().await;
    token
}

/// The SHA-1 of the certificate that is stored.
pub async fn certificate(arguments: &Arguments) -> Option<String> {
    let database = database(arguments).await?;
    let found = Stored::load(&database).await;
    database.close().await;
    Some(found.ok()?.certificate?.facts().ok()?.sha1)
}

fn is_here(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_http = ["http", "https"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme));
    is_http
        && OWN_HOSTS.iter().any(|own| {
            authority
                .strip_prefix(own)
                .is_some_and(|port| port.is_empty() || port.starts_with(':'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_here() {
        for url in [
            "http://127.0.0.1:8200",
            "https://localhost",
            "HTTPS://[::1]:1",
            "http://localhost/x",
        ] {
            assert!(is_here(url), "{url}");
        }
        for url in [
            "http://127.0.0.1.evil.example",
            "http://localhost@evil.example",
            "ftp://localhost",
            "localhost",
        ] {
            assert!(!is_here(url), "{url}");
        }
    }
}
