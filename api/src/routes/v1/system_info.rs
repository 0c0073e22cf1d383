// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What this server is and can do. Clients draw their forms from it.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::{
    commands_port::OptionInfo,
    live_log::LOG_LEVELS,
    operations::arguments::special_folders,
    settings::PLACEHOLDER,
    state::{App, State as Server},
};

/// What clients may rely on.
const EXTENSIONS: &[&str] = &[
    "v2:backup:list-filesets",
    "v2:backup:list-folder",
    "v2:backup:list-versions",
    "v2:backup:search",
    "v2:destination:test",
    "v1:websocket",
    "v1:gettask:taskstarted",
    "v1:gettask:taskfinished",
    "v1:websocket:authenticate",
    "v1:subscribe:legacystatus",
    "v1:subscribe:backuplist",
    "v1:subscribe:serversettings",
    "v1:subscribe:progress",
    "v1:subscribe:taskqueue",
    "v1:subscribe:taskcompleted",
    "v1:subscribe:notifications",
    "v1:subscribe:remotecontrol",
    "v2:system:temp-disk-space",
    "v2:filesystem:test-filter",
    "v2:backup:list-broken-files",
    "v2:backup:purge-broken-files",
    "v2:backup:delete-versions",
];
/// Options of the destination forms, by scheme.
const DESTINATION_OPTIONS: &[(&str, &[&str])] = &[
    ("ssh", &["auth-username", "auth-password", "ssh-"]),
    ("ftp", &["auth-username", "auth-password", "ftp-", "use-ssl"]),
    ("aftp", &["auth-username", "auth-password", "aftp-"]),
    ("webdav", &["use-ssl", "auth-username", "auth-password"]),
    (
        "s3",
        &["auth-username", "auth-password", "use-ssl", "s3-", "aws-"],
    ),
    ("e2", &["auth-username", "auth-password", "access_key", "s3-"]),
    ("b2", &["auth-username", "auth-password", "b2-"]),
    ("azure", &["auth-username", "auth-password", "azure-"]),
    ("gcs", &["authid", "gcs-"]),
    ("googledrive", &["authid", "googledrive-"]),
    ("dropbox", &["authid"]),
    ("onedrivev2", &["authid"]),
    ("openstack", &["auth-username", "auth-password", "openstack-"]),
    ("rclone", &["rclone-"]),
    ("file", &["use-move-for-put", "alternate-"]),
];

fn argument(info: &OptionInfo) -> Value {
    json!({
        "Aliases": if info.aliases.is_empty() { Value::Null } else { json!(info.aliases) },
        "LongDescription": info.help,
        "Name": info.name,
        "ShortDescription": info.help.split(". ").next().unwrap_or_default(),
        "Type": info.kind,
        "ValidValues": if info.values.is_empty() { Value::Null } else { json!(info.values) },
        "DefaultValue": info.default,
        "Typename": info.kind,
        "Deprecated": info.deprecation.is_some(),
        "DeprecationMessage": info.deprecation,
    })
}

fn module(key: &str, name: &str, description: &str, options: Vec<Value>) -> Value {
    json!({
        "Key": key, "Description": description, "DisplayName": name, "Options": options, "Lookups": null,
        "IsDeprecated": false, "IsUntested": false,
    })
}

fn destinations(server: &Server) -> Vec<Value> {
    let schemes = server.commands.schemes();
    schemes
        .into_iter()
        .map(|scheme| {
            let wanted = DESTINATION_OPTIONS
                .iter()
                .find(|(known, _)| *known == scheme.as_str());
            let is_wanted = |info: &&OptionInfo| {
                wanted.is_some_and(|(_, names)| {
                    names.iter().any(|name| {
                        let names_of_option = std::iter::once(&info.name).chain(info.aliases);
                        names_of_option.clone().any(|known| {
                            if name.ends_with('-') {
                                known.starts_with(name)
                            } else {
                                known == name
                            }
                        })
                    })
                })
            };
            let options = server
                .option_table
                .iter()
                .filter(|info| info.is_backend)
                .filter(is_wanted)
                .map(argument)
                .collect();
            let name = if scheme == "file" {
                "File system"
            } else {
                scheme.as_str()
            };
            module(&scheme, name, "A destination for backups", options)
        })
        .collect()
}

pub async fn system_info(State(app): State<App>, headers: HeaderMap) -> Json<Value> {
    let options: Vec<Value> = app
        .option_table
        .iter()
        .filter(|info| !info.is_backend && !info.name.ends_with('*'))
        .map(argument)
        .collect();
    let zone = TimeZone::system();
    let now = app.now().to_zoned(zone.clone());
    let disabled = app.settings.server_or_default("disable-api-extensions");
    let is_enabled = |extension: &&&str| !disabled.split([',', ';']).any(|name| name.trim() == **extension);
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let locale = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split([',', ';']).next())
        .unwrap_or("en-US")
        .to_owned();
    let locale = json!({"Code": locale, "EnglishName": locale, "DisplayName": locale});
    let license = json!({
        "IsConfigured": false, "IsValid": false, "IsInGracePeriod": false, "ExpiresAt": null,
        "ExpiresWithGraceAt": null, "Features": null,
    });
    let mut info = Map::new();
    let values = json!({
        "APIVersion": 1,
        "PasswordPlaceholder": PLACEHOLDER,
        "ServerVersion": app.options.version,
        "ServerVersionName": format!("duplicati-server {}", app.options.version),
        "ServerVersionType": "Stable",
        "RemoteControlRegistrationUrl": "", "RemoteControlDashboardUrl": "",
        "StartedBy": "Server",
        "DefaultUpdateChannel": "Stable", "DefaultUsageReportLevel": "Disabled",
        "ServerTime": now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        "ServerTimeZone": zone.iana_name().unwrap_or("UTC"),
        "OSType": "Linux",
        "OSVersion": read("/proc/sys/kernel/osrelease"),
        "MachineName": read("/proc/sys/kernel/hostname"),
        "UserName": std::env::var("USER").unwrap_or_default(),
        "PackageTypeId": "linux", "CLRVersion": "", "NewLine": "\n",
        "DirectorySeparator": "/", "PathSeparator": ":",
        "CaseSensitiveFilesystem": true, "UsingAlternateUpdateURLs": false, "BrowserLocaleSupported": true,
    });
    let more = json!({
        "Options": options,
        "ServerOnlyOptions": [],
        "CompressionModules": [module("zip", "zstd", "Compression with zstd", Vec::new())],
        "EncryptionModules": [module("aes", "age encryption, built in", "Encryption with age (ChaCha20-Poly1305)", Vec::new())],
        "BackendModules": destinations(&app),
        "GenericModules": [], "WebModules": [], "ConnectionModules": [], "SourceProviderModules": [],
        "RestoreDestinationProviderModules": [], "SecretProviderModules": [], "ServerModules": [],
        "LogLevels": LOG_LEVELS.map(|(_, name)| name),
        "SpecialFolders": special_folders().into_iter().map(|(id, path)| json!({"ID": id, "Path": path})).collect::<Vec<_>>(),
        "BrowserLocale": locale,
        "SupportedLocales": [{"Code": "en-US", "EnglishName": "English", "DisplayName": "English"}],
        "TimeZones": time_zones(&app),
        "APIExtensions": EXTENSIONS.iter().filter(is_enabled).collect::<Vec<_>>(),
        "APIScopes": ["*"],
        "DefaultOAuthURL": "", "DefaultOAuthURLv2": "",
        "PowerModeProviders": ["", "None"],
        "LocalLicenseStatus": license, "RemoteLicenseStatus": license,
    });
    for part in [values, more] {
        if let Value::Object(mut part) = part {
            info.append(&mut part);
        }
    }
    Json(Value::Object(info))
}

fn time_zones(server: &Server) -> Vec<Value> {
    let now = server.now();
    jiff::tz::db()
        .available()
        .filter_map(|name| {
            let name = name.to_string();
            let offset = TimeZone::get(&name).ok()?.to_offset(now).seconds();
            let sign = if offset < 0 { "-" } else { "" };
            let seconds = offset.unsigned_abs();
            let offset = format!(
                "{sign}{:02}:{:02}:{:02}",
                seconds / 3_600,
                seconds / 60 % 60,
                seconds % 60
            );
            Some(json!({"ID": name, "DisplayName": name, "CurrentUTCOffset": offset}))
        })
        .collect()
}

pub async fn filter_groups(State(app): State<App>) -> Json<Value> {
    let groups: Map<String, Value> = app
        .commands
        .filter_groups()
        .into_iter()
        .map(|(name, expressions)| (name.to_owned(), expressions.into()))
        .collect();
    Json(json!({"FilterGroups": groups}))
}
