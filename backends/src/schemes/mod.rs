// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One module per scheme: how its address becomes a store, and what that kind of target can do.

pub mod azure;
mod bucket;
pub mod file;
pub mod ftp;
pub mod gcs;
pub(crate) mod names;
pub mod s3;
pub mod sftp;
mod time;
pub mod webdav;
