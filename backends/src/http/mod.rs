// SPDX-License-Identifier: Apache-2.0 OR MIT
//! HTTP for all stores that speak it: one client per store, TLS by our options, bodies that keep limits and show progress.
//!
//! [`client`] makes the client, [`tls`] decides which certificates are trusted, [`body`] moves the bytes,
//! [`transport`] hands all of it to OpenDAL, [`retry_after`] carries a target's wish to be left alone to the error.

pub mod body;
pub mod client;
pub mod retry_after;
pub mod tls;
pub mod transport;
