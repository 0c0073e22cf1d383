// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `duplicati-server-util`: controls a running server over its HTTP API.
//!
//! Reading order: [`app`] (arguments → exit code), [`arguments`] (what was typed), [`client`] (requests and signing in), [`trust`] (certificates), [`machine`] (what a server of this machine
//! keeps), [`session`] (what is
//! remembered), [`commands`], [`report`] (what is printed).

mod app;
mod arguments;
mod client;
mod commands;
mod machine;
mod report;
mod session;
mod trust;

pub use app::run;
