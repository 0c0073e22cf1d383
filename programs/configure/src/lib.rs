// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `duplicati-configure`: HTTPS certificates of the server, and a data folder that is closed to others.
//!
//! Reading order: [`app`] (arguments → exit code), [`arguments`], [`https`] (what is done with certificates), [`system_trust`] (what this machine
//! trusts), [`secure`] (the data folder).

mod app;
mod arguments;
mod https;
mod secure;
mod system_trust;

pub use app::run;
