// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A compact open-addressing table keyed by 16-byte id prefixes.
//!
//! A million keys with 12-byte values take about 36 MiB; a general hash map, which doubles, takes up to 64. Keys are keyed hashes
//! already, so their own leading bits place them. Many shards that grow by a third one at a time keep the peak low.

/// Number of shards; growing one moves 1/256 of the entries.
const SHARDS: usize = 256;
const SLOTS_MIN: usize = 16;

/// Key of the table.
pub type IdPrefix = [u8; 16];

/// Maps id prefixes to small values.
pub struct IdTable<V> {
    shards: Vec<Shard<V>>,
}

struct Shard<V> {
    slots: Vec<(IdPrefix, V)>,
    used: usize,
    zero: Option<V>,
}

/// The empty slot's key; the one true key of this value lives beside the slots.
const EMPTY: IdPrefix = [0; 16];

impl<V: Copy + Default> Default for IdTable<V> {
    fn default() -> Self {
        Self::with_shards(SHARDS)
    }
}

impl<V: Copy + Default> IdTable<V> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty table of fewer shards, for one that is a part of something larger: many tiny shards cost more than they hold.
    ///
    /// # Panics
    /// When `count` is not from 1 to 256.
    pub fn with_shards(count: usize) -> Self {
        assert!((1..=SHARDS).contains(&count), "a first byte chooses the shard");
        Self {
            shards: (0..count)
                .map(|_| Shard {
                    slots: Vec::new(),
                    used: 0,
                    zero: None,
                })
                .collect(),
        }
    }

    #[inline]
    fn shard_of(&self, key: &IdPrefix) -> usize {
        usize::from(key[0]) % self.shards.len()
    }

    /// The value of a key.
    #[inline]
    pub fn get(&self, key: &IdPrefix) -> Option<V> {
        self.shards[self.shard_of(key)].get(key)
    }

    /// Inserts unless the key is there; says whether it was new.
    #[inline]
    pub fn insert(&mut self, key: &IdPrefix, value: V) -> bool {
        let shard = self.shard_of(key);
        self.shards[shard].insert(key, value)
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.used + usize::from(shard.zero.is_some()))
            .sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All keys and values, in no useful order.
    pub fn iter(&self) -> impl Iterator<Item = (IdPrefix, V)> + '_ {
        self.shards.iter().flat_map(|shard| {
            let slots = shard
                .slots
                .iter()
                .filter(|(key, _)| *key != EMPTY)
                .map(|(key, value)| (*key, *value));
            slots.chain(shard.zero.map(|value| (EMPTY, value)))
        })
    }

    /// Changes the value of a key that is there.
    pub fn update(&mut self, key: &IdPrefix, change: impl FnOnce(&mut V)) -> bool {
        let shard = self.shard_of(key);
        let shard = &mut self.shards[shard];
        if *key == EMPTY {
            return shard.zero.as_mut().map(change).is_some();
        }
        match shard.find(key) {
            Some(slot) if shard.slots[slot].0 == *key => {
                change(&mut shard.slots[slot].1);
                true
            }
            _ => false,
        }
    }
}

impl<V: Copy + Default> Shard<V> {
    /// The slot that holds the key, or the empty one where it belongs; none when there are no slots.
    #[inline]
    fn find(&self, key: &IdPrefix) -> Option<usize> {
        let count = self.slots.len();
        if count == 0 {
            return None;
        }
        // The first byte chose the shard; the next eight choose the slot without a division.
        let mut bits = [0; 8];
        bits.copy_from_slice(&key[1..9]);
        let mut slot = ((u128::from(u64::from_be_bytes(bits)) * count as u128) >> 64) as usize;
        loop {
            let held = &self.slots[slot].0;
            if held == key || *held == EMPTY {
                return Some(slot);
            }
            slot += 1;
            if slot == count {
                slot = 0;
            }
        }
    }

    #[inline]
    fn get(&self, key: &IdPrefix) -> Option<V> {
        if *key == EMPTY {
            return self.zero;
        }
        let slot = self.find(key)?;
        (self.slots[slot].0 == *key).then(|| self.slots[slot].1)
    }

    fn insert(&mut self, key: &IdPrefix, value: V) -> bool {
        if *key == EMPTY {
            let new = self.zero.is_none();
            self.zero.get_or_insert(value);
            return new;
        }
        if self.used * 8 >= self.slots.len() * 7 {
            self.grow();
        }
        let slot = self.find(key).expect("a shard that has grown has slots");
        if self.slots[slot].0 == *key {
            return false;
        }
        self.slots[slot] = (*key, value);
        self.used += 1;
        true
    }

    fn grow(&mut self) {
        let count = (self.slots.len() + self.slots.len() / 3).max(SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![(EMPTY, V::default()); count]);
        for (key, value) in old.into_iter().filter(|(key, _)| *key != EMPTY) {
            let slot = self.find(&key).expect("a shard that has grown has slots");
            self.slots[slot] = (key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn table_behaves_like_a_map(
            keys in proptest::collection::vec((0u8..4, 0u8..20, any::<u32>()), 0..600), shards in 1usize..=SHARDS
        ) {
            let mut table = IdTable::with_shards(shards);
            let mut model = HashMap::new();
            for (first, last, value) in keys {
                let mut key = [0; 16];
                (key[0], key[15]) = (first, last);
                let new = !model.contains_key(&key);
                model.entry(key).or_insert(value);
                prop_assert_eq!(table.insert(&key, value), new);
            }
            prop_assert_eq!(table.len(), model.len());
            for (key, value) in &model {
                prop_assert_eq!(table.get(key), Some(*value));
            }
            prop_assert_eq!(table.iter().collect::<HashMap<_, _>>(), model);
            prop_assert_eq!(table.get(&[9; 16]), None);
        }
    }

    #[test]
    fn a_million_keys_stay_compact() {
        let mut table = IdTable::<[u32; 3]>::new();
        let mut reader = blake3::Hasher::new().finalize_xof();
        for _ in 0..1_000_000 {
            let mut key = [0; 16];
            reader.fill(&mut key);
            table.insert(&key, [0; 3]);
        }
        let slots: usize = table.shards.iter().map(|shard| shard.slots.capacity()).sum();
        assert!(slots * 28 < 46 << 20, "{} MiB", (slots * 28) >> 20);
    }
}
