// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `duplicati-backend-tool`: one request to a target, by hand.
//!
//! Reading order: [`app`] (arguments → command → exit code), [`commands`] (what each does).

mod app;
mod commands;

pub use app::run;
