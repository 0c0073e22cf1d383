// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Real folders with everything that a file system allows.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, FlockOperation, Mode, XattrFlags, flock, mkdirat, mknodat, setxattr};
use rustix::io::Errno;

use super::exclusion::{MarkerNames, is_excluded_by};
use super::xattr::{XattrBuffer, read_open_xattrs};
use super::*;

fn open(folder: &tempfile::TempDir) -> SourceDirectory {
    SourceDirectory::open(folder.path()).unwrap()
}

fn list(directory: &SourceDirectory) -> DirectoryListing {
    directory.list(&mut ListingBuffer::new()).unwrap()
}

fn names(listing: &DirectoryListing) -> Vec<Vec<u8>> {
    listing.iter().map(|entry| entry.name.to_vec()).collect()
}

fn below(folder: &tempfile::TempDir, name: &[u8]) -> std::path::PathBuf {
    folder.path().join(OsStr::from_bytes(name))
}

#[test]
fn names_of_any_bytes_are_listed_in_byte_order() {
    let folder = tempfile::tempdir().unwrap();
    let wanted: [&[u8]; 6] = [b"B", b"a", b"a\nb", b"a b", b"\xff\xfe", "é".as_bytes()];
    for name in wanted {
        fs::write(below(&folder, name), name).unwrap();
    }
    let directory = open(&folder);
    let mut sorted: Vec<Vec<u8>> = wanted.iter().map(|name| name.to_vec()).collect();
    sorted.sort();
    let listing = list(&directory);
    assert_eq!(names(&listing), sorted);
    for name in wanted {
        assert!(listing.contains(name));
        assert_eq!(directory.stat(name).unwrap().size, name.len() as u64);
        let mut content = Vec::new();
        let mut open = directory.open_file(name, AdvisoryLocking::Respect).unwrap();
        open.file.read_to_end(&mut content).unwrap();
        assert_eq!(content, name);
    }
    assert!(!listing.contains(b"c"));
}

#[test]
fn a_folder_that_can_only_be_passed_leads_to_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let above = folder.path().join("above");
    fs::create_dir(&above).unwrap();
    fs::write(above.join("file"), b"content").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&above, fs::Permissions::from_mode(0o311)).unwrap();
    // Root may list everything, so the test has to be somebody else; rights belong to a thread.
    std::thread::spawn({
        let above = above.clone();
        move || {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(65_534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            let refused = SourceDirectory::open(&above).unwrap_err();
            assert_eq!(refused.kind, SourceErrorKind::Unreadable);
            let directory = SourceDirectory::open_way(&above).unwrap();
            assert_eq!(directory.stat(b"file").unwrap().size, 7);
            assert_eq!(directory.stat_self().unwrap().kind, EntryKind::Directory);
            let xattrs = directory.read_own_xattrs(&mut XattrBuffer::default()).unwrap();
            assert!(xattrs.attributes.is_empty());
            let identity = directory.identity().unwrap();
            assert!(
                directory.open_parent(identity).is_err(),
                "the parent is another folder"
            );
        }
    })
    .join()
    .unwrap();
    fs::set_permissions(&above, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn every_type_of_entry_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(below(&folder, b"file"), b"x").unwrap();
    fs::create_dir(below(&folder, b"folder")).unwrap();
    symlink(OsStr::from_bytes(b"no/where\xff"), below(&folder, b"link")).unwrap();
    mknodat(CWD, below(&folder, b"fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = UnixListener::bind(below(&folder, b"socket")).unwrap();
    let directory = open(&folder);
    let kinds: Vec<_> = list(&directory)
        .iter()
        .map(|entry| directory.stat(entry.name).unwrap().kind)
        .collect();
    use EntryKind::{Directory, Fifo, File, Socket, Symlink};
    assert_eq!(kinds, [Fifo, File, Directory, Symlink, Socket]);
    assert_eq!(directory.read_link(b"link").unwrap(), b"no/where\xff");
    assert_eq!(
        directory.read_link(b"file").unwrap_err().kind,
        SourceErrorKind::ChangedType
    );
    let null = SourceDirectory::open(Path::new("/dev"))
        .unwrap()
        .stat(b"null")
        .unwrap();
    assert_eq!(null.kind, EntryKind::CharDevice { major: 1, minor: 3 });
}

#[test]
fn type_hints_of_the_listing_agree_with_the_entries() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(below(&folder, b"file"), b"x").unwrap();
    fs::create_dir(below(&folder, b"folder")).unwrap();
    symlink("file", below(&folder, b"link")).unwrap();
    let listing = list(&open(&folder));
    let hints: Vec<_> = listing.iter().map(|entry| entry.hint).collect();
    use EntryTypeHint::{Directory, File, Symlink, Unknown};
    assert!(
        hints == [File, Directory, Symlink] || hints == [Unknown; 3],
        "{hints:?}"
    );
}

#[test]
fn metadata_is_what_the_standard_library_reports() {
    let folder = tempfile::tempdir().unwrap();
    let path = below(&folder, b"file");
    fs::write(&path, vec![1; 10_000]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(&path, below(&folder, b"second")).unwrap();
    let expected = fs::metadata(&path).unwrap();
    let stat = open(&folder).stat(b"file").unwrap();
    assert_eq!(stat.mode, 0o4751);
    assert_eq!((stat.uid, stat.gid), (expected.uid(), expected.gid()));
    assert_eq!((stat.size, stat.blocks_512), (10_000, expected.blocks()));
    assert_eq!((stat.inode, stat.device), (expected.ino(), expected.dev()));
    assert_eq!(stat.link_count, 2);
    assert_eq!(
        (stat.mtime_seconds, i64::from(stat.mtime_nanoseconds)),
        (expected.mtime(), expected.mtime_nsec())
    );
    assert_eq!(
        (stat.ctime_seconds, i64::from(stat.ctime_nanoseconds)),
        (expected.ctime(), expected.ctime_nsec())
    );
    assert!(!stat.is_read_only());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    assert!(open(&folder).stat(b"file").unwrap().is_read_only());
    assert!(is_hidden(b".bashrc") && !is_hidden(b"bashrc"));
}

#[test]
fn a_tree_deeper_than_any_path_is_walked_down_and_up() {
    const DEPTH: usize = 1000;
    let name = b"a folder name";
    let folder = tempfile::tempdir().unwrap();
    let mut current = open(&folder);
    let mut identities = vec![current.identity().unwrap()];
    for _ in 0..DEPTH {
        mkdirat(&current, name.as_slice(), Mode::RWXU).unwrap();
        current = current.open_child(name).unwrap();
        identities.push(current.identity().unwrap());
    }
    // One descriptor at a time, whatever the depth.
    for _ in 0..DEPTH {
        let listing = list(&current);
        assert!(listing.is_empty() || names(&listing) == [name.to_vec()]);
        identities.pop();
        current = current.open_parent(*identities.last().unwrap()).unwrap();
    }
    assert_eq!(current.identity().unwrap(), open(&folder).identity().unwrap());
    let wrong = DirectoryIdentity { device: 0, inode: 0 };
    assert_eq!(
        current.open_parent(wrong).unwrap_err().kind,
        SourceErrorKind::Vanished
    );
}

#[test]
fn a_root_path_longer_than_the_kernel_takes_is_opened() {
    let name = [b'n'; 200];
    let folder = tempfile::tempdir().unwrap();
    let mut path = folder.path().to_owned();
    let mut current = open(&folder);
    for _ in 0..50 {
        mkdirat(&current, name.as_slice(), Mode::RWXU).unwrap();
        current = current.open_child(&name).unwrap();
        path.push(OsStr::from_bytes(&name));
    }
    assert!(path.as_os_str().len() > 10_000);
    let opened = SourceDirectory::open(&path).unwrap();
    assert_eq!(opened.identity().unwrap(), current.identity().unwrap());
}

#[test]
fn ten_thousand_entries_are_listed_sorted_and_again() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..10_000_u32 {
        // A name that does not grow with the number, so that creation order is not byte order.
        fs::write(
            folder
                .path()
                .join(format!("{:08x}", number.wrapping_mul(2_654_435_761))),
            b"",
        )
        .unwrap();
    }
    let directory = open(&folder);
    let mut buffer = ListingBuffer::new();
    let first = directory.list(&mut buffer).unwrap();
    let second = directory.list(&mut buffer).unwrap();
    assert_eq!(first.len(), 10_000);
    assert_eq!(names(&first), names(&second));
    assert!(names(&first).is_sorted());
    assert_eq!(
        first.get(9_999).unwrap().name,
        first.iter().next_back().unwrap().name
    );
    assert_eq!(first.get(10_000), None);
}

#[test]
fn a_file_replaced_after_its_stat_is_a_changed_type_and_never_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = below(&folder, b"entry");
    fs::write(&path, b"x").unwrap();
    let directory = open(&folder);
    assert_eq!(directory.stat(b"entry").unwrap().kind, EntryKind::File);
    let kind_now = || {
        directory
            .open_file(b"entry", AdvisoryLocking::Respect)
            .unwrap_err()
            .kind
    };

    fs::remove_file(&path).unwrap();
    assert_eq!(kind_now(), SourceErrorKind::Vanished);
    fs::create_dir(&path).unwrap();
    assert_eq!(kind_now(), SourceErrorKind::ChangedType);
    fs::remove_dir(&path).unwrap();
    symlink("/etc/passwd", &path).unwrap();
    assert_eq!(kind_now(), SourceErrorKind::ChangedType);
    assert_eq!(
        directory.open_child(b"entry").unwrap_err().kind,
        SourceErrorKind::ChangedType
    );
    fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(kind_now(), SourceErrorKind::ChangedType);
    fs::remove_file(&path).unwrap();
    let _socket = UnixListener::bind(&path).unwrap();
    assert_eq!(kind_now(), SourceErrorKind::ChangedType);
}

#[test]
fn links_are_followed_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(below(&folder, b"target"), b"content").unwrap();
    symlink("target", below(&folder, b"link")).unwrap();
    let directory = open(&folder);
    assert_eq!(directory.stat(b"link").unwrap().kind, EntryKind::Symlink);
    assert_eq!(directory.stat_followed(b"link").unwrap().kind, EntryKind::File);
    let followed = directory
        .open_file_followed(b"link", AdvisoryLocking::Respect)
        .unwrap();
    assert_eq!(followed.stat.size, 7);
}

#[test]
fn an_exclusively_locked_file_is_left_alone_unless_locks_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let path = below(&folder, b"file");
    fs::write(&path, b"x").unwrap();
    let directory = open(&folder);
    let other = fs::File::open(&path).unwrap();
    flock(&other, FlockOperation::LockExclusive).unwrap();
    let error = directory
        .open_file(b"file", AdvisoryLocking::Respect)
        .unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Locked);
    assert!(error.to_string().contains("ignore-advisory-locking"), "{error}");
    directory.open_file(b"file", AdvisoryLocking::Ignore).unwrap();
    flock(&other, FlockOperation::LockShared).unwrap();
    let open = directory.open_file(b"file", AdvisoryLocking::Respect).unwrap();
    // While we read, nobody can take the file for writing; afterwards they can.
    flock(&other, FlockOperation::Unlock).unwrap();
    assert_eq!(
        flock(&other, FlockOperation::NonBlockingLockExclusive),
        Err(Errno::WOULDBLOCK)
    );
    drop(open);
    flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
}

#[test]
fn a_file_without_permission_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(below(&folder, b"file"), b"x").unwrap();
    fs::set_permissions(below(&folder, b"file"), fs::Permissions::from_mode(0o0)).unwrap();
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may read everything");
        return;
    }
    let error = open(&folder)
        .open_file(b"file", AdvisoryLocking::Respect)
        .unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Unreadable);
}

#[test]
fn errors_name_the_whole_path_on_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(&folder)
        .stat(b"gone\nfile")
        .unwrap_err()
        .below(b"/source/folder");
    assert_eq!(error.path, b"/source/folder/gone\nfile");
    assert!(
        error.to_string().contains("/source/folder/gone\\nfile"),
        "{error}"
    );
    assert_eq!(open(&folder).stat(b"x").unwrap_err().below(b"/").path, b"/x");
}

#[test]
fn reading_a_file_leaves_its_access_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = below(&folder, b"file");
    fs::write(&path, b"x").unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    let times = fs::FileTimes::new().set_accessed(old);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_times(times)
        .unwrap();
    let mut open = open(&folder)
        .open_file(b"file", AdvisoryLocking::Respect)
        .unwrap();
    open.file.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().atime(), 1_000_000);
}

/// Sets an attribute; `false` where the file system or the privileges do not allow it.
fn set(path: &Path, name: &str, value: &[u8]) -> bool {
    match setxattr(path, name, value, XattrFlags::empty()) {
        Ok(()) => true,
        Err(Errno::OPNOTSUPP | Errno::PERM | Errno::NOSPC) => {
            println!("skipped: {name} cannot be set on this file system");
            false
        }
        Err(errno) => panic!("{name}: {errno}"),
    }
}

#[test]
fn extended_attributes_of_every_namespace_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = below(&folder, b"file");
    fs::write(&path, b"x").unwrap();
    let directory = open(&folder);
    let mut buffer = XattrBuffer::default();
    let nothing = directory.read_xattrs(b"file", &mut buffer).unwrap();
    assert!(
        nothing
            .attributes
            .iter()
            .all(|attribute| attribute.name.starts_with(b"security."))
    );

    // user::rw-, user 1000:r--, group::r--, mask::r--, other::r-- as the kernel stores it.
    let entry = |tag: u16, permission: u16, id: u32| {
        [
            &tag.to_le_bytes()[..],
            &permission.to_le_bytes()[..],
            &id.to_le_bytes()[..],
        ]
        .concat()
    };
    let nobody = u32::MAX;
    let acl = [
        2_u32.to_le_bytes().to_vec(),
        entry(0x01, 6, nobody),
        entry(0x02, 4, 1000),
        entry(0x04, 4, nobody),
        entry(0x10, 4, nobody),
        entry(0x20, 4, nobody),
    ]
    .concat();
    let wanted: [(&str, Vec<u8>); 5] = [
        ("system.posix_acl_access", acl),
        ("trusted.thing", b"t".to_vec()),
        ("user.binary", b"\x00\xff\n".to_vec()),
        ("user.empty", Vec::new()),
        ("user.large", vec![9; 3000]),
    ];
    let set_names: Vec<_> = wanted
        .iter()
        .filter(|(name, value)| set(&path, name, value))
        .collect();
    let read = directory.read_xattrs(b"file", &mut buffer).unwrap();
    for (name, value) in &set_names {
        let found = read
            .attributes
            .iter()
            .find(|attribute| attribute.name == name.as_bytes());
        assert_eq!(found.map(|attribute| &attribute.value), Some(value), "{name}");
    }
    assert!(read.unreadable.is_empty());
    assert!(read.attributes.is_sorted());
    let open = directory.open_file(b"file", AdvisoryLocking::Respect).unwrap();
    assert_eq!(read_open_xattrs(&open.file, &mut buffer).unwrap(), read);
}

#[test]
fn attributes_of_a_link_are_not_those_of_its_target() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(below(&folder, b"target"), b"x").unwrap();
    symlink("target", below(&folder, b"link")).unwrap();
    symlink("nowhere", below(&folder, b"dangling")).unwrap();
    set(&below(&folder, b"target"), "user.mark", b"1");
    let directory = open(&folder);
    let mut buffer = XattrBuffer::default();
    for name in [b"link".as_slice(), b"dangling"] {
        let read = directory.read_xattrs(name, &mut buffer).unwrap();
        assert!(
            read.attributes
                .iter()
                .all(|attribute| attribute.name != b"user.mark")
        );
    }
    assert_eq!(
        directory.read_xattrs(b"gone", &mut buffer).unwrap_err().kind,
        SourceErrorKind::Vanished
    );
}

#[test]
fn an_exclusion_attribute_is_seen_with_and_without_reading_the_others() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(below(&folder, b"kept"), b"x").unwrap();
    fs::write(below(&folder, b"marked"), b"x").unwrap();
    if !set(&below(&folder, b"marked"), "user.duplicati.exclude", b"") {
        return;
    }
    set(&below(&folder, b"kept"), "user.duplicati.exclude.not", b"");
    let directory = open(&folder);
    let mut buffer = XattrBuffer::default();
    for (name, excluded) in [(b"kept".as_slice(), false), (b"marked", true)] {
        assert_eq!(
            directory.has_exclusion_xattr(name, &mut buffer).unwrap(),
            excluded
        );
        assert_eq!(
            is_excluded_by(&directory.read_xattrs(name, &mut buffer).unwrap()),
            excluded
        );
    }
}

#[test]
fn a_marker_file_is_found_by_its_exact_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(below(&folder, b"CACHEDIR.TAG"), b"").unwrap();
    let listing = list(&open(&folder));
    assert_eq!(
        MarkerNames::parse(".nobackup:CACHEDIR.TAG").found_in(&listing),
        Some(b"CACHEDIR.TAG".as_slice())
    );
    assert_eq!(MarkerNames::parse("cachedir.tag").found_in(&listing), None);
    assert_eq!(MarkerNames::parse("").found_in(&listing), None);
}

#[test]
fn a_folder_on_another_mount_is_not_opened_ahead() {
    let root = SourceDirectory::open(std::path::Path::new("/")).unwrap();
    assert!(root.open_child(b"proc").is_ok());
    assert!(root.open_child_of_same_mount(b"proc").is_none());
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("inside")).unwrap();
    std::os::unix::fs::symlink("inside", place.path().join("link")).unwrap();
    let folder = SourceDirectory::open(place.path()).unwrap();
    assert!(folder.open_child_of_same_mount(b"inside").is_some());
    assert!(folder.open_child_of_same_mount(b"link").is_none());
}

#[test]
fn a_folder_of_too_many_names_is_not_listed() {
    let place = tempfile::tempdir().unwrap();
    for name in ["one", "two", "three"] {
        std::fs::write(place.path().join(name), b"").unwrap();
    }
    let folder = SourceDirectory::open(place.path()).unwrap();
    let mut buffer = ListingBuffer::new();
    assert!(folder.list_at_most(2, &mut buffer).unwrap().is_none());
    assert_eq!(folder.list_at_most(3, &mut buffer).unwrap().unwrap().len(), 3);
    // What was read in vain is not left over.
    assert_eq!(folder.list(&mut buffer).unwrap().len(), 3);
}
