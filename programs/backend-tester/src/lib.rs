// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `duplicati-backend-tester`: writes random files to a target, reads them back, and removes them.
//!
//! Reading order: [`app`] (arguments → exit code), [`settings`] (the program's own options), [`rounds`] (one round of tests).

mod app;
mod rounds;
mod settings;

pub use app::run;
