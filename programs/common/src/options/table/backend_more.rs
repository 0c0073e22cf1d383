// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The options of WebDAV, FTP, SMB and the cloud destinations.

use super::super::spec::{COUNT, Group, Kind, OptionSpec, one_of};
use crate::value::SizeUnit;

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Backend, name, kind, default, help)
}

use Kind::{Boolean, List, Path, Secret, Size, Text, Timespan};

const ENCRYPTION: Kind = one_of(&["None", "Implicit", "Explicit", "Auto"]);

/// The settings that the two FTP clients have in common under their own prefix.
macro_rules! ftp_options {
    ($prefix:literal) => {
        &[
            option(
                concat!($prefix, "-encryption-mode"),
                ENCRYPTION,
                "None",
                "Whether and how FTP uses TLS.",
            ),
            option(
                concat!($prefix, "-data-connection-type"),
                Text,
                "AutoPassive",
                "How FTP opens its data connection.",
            ),
            option(
                concat!($prefix, "-ssl-protocols"),
                Text,
                "",
                "The versions of TLS that FTP may use.",
            ),
            option(
                concat!($prefix, "-upload-delay"),
                Timespan,
                "0s",
                "How long to wait after an FTP upload before it is checked.",
            ),
            option(
                concat!($prefix, "-log-to-console"),
                Boolean,
                "",
                "Prints the FTP conversation.",
            ),
            option(
                concat!($prefix, "-log-privateinfo-to-console"),
                Boolean,
                "",
                "Prints names and passwords of the FTP conversation.",
            )
            .ignored("credentials are never printed"),
        ]
    };
}

pub(super) const FTP: &[OptionSpec] = ftp_options!("ftp");
pub(super) const ALTERNATIVE_FTP: &[OptionSpec] = ftp_options!("aftp");

pub(super) const OPTIONS: &[OptionSpec] = &[
    // webdav
    option(
        "integrated-authentication",
        Boolean,
        "",
        "Signs in with the account of the process.",
    )
    .not_on_linux(),
    option(
        "force-digest-authentication",
        Boolean,
        "",
        "Signs in to WebDAV with digest authentication only.",
    ),
    option(
        "use-extended-propfind",
        Boolean,
        "",
        "Asks WebDAV for more properties when listing.",
    ),
    option(
        "use-legacy-parsing",
        Boolean,
        "",
        "Reads WebDAV listings leniently.",
    ),
    option(
        "debug-propfind-file",
        Path,
        "",
        "Writes the last WebDAV listing to this file.",
    ),
    // ftp, aftp
    option(
        "ftp-absolute-path",
        Boolean,
        "",
        "Reads the path of an FTP URL as absolute.",
    ),
    option(
        "aftp-relative-path",
        Boolean,
        "",
        "Reads the path of an aftp URL as relative.",
    ),
    option(
        "ftp-use-cwd-names",
        Boolean,
        "",
        "Changes into the FTP folder before naming files.",
    ),
    option(
        "disable-upload-verify",
        Boolean,
        "",
        "Does not check FTP uploads by listing them.",
    ),
    option(
        "ignore-pureftpd-limit-issue",
        Boolean,
        "",
        "Does not warn about the listing limit of Pure-FTPd.",
    ),
    option("ftp-log-diagnostics", Boolean, "", "Logs the FTP conversation."),
    option("ftp-passive", Boolean, "", "Uses passive FTP connections.")
        .deprecated("ftp-data-connection-type takes its place"),
    option("ftp-regular", Boolean, "", "Uses active FTP connections.")
        .deprecated("ftp-data-connection-type takes its place"),
    // azure
    option("azure-account-name", Text, "", "The Azure storage account."),
    option(
        "azure-access-key",
        Secret,
        "",
        "The key of the Azure storage account.",
    ),
    option(
        "azure-access-sas-token",
        Secret,
        "",
        "A shared access signature instead of the key.",
    ),
    option(
        "azure-endpoint",
        Text,
        "",
        "The URL of the Azure Blob service, for other clouds and emulators.",
    )
    .own(),
    option("azure-access-tier", Text, "", "The tier of uploaded Azure blobs."),
    option(
        "azure-archive-classes",
        List(','),
        "",
        "The tiers from which Azure blobs cannot be read at once.",
    ),
    option(
        "azure-internal-retries",
        COUNT,
        "3",
        "How often the Azure client itself tries again.",
    ),
    option(
        "azure-blob-immutability-policy-mode",
        Text,
        "",
        "How strictly locked Azure blobs are kept.",
    ),
    // gcs
    option(
        "gcs-service-account-json",
        Secret,
        "",
        "The Google service account as JSON.",
    ),
    option(
        "gcs-service-account-file",
        Path,
        "",
        "The file with the Google service account.",
    ),
    option(
        "gcs-project",
        Text,
        "",
        "The Google project in which a bucket is created.",
    ),
    option("gcs-location", Text, "", "Where a Google bucket is created."),
    option(
        "gcs-storage-class",
        Text,
        "",
        "The storage class of a Google bucket that is created.",
    ),
    option(
        "gcs-retention-policy-mode",
        one_of(&["Locked", "Unlocked"]),
        "",
        "How strictly locked Google objects are kept.",
    ),
    // openstack
    option(
        "openstack-authuri",
        Text,
        "",
        "The URL at which OpenStack signs in.",
    ),
    option("openstack-tenant-name", Text, "", "The OpenStack tenant."),
    option("openstack-domain-name", Text, "", "The OpenStack domain."),
    option(
        "openstack-apikey",
        Secret,
        "",
        "The OpenStack key instead of a password.",
    ),
    option("openstack-region", Text, "", "The OpenStack region."),
    option(
        "openstack-version",
        Text,
        "",
        "The version of the OpenStack identity service; v3 when the URL ends so.",
    ),
    // smb
    option("auth-domain", Text, "", "The domain of the SMB account."),
    option(
        "transport",
        one_of(&["directtcp", "netbios"]),
        "directtcp",
        "How SMB connects.",
    ),
    option(
        "read-buffer-size",
        Size(SizeUnit::Bytes),
        "",
        "How much SMB reads at once.",
    ),
    option(
        "write-buffer-size",
        Size(SizeUnit::Bytes),
        "",
        "How much SMB writes at once.",
    ),
];
