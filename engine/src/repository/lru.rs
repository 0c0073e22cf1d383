// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A small least-recently-used map with a limit on total weight.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// Keeps the values used last, up to a total weight.
pub struct Lru<K, V> {
    values: HashMap<K, (V, u64, u64)>,
    by_use: BTreeMap<u64, K>,
    clock: u64,
    weight: u64,
    weight_max: u64,
}

impl<K: Copy + Eq + Hash, V> Lru<K, V> {
    /// An empty map that holds values of at most `weight_max` together.
    pub fn new(weight_max: u64) -> Self {
        Self {
            values: HashMap::new(),
            by_use: BTreeMap::new(),
            clock: 0,
            weight: 0,
            weight_max,
        }
    }

    /// The value of a key, which thereby becomes the last to be dropped.
    pub fn get(&mut self, key: &K) -> Option<&mut V> {
        let (value, _, used) = self.values.get_mut(key)?;
        self.by_use.remove(used);
        self.clock += 1;
        *used = self.clock;
        self.by_use.insert(self.clock, *key);
        Some(value)
    }

    /// Whether a key is held; it does not count as a use.
    pub fn contains(&self, key: &K) -> bool {
        self.values.contains_key(key)
    }

    /// Enters a value and returns those that had to go for it. A value heavier than the whole limit comes straight back.
    pub fn insert(&mut self, key: K, value: V, weight: u64) -> Vec<(K, V)> {
        let mut dropped: Vec<(K, V)> = self.remove(&key).map(|old| (key, old)).into_iter().collect();
        if weight > self.weight_max {
            dropped.push((key, value));
            return dropped;
        }
        while self.weight + weight > self.weight_max
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            let oldest = *oldest;
            dropped.extend(self.remove(&oldest).map(|old| (oldest, old)));
        }
        self.clock += 1;
        self.by_use.insert(self.clock, key);
        self.values.insert(key, (value, weight, self.clock));
        self.weight += weight;
        dropped
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (value, weight, used) = self.values.remove(key)?;
        self.by_use.remove(&used);
        self.weight -= weight;
        Some(value)
    }

    /// Number of values held.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays() {
        let mut lru = Lru::new(3);
        for key in 0..3 {
            assert!(lru.insert(key, key, 1).is_empty());
        }
        assert_eq!(lru.get(&0), Some(&mut 0));
        assert_eq!(lru.insert(3, 3, 2), [(1, 1), (2, 2)]);
        assert_eq!(lru.len(), 2);
        assert!(lru.get(&0).is_some() && lru.get(&3).is_some());
        assert_eq!(lru.insert(9, 9, 4), [(9, 9)], "heavier than everything allowed");
    }
}
