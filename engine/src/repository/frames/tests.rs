// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading chunks out of packs by range, also when packs are damaged.

use super::*;
use crate::repository::test_packs::{Workshop, now};

fn noise(seed: u8, size: usize) -> Vec<u8> {
    let mut out = vec![0; size];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut out);
    out
}

/// Frames of very different sizes, some within one sealed block, some over several.
fn frames() -> Vec<Vec<Vec<u8>>> {
    let sizes: [&[usize]; 6] = [&[10, 20], &[70_000], &[65_536, 1], &[300_000], &[5], &[1, 2, 3]];
    let mut seed = 0;
    let mut chunk = |size: &usize| {
        seed += 1;
        noise(seed, *size)
    };
    sizes
        .iter()
        .map(|sizes| sizes.iter().map(&mut chunk).collect())
        .collect()
}

#[test]
fn every_chunk_is_read_by_range_with_and_without_encryption() {
    for encrypted in [false, true] {
        let mut workshop = Workshop::new(encrypted);
        let content = frames();
        let (_, ids) = workshop.pack(PackClass::Data, &content);
        let chunks: Vec<_> = content.into_iter().flatten().collect();
        for order in [false, true] {
            let index = Arc::new(std::mem::take(&mut workshop.index));
            let reader = FrameReader::new(Arc::clone(&workshop.repository), Arc::clone(&index), 1 << 20);
            let mut all: Vec<_> = ids.iter().zip(&chunks).collect();
            if order {
                all.reverse();
            }
            for (id, chunk) in all {
                assert_eq!(&*now(reader.chunk(PackClass::Data, id)).unwrap(), &chunk[..]);
                assert!(
                    now(reader.chunk(PackClass::Tree, id)).is_err(),
                    "the other class's key"
                );
            }
            drop(reader);
            workshop.index = Arc::into_inner(index).unwrap();
        }
    }
}

#[test]
fn neighbouring_and_spread_frames_come_in_one_request() {
    for encrypted in [false, true] {
        let mut workshop = Workshop::new(encrypted);
        let content = frames();
        workshop.pack(PackClass::Data, &content);
        let reader = FrameReader::new(workshop.repository, Arc::new(workshop.index), 0);
        for wanted in [vec![0, 1, 2, 3, 4, 5], vec![1, 2], vec![0, 5], vec![3, 5]] {
            let ordinals: Vec<_> = wanted.iter().map(|frame| FrameOrdinal(*frame)).collect();
            let read = now(reader.read_frames(&ordinals)).unwrap();
            for (frame, content_read) in wanted.iter().zip(read) {
                assert_eq!(*content_read, content[*frame as usize].concat());
            }
        }
    }
}

#[test]
fn one_broken_block_costs_only_the_frames_that_touch_it() {
    let mut workshop = Workshop::new(true);
    let (pack, _) = workshop.pack(PackClass::Data, &frames());
    // Frames end at about 0, 70,000, 135,600, 435,700 and beyond: the block from 196,608 to 262,144 is only in frame 3.
    workshop.store.damage(&pack.into(), |object| {
        let mut object = object.unwrap().to_vec();
        object[230_000] ^= 1;
        Some(object.into())
    });
    let reader = FrameReader::new(workshop.repository, Arc::new(workshop.index), 0);
    let ordinals: Vec<_> = (0..6).map(FrameOrdinal).collect();
    let fetched = now(reader.fetch(&ordinals)).unwrap();
    let mut broken = Vec::new();
    FrameOpener::default().open(&fetched, |frame, content| {
        if let Err(error) = content {
            assert!(error.is_damage());
            broken.push(frame.0);
        }
    });
    assert_eq!(broken, [3]);
}

#[test]
fn changed_content_missing_packs_and_unknown_chunks_are_damage() {
    let mut workshop = Workshop::new(false);
    let (pack, ids) = workshop.pack(PackClass::Data, &[vec![vec![1; 100]]]);
    workshop.store.damage(&pack.into(), |object| {
        let mut object = object.unwrap().to_vec();
        object[50] ^= 1;
        Some(object.into())
    });
    let reader = FrameReader::new(
        Arc::clone(&workshop.repository),
        Arc::new(workshop.index),
        1 << 20,
    );
    let error = now(reader.chunk(PackClass::Data, &ids[0])).err().unwrap();
    assert!(
        error.is_damage() && error.to_string().contains("does not have the id"),
        "{error}"
    );
    assert!(
        now(reader.chunk(PackClass::Data, &ChunkId([9; 32])))
            .err()
            .unwrap()
            .is_damage()
    );
    let reader = FrameReader::new(workshop.repository, Arc::clone(reader.index()), 0);
    workshop.store.damage(&pack.into(), |_| None);
    assert!(
        now(reader.chunk(PackClass::Data, &ids[0]))
            .err()
            .unwrap()
            .is_damage()
    );
}

#[test]
fn tree_frames_that_are_read_one_after_the_other_come_together_and_others_alone() {
    for encrypted in [false, true] {
        let mut workshop = Workshop::new(encrypted);
        // Twelve frames of which four fit into one request.
        let content: Vec<Vec<Vec<u8>>> = (0..12).map(|seed| vec![noise(seed, 60_000)]).collect();
        let (pack, ids) = workshop.pack(PackClass::Tree, &content);
        let whole = workshop.store.clone();
        let reader = FrameReader::new(
            Arc::clone(&workshop.repository),
            Arc::new(workshop.index),
            100_000,
        );
        let is_read = |frame: usize| {
            now(reader.chunk(PackClass::Tree, &ids[frame])).is_ok_and(|read| read[..] == content[frame][0])
        };
        // Behind the first nothing is fetched yet; behind the second there are three more.
        assert!(is_read(0) && is_read(1));
        whole.damage(&pack.into(), |_| None);
        assert!(is_read(2) && is_read(3) && is_read(4));
        assert!(!is_read(5));
        // Once read they are forgotten: the cache of opened frames has room for one.
        assert!(!is_read(2));
    }
}

#[test]
fn what_is_damaged_behind_a_tree_frame_does_not_keep_it_from_being_read() {
    for encrypted in [false, true] {
        let mut workshop = Workshop::new(encrypted);
        let content: Vec<Vec<Vec<u8>>> = (0..4).map(|seed| vec![noise(seed, 66_000)]).collect();
        let (pack, ids) = workshop.pack(PackClass::Tree, &content);
        // Cut off at the end of the third, behind the sealed block in which the second ends.
        workshop
            .store
            .damage(&pack.into(), |object| Some(object.unwrap().slice(..197_500)));
        let reader = FrameReader::new(workshop.repository, Arc::new(workshop.index), 1 << 20);
        let is_read = |frame: usize| now(reader.chunk(PackClass::Tree, &ids[frame])).is_ok();
        assert!(is_read(0) && is_read(1));
        assert!(!is_read(2) && !is_read(3));
    }
}
