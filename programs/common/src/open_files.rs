// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How many files a program may hold open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What folders on the way, those looked at ahead, and batches under way may hold open on a machine of many cores, with room to spare.
const OPEN_FILES: u64 = 8192;

/// Raises the limit of this process as far as it needs and may: the usual 1,024 is meant for programs that wait with `select`, and a file that cannot be opened for
/// want of a descriptor would be missing from the backup.
pub fn allow_many() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit
        .maximum
        .map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if limit.current.is_some_and(|current| current < wanted) {
        // Where it is refused, the limit stays what it was.
        let _refused = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(wanted),
                maximum: limit.maximum,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_is_raised_and_a_high_one_stays() {
        let before = getrlimit(Resource::Nofile);
        let limit = |current| Rlimit {
            current: Some(current),
            maximum: before.maximum,
        };
        let most = before.maximum.unwrap_or(u64::MAX);
        setrlimit(Resource::Nofile, limit(256)).unwrap();
        allow_many();
        assert_eq!(getrlimit(Resource::Nofile).current, Some(OPEN_FILES.min(most)));
        let high = (OPEN_FILES + 1).min(most);
        setrlimit(Resource::Nofile, limit(high)).unwrap();
        allow_many();
        assert_eq!(getrlimit(Resource::Nofile).current, Some(high));
    }
}
