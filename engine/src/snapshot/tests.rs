// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Walking, comparing and choosing snapshots, also when directories are damaged.

use std::sync::Arc;

use super::{
    Change, TreeDiff, TreeReader, WalkStep,
    find::{FindError, SnapshotName, find},
};
use crate::{
    format::manifest::Manifest,
    format::{
        chunk_list::ChunkList,
        pack::PackClass,
        tree::{EntryBody, TreeEntry},
    },
    id::{RepositoryId, SnapshotId},
    repository::test_packs::{Workshop, entry, folder, now},
    storage::ObjectName,
};

fn fifo(name: &str) -> TreeEntry {
    entry(name, EntryBody::Fifo)
}

fn reader(workshop: &mut Workshop) -> TreeReader {
    let index = Arc::new(std::mem::take(&mut workshop.index));
    TreeReader::new(Arc::clone(&workshop.repository), index, 1 << 20)
}

fn walk_all(reader: &TreeReader, root: &ChunkList) -> Vec<String> {
    let mut walk = reader.walk(root);
    let mut steps = Vec::new();
    loop {
        let step = now(walk.next());
        let path = String::from_utf8_lossy(walk.path()).into_owned();
        steps.push(match step {
            Ok(None) => return steps,
            Ok(Some(WalkStep::Entry(_))) => format!("+{path}"),
            Ok(Some(WalkStep::Leave(_))) => format!("-{path}"),
            Err(_) => format!("!{path}"),
        });
    }
}

#[test]
fn a_walk_goes_depth_first_and_leaves_what_it_entered() {
    let mut workshop = Workshop::new(true);
    let inner = workshop.directory(&[fifo("a"), fifo("b"), fifo("c")], 2);
    let root = workshop.directory(
        &[folder("d", inner), folder("e", ChunkList::default()), fifo("f")],
        1,
    );
    let reader = reader(&mut workshop);
    assert_eq!(
        walk_all(&reader, &root),
        ["+d", "+d/a", "+d/b", "+d/c", "-d", "+e", "-e", "+f"]
    );
    let found = now(reader.entry_at(&root, b"/d/b")).unwrap();
    assert_eq!(found.unwrap().name, b"b");
    for absent in ["d/bb", "d/b/x", "x", "f/x"] {
        assert_eq!(
            now(reader.entry_at(&root, absent.as_bytes())).unwrap(),
            None,
            "{absent}"
        );
    }
}

#[test]
fn a_damaged_directory_is_named_and_the_walk_goes_on() {
    let mut workshop = Workshop::new(false);
    let lost = workshop.directory(&[fifo("a")], 1);
    let lost_pack = workshop.index.packs().last().unwrap().id;
    let root = workshop.directory(&[folder("d", lost), fifo("f")], 9);
    workshop.store.damage(&ObjectName::from(lost_pack), |_| None);
    let reader = reader(&mut workshop);
    assert_eq!(walk_all(&reader, &root), ["+d", "!d", "-d", "+f"]);
}

#[test]
fn names_that_do_not_rise_are_refused_also_across_chunks() {
    for (names, per_chunk) in [(["a", "a"], 9), (["b", "a"], 1)] {
        let mut workshop = Workshop::new(false);
        let root = workshop.directory(&names.map(fifo), per_chunk);
        let reader = reader(&mut workshop);
        let mut directory = reader.directory(&root);
        assert!(now(directory.next()).unwrap().is_some());
        assert!(now(directory.next()).is_err());
        assert!(now(directory.next()).unwrap().is_none(), "nothing follows damage");
    }
}

#[test]
fn a_thousand_levels_are_walked_and_released_directories_go_on_where_they_were() {
    let mut workshop = Workshop::new(false);
    let mut content = ChunkList::default();
    for level in 0..1000u32 {
        let name = format!("m{level}");
        content = workshop.directory(&[fifo("a"), folder(&name, content), fifo("z")], 9);
    }
    let reader = reader(&mut workshop);
    let steps = walk_all(&reader, &content);
    assert_eq!(steps.len(), 4 * 1000);
    let count = |sign: char| steps.iter().filter(|step| step.starts_with(sign)).count();
    assert_eq!((count('+'), count('-'), count('!')), (3000, 1000, 0));
}

#[test]
fn list_chunks_are_followed_in_order_and_bad_ones_refused() {
    let mut workshop = Workshop::new(false);
    let leaves: Vec<Vec<u8>> = (0..5u8).map(|n| vec![n + 1; 10]).collect();
    let (_, ids) = workshop.pack(PackClass::Data, &[leaves]);
    let lists: Vec<Vec<u8>> = ids
        .chunks(2)
        .map(|ids| ids.iter().flat_map(|id| id.0).collect())
        .collect();
    let (_, level) = workshop.pack(PackClass::Tree, &[lists, vec![vec![7; 33]]]);
    let reader = reader(&mut workshop);
    let list = ChunkList {
        depth: 1,
        ids: level[..3].to_vec(),
    };
    assert_eq!(now(reader.leaf_ids(&list)).unwrap(), ids);
    let odd = ChunkList {
        depth: 1,
        ids: level[3..].to_vec(),
    };
    assert!(now(reader.leaf_ids(&odd)).is_err());
}

fn differences(reader: &TreeReader, roots: [&ChunkList; 2]) -> Vec<String> {
    let mut diff = TreeDiff::new([reader.clone(), reader.clone()], roots);
    let mut found = Vec::new();
    loop {
        let sign = match now(diff.next()) {
            Ok(None) => return found,
            Ok(Some(Change::Added(_))) => "+",
            Ok(Some(Change::Deleted(_))) => "-",
            Ok(Some(Change::Modified { content: true, .. })) => "~",
            Ok(Some(Change::Modified { content: false, .. })) => "m",
            Err(_) => "!",
        };
        found.push(format!("{sign}{}", String::from_utf8_lossy(diff.path())));
    }
}

#[test]
fn a_comparison_names_what_was_added_deleted_and_changed_on_every_level() {
    let mut workshop = Workshop::new(false);
    let link = |name: &str, to: &str| {
        entry(
            name,
            EntryBody::Symlink {
                target: to.as_bytes().to_vec(),
            },
        )
    };
    let mut touched = fifo("t");
    touched.mode = 0o600;
    let same = workshop.directory(&[fifo("x")], 1);
    let gone = workshop.directory(&[fifo("g")], 1);
    let before = workshop.directory(&[fifo("a"), link("l", "1"), fifo("t")], 1);
    let after = workshop.directory(&[fifo("b"), link("l", "2"), touched], 1);
    let first = workshop.directory(
        &[
            folder("d", before),
            folder("gone", gone),
            folder("same", same.clone()),
        ],
        9,
    );
    let second = workshop.directory(&[folder("d", after), fifo("gone"), folder("same", same)], 9);
    let reader = reader(&mut workshop);
    assert_eq!(
        differences(&reader, [&first, &second]),
        ["-d/a", "+d/b", "~d/l", "md/t", "~gone", "-gone/g"]
    );
    assert_eq!(
        differences(&reader, [&second, &first]),
        ["+d/a", "-d/b", "~d/l", "md/t", "~gone", "+gone/g"]
    );
    assert!(differences(&reader, [&first, &first]).is_empty());
}

#[test]
fn damage_on_one_side_is_not_taken_for_changes_on_the_other() {
    let mut workshop = Workshop::new(false);
    let lost = workshop.directory(&[fifo("a"), fifo("b")], 1);
    let lost_pack = workshop.index.packs().last().unwrap().id;
    let there = workshop.directory(&[fifo("a"), fifo("c")], 9);
    let first = workshop.directory(&[folder("d", lost), fifo("z")], 9);
    let second = workshop.directory(&[folder("d", there)], 9);
    workshop.store.damage(&ObjectName::from(lost_pack), |_| None);
    let reader = reader(&mut workshop);
    assert_eq!(differences(&reader, [&first, &second]), ["!d", "-z"]);
}

#[test]
fn versions_are_counted_from_the_newest_and_times_mean_not_younger_than() {
    let manifest = |day: u8| Manifest {
        version: 1,
        kind: "manifest".to_owned(),
        id: None,
        repository_id: RepositoryId([0; 16]),
        time: format!("2026-01-{day:02}T10:00:00.000000000Z"),
        finished: String::new(),
        host: String::new(),
        user: String::new(),
        program: String::new(),
        name: String::new(),
        tags: Vec::new(),
        sources: Vec::new(),
        complete: true,
        root: ChunkList::default().into(),
        parent: None,
        totals: Default::default(),
        statistics: Default::default(),
        control_files: Vec::new(),
    };
    let all: Vec<_> = [3, 5, 9].map(|day| (SnapshotId([day; 16]), manifest(day))).into();
    let day = |name: SnapshotName| find(&all, &name).map(|(number, (id, _))| (number, id.0[0]));
    let time = |text: &str| SnapshotName::Time(text.parse().unwrap());
    assert_eq!(day(SnapshotName::Version(0)), Ok((0, 9)));
    assert_eq!(day(SnapshotName::Version(2)), Ok((2, 3)));
    assert_eq!(
        day(SnapshotName::Version(3)),
        Err(FindError::NoVersion { wanted: 3, last: 2 })
    );
    assert!(day(SnapshotName::Version(u64::MAX)).is_err());
    assert_eq!(day(time("2026-01-05T10:00:00Z")), Ok((1, 5)));
    assert_eq!(day(time("2026-01-09T09:59:59Z")), Ok((1, 5)));
    assert!(matches!(
        day(time("2026-01-03T09:00:00Z")),
        Err(FindError::NoneSoOld { .. })
    ));
    assert_eq!(day(SnapshotName::Id(SnapshotId([3; 16]))), Ok((2, 3)));
    assert!(day(SnapshotName::Id(SnapshotId([4; 16]))).is_err());
    assert_eq!(find(&[], &SnapshotName::Version(0)), Err(FindError::Empty));
}
