// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Version 1 of the interface: one file for each kind of thing.

pub mod about;
pub mod auth;
pub mod backup;
pub mod backup_data;
pub mod backup_database;
pub mod backup_export;
pub mod backup_input;
pub mod backup_operations;
pub mod backups;
pub mod backups_import;
pub mod command_line;
pub mod filesystem;
pub mod log_data;
pub mod notifications;
pub mod remote_operation;
pub mod server_settings;
pub mod server_state;
pub mod system_info;
pub mod tasks;
pub mod ui_settings;
