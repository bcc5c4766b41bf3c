//! A value for each of the callers seen recently, for a bounded number of them.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    mem,
};

/// Callers that are remembered.
pub(super) const MAX_KEYS: usize = 10_000;

/// Values by key. It forgets the keys that were not seen for longest: entries live in two halves. When the new half is
/// full it becomes the old one, and the entries of the previous old half that were not asked for again are gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent<V> {
    new: Half<V>,
    old: Half<V>,
}

type Half<V> = HashMap<u64, V, BuildHasherDefault<Spread>>;

impl<V: Copy> Recent<V> {
    /// The value of a key, which counts as seen now.
    pub(super) fn get(&mut self, key: u64) -> Option<V> {
        if let Some(known) = self.new.get(&key) {
            return Some(*known);
        }
        let known = self.old.remove(&key)?;
        self.set(key, known);
        Some(known)
    }

    /// Sets the value of a key, which counts as seen now.
    pub(super) fn set(&mut self, key: u64, value: V) {
        if let Some(known) = self.new.get_mut(&key) {
            *known = value;
            return;
        }
        if self.new.len() >= MAX_KEYS / 2 {
            mem::swap(&mut self.new, &mut self.old);
            // Keeps its allocation.
            self.new.clear();
        }
        self.old.remove(&key);
        self.new.insert(key, value);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.new.len() + self.old.len()
    }
}

/// Keys are hashes already (a server keys its hash, so that callers cannot choose colliding ones). This only spreads
/// consecutive numbers over all bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte));
        }
    }
}
