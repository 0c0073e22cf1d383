// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The server's interface for people and programs: Duplicati's HTTP API, its web socket, and what is kept between runs.
//!
//! Reading order: [`routes`] (everything that can be asked, on one screen), [`state`] (what every request gets), [`operations`] (what a job
//! does), [`database`], [`auth`], [`websocket`], [`server`].
//!
//! What this crate does not know: how a backup is made. That is behind [`commands_port`].

pub mod access;
pub mod auth;
pub mod commands_port;
pub mod database;
pub mod dto;
pub mod error;
pub mod https;
pub mod hub;
pub mod json;
pub mod live_log;
pub mod metrics;
pub mod model;
pub mod operations;
pub mod pause;
pub mod rates;
pub mod routes;
pub mod schedules;
pub mod server;
pub mod settings;
pub mod state;
pub mod target_url;
pub mod websocket;
