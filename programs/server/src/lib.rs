// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `duplicati-server`: keeps jobs, runs them on schedule or on request, and answers Duplicati's HTTP API.
//!
//! Reading order: [`options`] (what can be said at the start), [`app`] (from there to a running server and back), [`lock`], [`listener`],
//! [`commands`] (how jobs are carried out), [`logging`].

mod app;
mod commands;
mod https;
mod listener;
mod lock;
mod logging;
mod options;
mod stop;

pub use app::run;
