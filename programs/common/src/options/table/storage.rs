// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How data is laid out, compressed and encrypted at the destination.

use super::super::spec::{ANY_INTEGER, Group, Kind, OptionSpec, one_of};
use crate::value::SizeUnit;

const fn option(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::new(Group::Storage, name, kind, default, help)
}

use Kind::{Boolean, Path, Secret, Size, Text};

const BLAKE3: &str = "chunks and files are always identified by keyed BLAKE3";
const INDEX_SEGMENTS: &str = "index segments are always complete";
const AGE: &str = "objects are age files; the settings of the aes container do not apply";
const NO_GPG: &str = "objects are encrypted with age; the gpg program is not used";
const LEVEL: &str = "the zstd level; 0 to 9 become a zstd level of about the same effort";
const ZSTD: &str = "data is always compressed with zstd";
const HASHES: &[&str] = &["MD5", "SHA1", "SHA256", "SHA384", "SHA512"];
const TASK_CONFIGURATIONS: &[&str] = &[
    "Auto",
    "None",
    "Self",
    "All",
    "SelfWithSecrets",
    "AllWithSecrets",
    "SelfWithUnencryptedSecrets",
    "AllWithUnencryptedSecrets",
];

pub(super) const OPTIONS: &[OptionSpec] = &[
    option(
        "dblock-size",
        Size(SizeUnit::Megabytes),
        "16mb",
        "The largest size of a stored file; 8mb if the destination is a folder. Larger files need \
         fewer requests; smaller ones need less memory and make compacting cheaper.",
    )
    .aliases(&["remote-volume-size"])
    .mapped("the size of packs"),
    option(
        "blocksize",
        Size(SizeUnit::Kilobytes),
        "128kb",
        "The average size of the pieces that files are cut into. It is chosen with the \
         first backup and cannot change later.",
    )
    .mapped("the average size of chunks, which are cut by content"),
    option(
        "block-hash-algorithm",
        one_of(HASHES),
        "SHA256",
        "The hash that identifies a piece of data.",
    )
    .ignored(BLAKE3),
    option(
        "file-hash-algorithm",
        one_of(HASHES),
        "SHA256",
        "The hash that identifies a whole file.",
    )
    .ignored(BLAKE3),
    option(
        "index-file-policy",
        one_of(&["None", "Lookup", "Full"]),
        "Full",
        "How much of the index is stored at the destination.",
    )
    .ignored(INDEX_SEGMENTS),
    option(
        "prefix",
        Text,
        "duplicati",
        "The beginning of the names of stored files; several backups can share \
         a folder with different prefixes. It must not contain a hyphen.",
    ),
    option(
        "compression-module",
        one_of(&["zip", "tgz", "tzstd", "zstd"]),
        "zstd",
        "The kind of compression.",
    )
    .mapped("everything is compressed with zstd"),
    option(
        "compression-extension-file",
        Path,
        "",
        "A file that lists the extensions of files not worth compressing: one \
         per line, starting with a dot; text after a space is a comment.",
    )
    .ignored("content that does not compress is recognised by a test of the content"),
    option(
        "zip-compression-level",
        Kind::Integer { min: 0, max: 9 },
        "",
        "How hard to compress, from 0 (not at all) to 9.",
    )
    .aliases(&["compression-level"])
    .mapped(LEVEL),
    option(
        "tgz-compression-level",
        Kind::Integer { min: 0, max: 9 },
        "",
        "How hard to compress, from 0 (not at all) to 9.",
    )
    .mapped(LEVEL),
    option(
        "tzstd-compression-level",
        Kind::Integer { min: 0, max: 22 },
        "",
        "How hard to compress, as a zstd level.",
    )
    .mapped("the zstd level"),
    option(
        "zstd-level",
        Kind::Integer { min: 1, max: 19 },
        "3",
        "The zstd level. Higher levels store less and need more time; restoring \
         is about equally fast with all of them.",
    )
    .own(),
    option(
        "zip-compression-method",
        Text,
        "Deflate",
        "The method inside zip files.",
    )
    .ignored(ZSTD),
    option(
        "zip-compression-library",
        Text,
        "Auto",
        "The library that writes zip files.",
    )
    .ignored(ZSTD),
    option(
        "zip-compression-zip64",
        Boolean,
        "",
        "Whether to write large zip files.",
    )
    .ignored(ZSTD),
    option(
        "encryption-module",
        Kind::Enum {
            values: &["age", "aes", "gpg"],
            empty_means: Some(""),
        },
        "age",
        "The kind of encryption; an empty value turns it off.",
    )
    .mapped("age, or none if empty")
    .value_warnings(&[
        ("aes", "objects are encrypted with age instead"),
        ("gpg", "objects are encrypted with age instead"),
    ]),
    option(
        "passphrase",
        Secret,
        "",
        "The passphrase that protects the repository. The environment variable \
         PASSPHRASE is used when the option is absent.",
    ),
    option("new-passphrase", Secret, "", "The passphrase to change to."),
    option(
        "allow-passphrase-change",
        Boolean,
        "",
        "Permits a command to go on when the passphrase differs from the one \
         used before. Backup and repair never permit it.",
    )
    .ignored("the command key changes passphrases; elsewhere a passphrase that opens nothing is refused"),
    option(
        "no-encryption",
        Boolean,
        "",
        "Stores data unencrypted. Anyone who can read the destination can then \
         read the backup.",
    ),
    option(
        "identity",
        Path,
        "",
        "A file with an age identity that opens the repository instead of a \
         passphrase.",
    )
    .own(),
    option(
        "recipient",
        Text,
        "",
        "An age or ssh public key that may open the repository.",
    )
    .own(),
    option(
        "write-only",
        Boolean,
        "",
        "Makes a key that can add backups and read nothing of them.",
    )
    .own(),
    option(
        "label",
        Text,
        "",
        "A name for the key, shown when keys are listed.",
    )
    .own(),
    option(
        "skip-pack-verification",
        Boolean,
        "false",
        "Uploads packs without opening them again first. The check finds faulty \
         memory before it can spoil a backup.",
    )
    .own(),
    option(
        "aes-version",
        one_of(&["2", "3"]),
        "",
        "The version of the AES Crypt container.",
    )
    .ignored(AGE),
    option(
        "aes-v3-iterations",
        ANY_INTEGER,
        "",
        "How costly guessing the passphrase of an AES Crypt container is.",
    )
    .ignored(AGE),
    option(
        "aes-minimal-header",
        Boolean,
        "",
        "Whether AES Crypt containers get a short header.",
    )
    .ignored(AGE),
    option("gpg-program-path", Path, "", "Where the gpg program is.").ignored(NO_GPG),
    option(
        "gpg-encryption-command",
        Text,
        "",
        "The command given to gpg for encrypting.",
    )
    .ignored(NO_GPG),
    option(
        "gpg-decryption-command",
        Text,
        "",
        "The command given to gpg for decrypting.",
    )
    .ignored(NO_GPG),
    option(
        "gpg-encryption-switches",
        Text,
        "",
        "Further arguments for gpg when encrypting.",
    )
    .ignored(NO_GPG),
    option(
        "gpg-decryption-switches",
        Text,
        "",
        "Further arguments for gpg when decrypting.",
    )
    .ignored(NO_GPG),
    option(
        "gpg-encryption-enable-armor",
        Boolean,
        "",
        "Whether gpg writes text instead of bytes.",
    )
    .ignored(NO_GPG),
    option(
        "parity-module",
        Text,
        "",
        "Stores additional data from which small damage can be corrected.",
    )
    .ignored("parity data is not part of this version"),
    option("par2-program-path", Path, "", "Where the par2 program is.")
        .ignored("the par2 program is not used"),
    option("par2-extra-options", Text, "", "Further arguments for par2.")
        .ignored("the par2 program is not used"),
    option(
        "parity-redundancy-level",
        Kind::Integer { min: 0, max: 100 },
        "",
        "How much parity data to add, in percent.",
    )
    .ignored("parity data is not part of this version"),
    option(
        "upload-verification-file",
        Boolean,
        "",
        "Stores a plain list of all stored files with sizes and hashes, so that \
         the destination can check itself.",
    )
    .ignored("every stored file holds what is needed to check it, and the command test does so"),
    option(
        "store-metadata-content-in-database",
        Boolean,
        "",
        "Keeps the metadata of files in the local database as well.",
    )
    .ignored("the local database holds the latest metadata in any case"),
    option(
        "store-task-config",
        one_of(TASK_CONFIGURATIONS),
        "None",
        "Attaches the job's definition to each version; used by the server.",
    ),
];
