// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `duplicati-sync-tool`: makes one target the copy of another, file by file, without opening any of them.
//!
//! Reading order: [`app`] (arguments → exit code), [`arguments`], `duplicati_engine::mirror` (what is to be done, without doing it), [`copying`].

mod app;
mod arguments;
mod copying;

pub use app::run;
