// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Everything that can be asked, on one screen.

mod v1;
mod v2;
mod web;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{any, delete, get, patch, post, put},
};

use crate::{access, metrics, state::App, websocket};

/// States that are told over the web socket as well.
pub mod v1_states {
    use serde_json::Value;

    use super::v1;
    use crate::{error::Answer, state::App};

    /// All jobs in an order.
    pub async fn backups(app: &App, order: &str) -> Answer<Value> {
        v1::backups::listed(app, order).await
    }

    /// How far the running task is.
    pub fn progress(app: &App) -> Option<Value> {
        v1::tasks::shown_progress(app)
    }

    /// Whether anybody else controls this server.
    pub fn remote_control() -> Value {
        v1::about::remote_control_state()
    }
}

/// Longest request body, bytes: an exported job with a million filters would fit.
const BODY_BYTES_MAX: usize = 16 << 20;

/// The route table.
pub fn routes(app: &App) -> Router {
    let open = Router::new()
        .route("/auth/login", post(v1::auth::login))
        .route("/auth/signin", post(v1::auth::signin))
        .route("/auth/refresh", post(v1::auth::refresh))
        .route("/auth/refresh/logout", post(v1::auth::logout))
        .route("/auth/status", post(v1::auth::status))
        .route("/auth/issuesignintoken", post(v1::auth::issue_signin_token))
        .route("/commandline", get(v1::command_line::commands))
        .route("/backup/{id}/export", get(v1::backup_export::export));
    let closed = Router::new()
        .route("/auth/issuetoken/{operation}", post(v1::auth::issue_token))
        .route("/auth/issue-forever-token", post(v1::auth::issue_forever_token))
        .route("/systeminfo", get(v1::system_info::system_info))
        .route("/systeminfo/filtergroups", get(v1::system_info::filter_groups))
        .route("/serverstate", get(v1::server_state::state))
        .route("/serverstate/pause", post(v1::server_state::pause))
        .route("/serverstate/resume", post(v1::server_state::resume))
        .route(
            "/serversettings",
            get(v1::server_settings::all).patch(v1::server_settings::change),
        )
        .route(
            "/serversetting/{key}",
            get(v1::server_settings::one).put(v1::server_settings::set),
        )
        .route("/uisettings", get(v1::ui_settings::schemes))
        .route("/uisettings/{scheme}", get(v1::ui_settings::values))
        .route("/uisettings/{scheme}", patch(v1::ui_settings::change))
        .route("/backups", get(v1::backups::list).post(v1::backups::create))
        .route("/backups/import", post(v1::backups_import::import))
        .route("/backup/{id}", get(v1::backup::get))
        .route("/backup/{id}", put(v1::backup::update))
        .route("/backup/{id}", delete(v1::backup::delete))
        .route("/backup/{id}/start", post(v1::backup_operations::start))
        .route("/backup/{id}/run", post(v1::backup_operations::start))
        .route("/backup/{id}/restore", post(v1::backup_operations::restore))
        .route("/backup/{id}/repair", post(v1::backup_operations::repair))
        .route(
            "/backup/{id}/repairupdate",
            post(v1::backup_operations::repair_update),
        )
        .route("/backup/{id}/verify", post(v1::backup_operations::verify))
        .route("/backup/{id}/compact", post(v1::backup_operations::compact))
        .route("/backup/{id}/vacuum", post(v1::backup_operations::vacuum))
        .route(
            "/backup/{id}/createreport",
            post(v1::backup_operations::create_report),
        )
        .route(
            "/backup/{id}/report-remote-size",
            post(v1::backup_operations::report_remote_size),
        )
        .route("/backup/{id}/deletedb", post(v1::backup_database::delete))
        .route("/backup/{id}/movedb", post(v1::backup_database::relocate))
        .route("/backup/{id}/updatedb", post(v1::backup_database::update))
        .route(
            "/backup/{id}/isdbusedelsewhere",
            get(v1::backup_database::is_used_elsewhere),
        )
        .route("/backup/{id}/copytotemp", post(v1::backup::copy_to_temporary))
        .route("/backup/{id}/isactive", get(v1::backup::is_active))
        .route("/backup/{id}/log", get(v1::backup_data::log))
        .route("/backup/{id}/remotelog", get(v1::backup_data::remote_log))
        .route("/backup/{id}/filesets", get(v1::backup_data::filesets))
        .route("/backup/{id}/files", get(v1::backup_data::files))
        .route(
            "/backup/{id}/export-cmdline",
            get(v1::backup_export::command_line),
        )
        .route(
            "/backup/{id}/export-argsonly",
            get(v1::backup_export::arguments_only),
        )
        .route("/backupdefaults", get(v1::backups::defaults))
        .route("/filesystem", post(v1::filesystem::list))
        .route("/filesystem/validate", post(v1::filesystem::validate))
        .route("/remoteoperation/test", post(v1::remote_operation::test))
        .route("/remoteoperation/create", post(v1::remote_operation::create))
        .route(
            "/remoteoperation/dbpath",
            post(v1::remote_operation::database_path),
        )
        .route("/progressstate", get(v1::tasks::progress))
        .route("/tasks", get(v1::tasks::all))
        .route("/task/{id}", get(v1::tasks::one))
        .route("/task/{id}/stop", post(v1::tasks::stop))
        .route("/task/{id}/abort", post(v1::tasks::abort))
        .route("/notifications", get(v1::notifications::all))
        .route("/notification/{id}", get(v1::notifications::one))
        .route("/notification/{id}", delete(v1::notifications::dismiss))
        .route("/logdata/poll", get(v1::log_data::poll))
        .route("/logdata/log", get(v1::log_data::log))
        .route("/logdata/crashlog", get(v1::log_data::crash_log))
        .route("/changelog", get(v1::about::changelog))
        .route("/licenses", get(v1::about::licenses))
        .route("/acknowledgements", get(v1::about::acknowledgements))
        .route("/updates/check", post(v1::about::check_updates))
        .route("/webmodules", get(v1::about::web_modules))
        .route("/webmodule/{key}", post(v1::about::web_module))
        .route("/remotecontrol/status", get(v1::about::remote_control))
        .layer(from_fn_with_state(app.clone(), access::require_token));
    let second = Router::new()
        .route("/backup/list-filesets", post(v2::backup_listing::filesets))
        .route("/backup/list-folder", post(v2::backup_listing::folder))
        .route("/backup/list-versions", post(v2::backup_listing::versions))
        .route("/backup/search", post(v2::backup_listing::search))
        .route(
            "/backup/list-broken-files",
            post(v2::backup_listing::broken_files),
        )
        .route(
            "/backup/purge-broken-files",
            post(v2::backup_versions::purge_broken_files),
        )
        .route("/backup/delete-versions", post(v2::backup_versions::delete))
        .route("/destination/test", post(v2::destination::test))
        .route("/filesystem/test-filter", post(v2::filesystem::test_filter))
        .route("/system/temp-disk-space", post(v2::filesystem::temporary_space))
        .route("/connection-strings", get(v2::destination::connection_strings))
        .layer(from_fn_with_state(app.clone(), access::require_token));
    let api = Router::new()
        .nest("/api/v1", open.merge(closed))
        .nest("/api/v2", second)
        .layer(from_fn_with_state(app.clone(), access::check_host));
    Router::new()
        .merge(api)
        .route("/health", get(web::health))
        .route("/metrics", get(metrics::serve))
        .route("/notifications", any(websocket::connect))
        .route("/", get(web::start_page))
        .route("/login.html", get(web::login_page))
        .route("/signin.html", get(web::login_page))
        .layer(from_fn_with_state(app.clone(), access::cross_origin))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app.clone())
}
