// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Chunk lists as they grow: a long one moves to list chunks (section 8.4 of the format) while its file is still being read, so that memory does not grow with
//! the file. They are cut by content, so that a change in the middle moves no other cut.

use duplicati_engine::{
    format::chunk_list::{ChunkList, INLINE_IDS_MAX},
    id::ChunkId,
};

use crate::error::RunError;

/// Ids in a list chunk, unless it is the last.
const LIST_IDS_MIN: usize = 1024;
/// Ids in a list chunk at most.
const LIST_IDS_MAX: usize = 8192;

const _: () = assert!(
    INLINE_IDS_MAX < LIST_IDS_MIN,
    "who has filled a list chunk is past the inline limit"
);

/// Takes the ids of one file or folder in order.
#[derive(Debug, Default)]
pub struct ListWriter {
    /// Ids that no list chunk holds yet.
    ids: Vec<ChunkId>,
    /// The list chunks so far.
    lists: Vec<ChunkId>,
}

impl ListWriter {
    /// Takes the next id; `store` stores a list chunk, now and then.
    pub fn push(
        &mut self,
        id: ChunkId,
        store: &mut impl FnMut(&[u8]) -> Result<ChunkId, RunError>,
    ) -> Result<(), RunError> {
        self.ids.push(id);
        let count = self.ids.len();
        let by_content =
            count >= LIST_IDS_MIN && usize::from(id.0[31]) % 256 + 256 * (usize::from(id.0[30]) % 4) == 0;
        if by_content || count >= LIST_IDS_MAX {
            self.cut(store)?;
        }
        Ok(())
    }

    fn cut(&mut self, store: &mut impl FnMut(&[u8]) -> Result<ChunkId, RunError>) -> Result<(), RunError> {
        if !self.ids.is_empty() {
            let mut content = Vec::with_capacity(self.ids.len() * 32);
            for id in self.ids.drain(..) {
                content.extend_from_slice(&id.0);
            }
            self.lists.push(store(&content)?);
        }
        Ok(())
    }

    /// Ends the list.
    pub fn finish(
        mut self,
        store: &mut impl FnMut(&[u8]) -> Result<ChunkId, RunError>,
    ) -> Result<ChunkList, RunError> {
        if self.lists.is_empty() && self.ids.len() <= INLINE_IDS_MAX {
            return Ok(ChunkList::direct(self.ids));
        }
        self.cut(store)?;
        let mut depth = 1;
        while self.lists.len() > INLINE_IDS_MAX {
            for id in std::mem::take(&mut self.lists) {
                self.push(id, store)?;
            }
            self.cut(store)?;
            depth += 1;
        }
        Ok(ChunkList {
            depth,
            ids: self.lists,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn id(number: u64) -> ChunkId {
        ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn written(numbers: &[u64]) -> (ChunkList, HashMap<ChunkId, Vec<u8>>) {
        let mut stored = HashMap::new();
        let mut store = |content: &[u8]| {
            let id = ChunkId(*blake3::hash(content).as_bytes());
            stored.insert(id, content.to_vec());
            Ok(id)
        };
        let mut writer = ListWriter::default();
        for number in numbers {
            writer.push(id(*number), &mut store).unwrap();
        }
        let list = writer.finish(&mut store).unwrap();
        (list, stored)
    }

    fn flattened(list: &ChunkList, stored: &HashMap<ChunkId, Vec<u8>>) -> Vec<ChunkId> {
        let mut ids = list.ids.clone();
        for _ in 0..list.depth {
            ids = ids
                .iter()
                .flat_map(|id| {
                    stored[id]
                        .chunks_exact(32)
                        .map(|raw| ChunkId(raw.try_into().unwrap()))
                })
                .collect();
        }
        ids
    }

    #[test]
    fn lists_up_to_the_inline_limit_stay_in_their_entry() {
        for count in [0, 1, INLINE_IDS_MAX as u64] {
            let numbers: Vec<u64> = (0..count).collect();
            let (list, stored) = written(&numbers);
            assert_eq!((list.depth, list.ids.len() as u64), (0, count));
            assert!(stored.is_empty());
        }
        assert_eq!(written(&[1; INLINE_IDS_MAX + 1]).0.depth, 1);
    }

    #[test]
    fn memory_stays_that_of_one_list_chunk() {
        let mut writer = ListWriter::default();
        for number in 0..100_000 {
            writer.push(id(number), &mut |_| Ok(ChunkId([0; 32]))).unwrap();
            assert!(writer.ids.len() <= LIST_IDS_MAX);
        }
        assert!(writer.lists.len() <= 100_000 / LIST_IDS_MIN);
    }

    #[test]
    fn a_change_in_the_middle_leaves_most_list_chunks_as_they_are() {
        let mut numbers: Vec<u64> = (0..50_000).collect();
        let (_, before) = written(&numbers);
        numbers.insert(25_000, u64::MAX);
        let (_, after) = written(&numbers);
        let fresh = after.keys().filter(|id| !before.contains_key(id)).count();
        assert!((1..=3).contains(&fresh), "{fresh} of {}", after.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_id_comes_back_in_its_place(count in 0u64..200_000, same in 0u64..3) {
            // Equal ids are never cut by content, or always.
            let numbers: Vec<u64> = (0..count).map(|number| if same == 0 { 7 } else { number }).collect();
            let (list, stored) = written(&numbers);
            prop_assert!(list.ids.len() <= INLINE_IDS_MAX);
            let expected: Vec<ChunkId> = numbers.iter().map(|number| id(*number)).collect();
            prop_assert_eq!(flattened(&list, &stored), expected);
        }
    }
}
