// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Help on topics that no table knows.

use std::fmt::Write;

use crate::exit_code::ExitCode;

/// The kinds of destination that the contract names.
pub(super) const DESTINATIONS: &[&str] = &[
    "file",
    "s3",
    "ssh",
    "webdav",
    "ftp",
    "aftp",
    "azure",
    "b2",
    "gcs",
    "openstack",
    "rclone",
    "smb",
    "cifs",
    "e2",
    "aliyunoss",
    "box",
    "cos",
    "drime",
    "dropbox",
    "duplicati",
    "filejump",
    "filen",
    "googledrive",
    "jottacloud",
    "mega",
    "movistar",
    "msgroup",
    "mssp",
    "od4b",
    "onedrivev2",
    "pcloud",
    "sharepoint",
    "storj",
    "tahoe",
];

pub(super) fn find(word: &str) -> Option<String> {
    Some(match word {
        "help" | "usage" => {
            "help [word] explains a command, a topic, a kind of destination or an option.\n".to_owned()
        }
        "example" | "examples" => EXAMPLE.to_owned(),
        "changelog" => {
            "The release notes are in docs/changelog of the source and in /usr/share/doc of the packages.\n"
                .to_owned()
        }
        "returncodes" | "exitcodes" | "statuscodes" | "errorlevel" => exit_codes(),
        "debug" | "logging" => LOGGING.to_owned(),
        "encryption" => ENCRYPTION.to_owned(),
        "compression" => COMPRESSION.to_owned(),
        "date" | "time" => TIME.to_owned(),
        "size" => SIZE.to_owned(),
        "decimal" => {
            "Numbers with a fraction have a '.' as decimal point, whatever the language of the system: 0.5.\n"
                .to_owned()
        }
        "filter" | "filters" => FILTER.to_owned(),
        "filter-group" | "filter-groups" => FILTER_GROUP.to_owned(),
        "advanced" | "options" => super::options::list(),
        "password" => PASSWORD.to_owned(),
        _ => return None,
    })
}

/// Help on a kind of destination.
pub(super) fn destination(scheme: &str) -> Option<String> {
    DESTINATIONS.contains(&scheme).then(|| match scheme {
        "file" => FILE.to_owned(),
        _ => format!("{scheme}://… is a known kind of destination. It is not in this build yet.\n"),
    })
}

fn exit_codes() -> String {
    let mut text = String::from("A run ends with one of these numbers:\n\n");
    for code in ExitCode::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:>5}  {}", code.code(), code.meaning());
    }
    text.push_str("\nA backup reports the first that applies of 50, 3, 2, 1 and 0.\n");
    text
}

const EXAMPLE: &str = "\
Back up two folders to a disk, keeping a week of daily and a year of monthly versions:
  duplicati-cli backup file:///mnt/disk/backup /home/me /etc --retention-policy=1W:1D,1Y:1M

See which versions there are, and what the newest one holds below a folder:
  duplicati-cli list file:///mnt/disk/backup
  duplicati-cli list file:///mnt/disk/backup '/etc/*'

Restore one file as it was ten days ago, beside the present one:
  duplicati-cli restore file:///mnt/disk/backup /etc/fstab --time=10D

Restore everything into a new folder:
  duplicati-cli restore file:///mnt/disk/backup --restore-path=/tmp/restored

The passphrase is asked for, or comes from the environment variable PASSPHRASE.
";

const LOGGING: &str = "\
Log lines go to the terminal from --console-log-level on and to --log-file from --log-file-log-level on.
The levels, from most to least detailed, are:
  ExplicitOnly, Profiling, Verbose, Retry, Information, DryRun, Warning, Error
A filter such as --console-log-filter='-*Retry*:+[.*Backup.*]' chooses lines by tag and id; ids in
--console-log-ignore are left out, and warnings with ids in --suppress-warnings count as information.
";

const ENCRYPTION: &str = "\
Everything stored is an age file unless --no-encryption is given. A passphrase opens the repository
(--passphrase, the environment variable PASSPHRASE, or the terminal), and so does every age or ssh key
that was added with the command 'key'. Without any of them the backup cannot be read by anyone, so keep a
copy of the passphrase elsewhere. Names of other kinds of encryption are accepted, with a warning.
";

const COMPRESSION: &str = "\
Data is compressed with zstd before encryption. --zstd-level goes from 1 (fast) to 19 (small). Data that
does not become smaller is stored as it is. The level options of other archives are translated.
";

const TIME: &str = "\
A time span is a number of seconds or a chain of numbers with units: s seconds, m minutes, h hours, D days,
W weeks, M months, Y years. Upper and lower case differ: 10m is ten minutes, 10M ten months.
A point in time is 'now', a time span before now (with or without a minus sign), a local date with or
without a time (2026-03-01, 2026-03-01 14:30), an ISO 8601 time, or a compact one in UTC (20260301T143000Z).
";

const SIZE: &str = "\
A size is a whole number with one of the units b, kb, mb, gb, tb, in upper or lower case; each is 1024
times the one before. What a number without unit counts depends on the option; help on it says so.
";

const FILTER: &str = "\
--include and --exclude are tried in the order given, and the first that matches decides. Folders end in '/'
and are tested before what they hold; an excluded folder is not entered.
  /home/me/x     exactly this path
  */cache/*      '*' stands for any characters, also '/'; '?' for a single one
  [.*\\.tmp]      a regular expression that matches the whole path
  {Temporary}    a group; see 'help filter-group'
  @/a*b          the text after '@', without special characters
What nothing matches is included, unless there are only includes. 'test-filters' shows the effect.
";

const FILTER_GROUP: &str = "\
Groups stand for sets of paths: SystemFiles, OperatingSystem, TemporaryFiles, CacheFiles, Applications,
DefaultExcludes (all of these) and None. Use them as --exclude={CacheFiles,TemporaryFiles}.
DefaultExcludes leaves out /etc and /var, which a backup of a server needs.
";

const PASSWORD: &str = "\
The passphrase protects the data: --passphrase or PASSPHRASE. The password signs in to the destination:
--auth-password or AUTH_PASSWORD. Values on the command line can be seen by other users of the machine;
the environment, a parameters file or a secret provider keep them private.
";

const FILE: &str = "\
file:///folder or just /folder stores in a folder of this machine or of a mounted disk.
--alternate-target-paths names folders to try instead, and --alternate-destination-marker a file that
must be in the folder, so that a backup does not fill the place where a disk is not mounted.
";
