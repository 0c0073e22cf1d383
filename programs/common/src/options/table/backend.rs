// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What destinations share, and the options of file, S3-compatible and SSH destinations.

use super::super::spec::{COUNT, Group, Kind, OptionSpec, one_of};

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Backend, name, kind, default, help)
}

use Kind::{Boolean, List, Path, PathList, Secret, Text, Timespan};

pub(super) const OPTIONS: &[OptionSpec] = &[
    option(
        "auth-username",
        Text,
        "",
        "The user name at the destination. The environment variable \
         AUTH_USERNAME is used when the option is absent.",
    ),
    option(
        "auth-password",
        Secret,
        "",
        "The password at the destination. The environment variable \
         AUTH_PASSWORD is used when the option is absent.",
    ),
    option("use-ssl", Boolean, "", "Talks to the destination through TLS."),
    option(
        "accept-any-ssl-certificate",
        Boolean,
        "",
        "Trusts whatever certificate the destination shows. Anyone on the way \
         can then read credentials.",
    ),
    option(
        "accept-specified-ssl-hash",
        List(','),
        "",
        "Trusts certificates with these SHA-1 hashes.",
    ),
    option(
        "ignore-revocation-failure",
        Boolean,
        "",
        "Goes on when it cannot be found out whether a certificate is revoked.",
    )
    .ignored("the revocation of certificates is not looked up"),
    option(
        "authid",
        Secret,
        "",
        "The id that an OAuth service has given for this destination.",
    )
    .ignored("no destination of this version signs in by OAuth"),
    option("oauth-url", Text, "", "The OAuth service that has given the id.")
    .ignored("no destination of this version signs in by OAuth"),
    // file
    option(
        "alternate-target-paths",
        PathList,
        "",
        "Folders to try when the destination folder does not exist.",
    ),
    option(
        "alternate-destination-marker",
        Text,
        "",
        "A file that must be in a folder for it to be the destination.",
    ),
    option(
        "use-move-for-put",
        Boolean,
        "",
        "Moves finished files to the destination instead of copying them.",
    )
    .ignored("objects are written at the destination and get their name there; nothing is left to move"),
    option(
        "disable-length-verification",
        Boolean,
        "",
        "Does not check the size of a file after copying it.",
    )
    .ignored("what is written is always checked"),
    option(
        "disable-filename-sanitation",
        Boolean,
        "",
        "Does not check the names of files at the destination.",
    )
    .ignored("the names of objects need none"),
    // s3, e2
    option(
        "aws-access-key-id",
        Text,
        "",
        "The S3 access key; auth-username does the same.",
    ),
    option(
        "aws-secret-access-key",
        Secret,
        "",
        "The S3 secret key; auth-password does the same.",
    ),
    option(
        "s3-server-name",
        Text,
        "",
        "The host of the S3 service, or its URL.",
    )
    .aliases(&["s3-servername"]),
    option(
        "s3-location-constraint",
        Text,
        "",
        "The region in which a bucket is created.",
    ),
    option(
        "s3-authentication-region",
        Text,
        "",
        "The region used for signing requests.",
    ),
    option(
        "s3-storage-class",
        Text,
        "",
        "The storage class of uploaded objects.",
    ),
    option(
        "s3-client",
        one_of(&["aws", "minio"]),
        "aws",
        "The client library.",
    )
    .ignored("there is one S3 client"),
    option(
        "s3-disable-chunk-encoding",
        Boolean,
        "",
        "Does not upload in signed chunks.",
    )
    .ignored("uploads are never encoded in chunks"),
    option(
        "s3-disable-payload-signing",
        Boolean,
        "",
        "Does not sign the content of uploads.",
    )
    .ignored("the client decides; the objects carry checks of their own"),
    option(
        "s3-list-api-version",
        one_of(&["v1", "v2"]),
        "v2",
        "The version of the listing request.",
    ),
    option(
        "s3-recursive-list",
        Boolean,
        "",
        "Lists below the prefix as well.",
    )
    .ignored("listings always reach below the prefix"),
    option(
        "s3-archive-classes",
        List(','),
        "",
        "The storage classes from which objects cannot be read at once.",
    )
    .ignored("objects that cannot be read at once are not told from others; keep a repository in classes that can"),
    option(
        "s3-lock-mode",
        one_of(&["governance", "compliance"]),
        "",
        "How strictly locked objects are kept.",
    )
    .refused("objects are not locked by this version; let the bucket lock them by a rule of its own, for less time than versions are kept")
    .aliases(&["s3-object-lock-mode"]),
    option(
        "s3-ext-*",
        Text,
        "",
        "Further settings of the S3 client, for example s3-ext-forcepathstyle.",
    ),
    option(
        "access_key_id",
        Text,
        "",
        "The access key of an IDrive e2 destination.",
    ),
    option(
        "access_key_secret",
        Secret,
        "",
        "The secret key of an IDrive e2 destination.",
    )
    .aliases(&["access_secret_key"]),
    // ssh
    option(
        "ssh-fingerprint",
        Text,
        "",
        "The fingerprint of the host key that the server must show.",
    ),
    option(
        "ssh-accept-any-fingerprints",
        Boolean,
        "",
        "Trusts whatever host key the server shows. Anyone on the way can then pose as the server.",
    ),
    option("ssh-keyfile", Path, "", "The file with the private key."),
    option(
        "ssh-key",
        Secret,
        "",
        "The private key itself, as sshkey:// and the URL-encoded key.",
    ),
    option(
        "ssh-keepalive",
        Timespan,
        "",
        "How often to send something over an idle connection.",
    ),
    option(
        "ssh-disable-agent",
        Boolean,
        "",
        "Does not ask the SSH agent for keys.",
    ),
    option(
        "ssh-relative-path",
        Boolean,
        "",
        "Reads the path of the URL as relative to the home folder.",
    ),
    option(
        "ssh-operation-timeout",
        Timespan,
        "",
        "Gives up a request after this time.",
    )
    .deprecated("short-timeout and read-write-timeout take its place"),
    // rclone
    option(
        "rclone-remote-repository",
        Text,
        "",
        "The configured name of the remote in rclone.",
    )
    .ignored("this version has no rclone destination"),
    option("rclone-remote-path", Text, "", "The path at the remote.")
    .ignored("this version has no rclone destination"),
    option(
        "rclone-local-repository",
        Text,
        "local",
        "The configured name of the local side in rclone.",
    )
    .ignored("this version has no rclone destination"),
    option("rclone-option", Text, "", "Further arguments for rclone.")
    .ignored("this version has no rclone destination"),
    option("rclone-executable", Path, "rclone", "The rclone program.")
    .ignored("this version has no rclone destination"),
    // b2
    option(
        "b2-accountid",
        Text,
        "",
        "The id of the B2 key; auth-username does the same.",
    )
    .ignored("B2 is reached as s3; use auth-username"),
    option(
        "b2-applicationkey",
        Secret,
        "",
        "The B2 key; auth-password does the same.",
    )
    .ignored("B2 is reached as s3; use auth-password"),
    option(
        "b2-page-size",
        COUNT,
        "500",
        "How many names one listing request returns.",
    )
    .ignored("B2 is reached as s3"),
    option("b2-download-url", Text, "", "Another host for downloads.")
    .ignored("B2 is reached as s3"),
    option(
        "b2-create-bucket-type",
        Text,
        "allPrivate",
        "Who may read a bucket that is created.",
    )
    .ignored("buckets are not created; create it first"),
    option(
        "b2-lock-mode",
        one_of(&["Governance", "Compliance"]),
        "",
        "How strictly locked files are kept.",
    )
    .refused("objects are not locked by this version; let the bucket lock them by a rule of its own, for less time than versions are kept")
    .aliases(&["b2-retention-mode"]),
];
