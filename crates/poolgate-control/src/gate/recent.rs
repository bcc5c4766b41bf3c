//! What is remembered of each of the callers seen lately: a bounded number.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    mem,
};

/// Callers that are remembered.
pub(super) const MAX_KEYS: usize = 10_000;

/// Values by key. Who was not seen for longest is forgotten: entries live in two halves, a new half begins when one is
/// full, and what was not asked for again since then goes with the old one.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent<V> {
    new: Half<V>,
    old: Half<V>,
}

type Half<V> = HashMap<u64, V, BuildHasherDefault<Spread>>;

impl<V: Copy> Recent<V> {
    /// Asking counts as seeing.
    pub(super) fn get(&mut self, key: u64) -> Option<V> {
        if let Some(known) = self.new.get(&key) {
            return Some(*known);
        }
        let known = self.old.remove(&key)?;
        self.set(key, known);
        Some(known)
    }

    /// Remembers the key as the one seen last.
    pub(super) fn set(&mut self, key: u64, value: V) {
        if let Some(known) = self.new.get_mut(&key) {
            *known = value;
            return;
        }
        if self.new.len() >= MAX_KEYS / 2 {
            mem::swap(&mut self.new, &mut self.old);
            // Keeps its memory.
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

/// Keys are hashes already (a server's are keyed, so nobody can choose them to collide); this only makes numbers in a row
/// use all bits.
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
