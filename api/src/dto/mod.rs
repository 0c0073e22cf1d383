// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Objects as clients read them: Duplicati's names and forms. Each file makes one kind.

pub mod backup;
pub mod notification;
pub mod progress;
pub mod server_status;
pub mod task;
pub mod time;
