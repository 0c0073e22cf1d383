// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads listings: the machine's form (`MLSD`) and the two that people were meant to read (`LIST`).
//!
//! A line that is not understood is an error: a listing that is silently short would make stored objects look lost.

use crate::schemes::time::{month as month_number, seconds};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    File,
    Folder,
    /// A link or a device: nothing of ours.
    Other,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) what: What,
    pub(super) size_bytes: Option<u64>,
    /// Seconds since 1970, where the server says so exactly.
    pub(super) modified: Option<i64>,
}

/// The entries of an answer to `MLSD`.
pub(super) fn of_machine(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for line in lines(text) {
        entries.extend(machine_line(line).ok_or_else(|| not_understood(line))?);
    }
    Ok(entries)
}

/// The entries of an answer to `LIST`.
pub(super) fn of_people(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for line in lines(text) {
        if line.starts_with("total ") {
            continue;
        }
        let entry = unix_line(line)
            .or_else(|| dos_line(line))
            .ok_or_else(|| not_understood(line))?;
        if !matches!(entry.name.as_str(), "." | "..") {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .map(|line| line.trim_end_matches('\r'))
        .filter(|line| !line.is_empty())
}

fn not_understood(line: &str) -> String {
    let shown: String = line.chars().take(120).collect();
    format!("a line of the server's listing is not understood: {shown:?}")
}

/// `type=file;size=3;modify=20260101000000; name`; none inside for the folder itself and the one above.
fn machine_line(line: &str) -> Option<Option<Entry>> {
    let (facts, name) = line.split_once(' ')?;
    let mut entry = Entry {
        name: name.to_owned(),
        what: What::Other,
        size_bytes: None,
        modified: None,
    };
    for fact in facts.split(';').filter(|fact| !fact.is_empty()) {
        let (key, value) = fact.split_once('=')?;
        match key.to_ascii_lowercase().as_str() {
            "type" => match value.to_ascii_lowercase().as_str() {
                "file" => entry.what = What::File,
                "dir" => entry.what = What::Folder,
                "cdir" | "pdir" => return Some(None),
                _ => {}
            },
            "size" => entry.size_bytes = Some(value.parse().ok()?),
            "modify" => entry.modified = time(value),
            _ => {}
        }
    }
    (!name.is_empty()).then_some(())?;
    Some(Some(entry))
}

/// `-rw-r--r--   1 owner group   42 Nov 25 10:00 name`
fn unix_line(line: &str) -> Option<Entry> {
    let mut rest = line;
    let mut word = || {
        rest = rest.trim_start_matches(' ');
        let end = rest.find(' ')?;
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    };
    let mode = word()?;
    let what = match mode.chars().next()? {
        '-' => What::File,
        'd' => What::Folder,
        'l' | 'b' | 'c' | 'p' | 's' => What::Other,
        _ => return None,
    };
    (mode.len() >= 10).then_some(())?;
    // Links, owner, group, size, month, day, time or year. Some servers leave out the group.
    let mut words = Vec::new();
    while words.len() < 7 {
        words.push(word()?);
        if let [.., size, month, day, time] = words[..]
            && month_number(month).is_some()
            && day.parse::<u8>().is_ok_and(|day| (1..=31).contains(&day))
            && (time.contains(':') || time.parse::<u16>().is_ok())
        {
            // One space, and the name as it is.
            let name = rest.strip_prefix(' ')?;
            (!name.is_empty()).then_some(())?;
            return Some(Entry {
                name: name.to_owned(),
                what,
                size_bytes: size.parse().ok(),
                modified: None,
            });
        }
    }
    None
}

/// `11-25-26  10:00AM       <DIR>          name`
fn dos_line(line: &str) -> Option<Entry> {
    let (date, rest) = line.split_once(' ')?;
    let (time, rest) = rest.trim_start().split_once(' ')?;
    let is_date = date.len() >= 8 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    (is_date && time.contains(':')).then_some(())?;
    let (size, rest) = rest.trim_start().split_once(' ')?;
    let name = if size == "<DIR>" { rest.trim_start() } else { rest };
    (!name.is_empty()).then_some(())?;
    let size_bytes: Option<u64> = size.parse().ok();
    let what = match size_bytes {
        Some(_) => What::File,
        None if size == "<DIR>" => What::Folder,
        None => return None,
    };
    Some(Entry {
        name: name.to_owned(),
        what,
        size_bytes,
        modified: None,
    })
}

/// `20261125101530` or with a fraction, in UTC, as seconds since 1970.
pub(super) fn time(text: &str) -> Option<i64> {
    let digits = text.split('.').next()?;
    if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| digits[range].parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(8..10)?, number(10..12)?, number(12..14)?);
    seconds([year, month, day, hour, minute, second])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, what: What, size_bytes: Option<u64>) -> Entry {
        Entry {
            name: name.to_owned(),
            what,
            size_bytes,
            modified: None,
        }
    }

    #[test]
    fn listings_of_common_servers_are_read() {
        let text = "total 3\r\ndrwxr-xr-x    2 14       50           4096 Nov 25 10:00 a b\r\n\
                    -rw-------    1 owner    group     1048576 Jan  1  2025  led\r\n\
                    -rw-r--r-- 1 owner 7 Feb 28 23:59 x\r\nlrwxrwxrwx 1 o g 1 Nov 25 10:00 l -> x\r\n\
                    11-25-26  10:00AM       <DIR>          packs\r\n11-25-2026  10:00PM  42 keys\r\ndrwx------ 2 o g 0 Nov 1 00:00 ..\r\n";
        let entries = of_people(text).unwrap();
        assert_eq!(
            entries,
            [
                entry("a b", What::Folder, Some(4096)),
                entry(" led", What::File, Some(1_048_576)),
                entry("x", What::File, Some(7)),
                entry("l -> x", What::Other, Some(1)),
                entry("packs", What::Folder, None),
                entry("keys", What::File, Some(42)),
            ]
        );
        let text = "type=cdir;modify=20260101000000; .\r\nType=file;Size=3;Modify=20261125101530.5; a;b c\r\ntype=OS.unix=slink:/x;size=1; l\r\n";
        let entries = of_machine(text).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].name, "a;b c");
        assert_eq!(entries[0].modified, Some(1_795_601_730));
        assert_eq!(entries[1].what, What::Other);
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error_and_not_left_out() {
        for text in [
            "nonsense",
            "-rw-r--r--",
            "-rw-r--r-- 1 o g 5 Nov 25",
            "11-25-26 10:00AM x y",
        ] {
            assert!(of_people(text).is_err(), "{text}");
        }
        for text in ["nonsense", "type=file;size=x; a", "type=file;size=1; "] {
            assert!(of_machine(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time("19700101000000"), Some(0));
        assert_eq!(time("20000229120000"), Some(951_825_600));
        for text in ["", "2000", "20001301000000", "2000010100000x"] {
            assert_eq!(time(text), None);
        }
    }
}
