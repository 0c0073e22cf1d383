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
            )
            .ignored("TLS 1.2 and 1.3 are used"),
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
            )
            .ignored("the FTP conversation is not printed"),
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
    )
    .ignored("a listing asks for what is needed"),
    option(
        "use-legacy-parsing",
        Boolean,
        "",
        "Reads WebDAV listings leniently.",
    )
    .ignored("listings are always read by local names alone"),
    option(
        "debug-propfind-file",
        Path,
        "",
        "Writes the last WebDAV listing to this file.",
    )
    .ignored("listings are not written to a file"),
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
    )
    .ignored("files are named by their whole path"),
    option(
        "disable-upload-verify",
        Boolean,
        "",
        "Does not check FTP uploads by listing them.",
    )
    .ignored("the size of an upload is always looked at"),
    option(
        "ignore-pureftpd-limit-issue",
        Boolean,
        "",
        "Does not warn about the listing limit of Pure-FTPd.",
    )
    .ignored("a listing that the server cuts is an error, not a warning"),
    option("ftp-log-diagnostics", Boolean, "", "Logs the FTP conversation.")
    .ignored("the FTP conversation is not printed"),
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
    option("azure-access-tier", Text, "", "The tier of uploaded Azure blobs.")
    .ignored("blobs get the default tier of the account"),
    option(
        "azure-archive-classes",
        List(','),
        "",
        "The tiers from which Azure blobs cannot be read at once.",
    )
    .ignored("blobs that cannot be read at once are not told from others; keep a repository in tiers that can"),
    option(
        "azure-internal-retries",
        COUNT,
        "3",
        "How often the Azure client itself tries again.",
    )
    .ignored("number-of-retries counts all tries"),
    option(
        "azure-blob-immutability-policy-mode",
        Text,
        "",
        "How strictly locked Azure blobs are kept.",
    )
    .refused("objects are not locked by this version; let the bucket lock them by a rule of its own, for less time than versions are kept"),
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
        "gcs-endpoint",
        Text,
        "",
        "The URL of the Google Cloud Storage service, for emulators; without a service account nothing is signed.",
    )
    .own(),
    option(
        "gcs-project",
        Text,
        "",
        "The Google project in which a bucket is created.",
    )
    .ignored("buckets are not created; create it first"),
    option("gcs-location", Text, "", "Where a Google bucket is created.")
    .ignored("buckets are not created; create it first"),
    option(
        "gcs-storage-class",
        Text,
        "",
        "The storage class of a Google bucket that is created.",
    )
    .mapped("it is the class of the objects that are uploaded"),
    option(
        "gcs-retention-policy-mode",
        one_of(&["Locked", "Unlocked"]),
        "",
        "How strictly locked Google objects are kept.",
    )
    .refused("objects are not locked by this version; let the bucket lock them by a rule of its own, for less time than versions are kept"),
    // openstack
    option(
        "openstack-authuri",
        Text,
        "",
        "The URL at which OpenStack signs in.",
    )
    .ignored("this version has no OpenStack destination"),
    option("openstack-tenant-name", Text, "", "The OpenStack tenant.")
    .ignored("this version has no OpenStack destination"),
    option("openstack-domain-name", Text, "", "The OpenStack domain.")
    .ignored("this version has no OpenStack destination"),
    option(
        "openstack-apikey",
        Secret,
        "",
        "The OpenStack key instead of a password.",
    )
    .ignored("this version has no OpenStack destination"),
    option("openstack-region", Text, "", "The OpenStack region.")
    .ignored("this version has no OpenStack destination"),
    option(
        "openstack-version",
        Text,
        "",
        "The version of the OpenStack identity service; v3 when the URL ends so.",
    )
    .ignored("this version has no OpenStack destination"),
    // smb
    option("auth-domain", Text, "", "The domain of the SMB account.")
    .ignored("this version has no SMB destination"),
    option(
        "transport",
        one_of(&["directtcp", "netbios"]),
        "directtcp",
        "How SMB connects.",
    )
    .ignored("this version has no SMB destination"),
    option(
        "read-buffer-size",
        Size(SizeUnit::Bytes),
        "",
        "How much SMB reads at once.",
    )
    .ignored("this version has no SMB destination"),
    option(
        "write-buffer-size",
        Size(SizeUnit::Bytes),
        "",
        "How much SMB writes at once.",
    )
    .ignored("this version has no SMB destination"),
];
