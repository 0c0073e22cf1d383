// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names of users and groups, because numbers differ between machines.
//!
//! The C library is asked, not `/etc/passwd`: on managed machines the accounts come from a directory service through
//! NSS. Such a question can cost milliseconds, so every answer, also "unknown", is remembered.
//!
//! The only unsafe code of the engine lives here. Every call follows one pattern, in [`ask`]: the C library fills a
//! record on our stack whose strings lie in a buffer that we own, and we copy what we need before either goes away.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

/// How many answers are remembered for each question; beyond it, the memory is emptied and begins again.
const CACHE_ENTRIES_MAX: usize = 65_536;
/// The first buffer for a record.
const RECORD_FIRST_BYTES: usize = 1024;
/// The largest buffer for a record; a group with very many members needs a large one.
const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Remembers what the system calls its users and groups.
#[derive(Debug, Default)]
pub struct OwnerNames {
    users: HashMap<u32, Option<Arc<[u8]>>>,
    groups: HashMap<u32, Option<Arc<[u8]>>>,
    user_ids: HashMap<Vec<u8>, Option<u32>>,
    group_ids: HashMap<Vec<u8>, Option<u32>>,
}

impl OwnerNames {
    /// Makes an empty memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the name of a user, if the system knows one.
    pub fn user_name(&mut self, uid: u32) -> Option<Arc<[u8]>> {
        remember(&mut self.users, &uid, || find_user_name(uid))
    }

    /// Returns the name of a group, if the system knows one.
    pub fn group_name(&mut self, gid: u32) -> Option<Arc<[u8]>> {
        remember(&mut self.groups, &gid, || find_group_name(gid))
    }

    /// Returns the number of a user on this machine, for restoring.
    pub fn user_id(&mut self, name: &[u8]) -> Option<u32> {
        remember(&mut self.user_ids, name, || find_user_id(name))
    }

    /// Returns the number of a group on this machine, for restoring.
    pub fn group_id(&mut self, name: &[u8]) -> Option<u32> {
        remember(&mut self.group_ids, name, || find_group_id(name))
    }
}

fn remember<Key, Query, Value>(
    known: &mut HashMap<Key, Value>,
    query: &Query,
    find: impl FnOnce() -> Value,
) -> Value
where
    Key: std::borrow::Borrow<Query> + std::hash::Hash + Eq,
    Query: ToOwned<Owned = Key> + std::hash::Hash + Eq + ?Sized,
    Value: Clone,
{
    if let Some(value) = known.get(query) {
        return value.clone();
    }
    if known.len() >= CACHE_ENTRIES_MAX {
        known.clear();
    }
    let value = find();
    known.insert(query.to_owned(), value.clone());
    value
}

fn find_user_name(uid: u32) -> Option<Arc<[u8]>> {
    // SAFETY: `ask` passes a record, buffer, length and result place that are valid for the call.
    let call =
        |record, buffer, length, found| unsafe { libc::getpwuid_r(uid, record, buffer, length, found) };
    // SAFETY: `ask` calls this only with a filled record, whose name is null or a C string in the living buffer.
    ask(call, |record: &libc::passwd| unsafe { copy_name(record.pw_name) }).flatten()
}

fn find_group_name(gid: u32) -> Option<Arc<[u8]>> {
    // SAFETY: as in `find_user_name`.
    let call =
        |record, buffer, length, found| unsafe { libc::getgrgid_r(gid, record, buffer, length, found) };
    // SAFETY: as in `find_user_name`.
    ask(call, |record: &libc::group| unsafe { copy_name(record.gr_name) }).flatten()
}

fn find_user_id(name: &[u8]) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: as in `find_user_name`; the name is a C string that outlives the call.
    let call = |record, buffer, length, found| unsafe {
        libc::getpwnam_r(name.as_ptr(), record, buffer, length, found)
    };
    ask(call, |record: &libc::passwd| record.pw_uid)
}

fn find_group_id(name: &[u8]) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: as in `find_user_id`.
    let call = |record, buffer, length, found| unsafe {
        libc::getgrnam_r(name.as_ptr(), record, buffer, length, found)
    };
    ask(call, |record: &libc::group| record.gr_gid)
}

/// Copies a name out of a record.
///
/// # Safety
/// `name` is null or points to a C string that lives during the call.
unsafe fn copy_name(name: *const c_char) -> Option<Arc<[u8]>> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller promises it.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    (!bytes.is_empty()).then(|| Arc::from(bytes))
}

/// Asks one question with a buffer that grows until the record fits. Any failure counts as "unknown": a backup
/// still has the number then.
fn ask<Record, Answer>(
    call: impl Fn(*mut Record, *mut c_char, usize, *mut *mut Record) -> c_int,
    read: impl FnOnce(&Record) -> Answer,
) -> Option<Answer> {
    let mut buffer: Vec<c_char> = vec![0; RECORD_FIRST_BYTES];
    loop {
        let mut record = MaybeUninit::<Record>::uninit();
        let mut found: *mut Record = ptr::null_mut();
        match call(record.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &mut found) {
            0 if found.is_null() => return None,
            // SAFETY: with result 0 and a result pointer, the C library has filled our record and points to it. The
            // record and the buffer with its strings live until `read` has returned.
            0 => return Some(read(unsafe { &*found })),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < RECORD_BYTES_MAX => buffer.resize(buffer.len() * 4, 0),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_its_name_and_number() {
        let mut names = OwnerNames::new();
        assert_eq!(names.user_name(0).as_deref(), Some(b"root".as_slice()));
        assert_eq!(names.group_name(0).as_deref(), Some(b"root".as_slice()));
        assert_eq!(names.user_id(b"root"), Some(0));
        assert_eq!(names.group_id(b"root"), Some(0));
    }

    #[test]
    fn unknown_owners_are_none_and_remembered() {
        let mut names = OwnerNames::new();
        assert_eq!(names.user_name(3_999_999_999), None);
        assert_eq!(names.users.get(&3_999_999_999), Some(&None));
        assert_eq!(names.group_name(3_999_999_999), None);
        assert_eq!(names.user_id(b"no such user \xff"), None);
        assert_eq!(names.group_id(b"nul\0inside"), None);
    }

    #[test]
    fn memory_of_owners_is_bounded() {
        let mut known = HashMap::new();
        for number in 0..(CACHE_ENTRIES_MAX as u32 + 10) {
            remember(&mut known, &number, || number);
        }
        assert_eq!(known.len(), 10);
    }
}
