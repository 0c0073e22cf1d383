// SPDX-License-Identifier: Apache-2.0 OR MIT

use std::sync::Arc;

use super::{TreeReader, WalkStep};
use crate::{
    format::{
        chunk_list::ChunkList,
        pack::PackClass,
        tree::{EntryBody, TreeEntry},
    },
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
