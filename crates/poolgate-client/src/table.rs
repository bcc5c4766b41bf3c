//! A small map from growing ids.

use std::collections::VecDeque;

/// Entries sorted by id in one block. They come at the end and go near the front, in thousands even, so it beats a tree,
/// in bytes of code above all.
#[derive(Debug)]
pub(crate) struct Table<T>(VecDeque<(u64, T)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Adds an entry, or replaces the one with that id.
    pub(crate) fn insert(&mut self, id: u64, value: T) {
        match self.position(id) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (id, value)),
        }
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<T> {
        self.position(id).ok().and_then(|at| self.0.remove(at)).map(|(_, value)| value)
    }

    /// Removes those that are wanted.
    pub(crate) fn extract_if(&mut self, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let mut extracted = Vec::new();
        let mut at = 0;
        while let Some((_, value)) = self.0.get(at) {
            if wanted(value) {
                extracted.extend(self.0.remove(at).map(|(_, value)| value));
            } else {
                at += 1;
            }
        }
        extracted
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn position(&self, id: u64) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |entry| entry.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_whatever_the_order() {
        let mut table = Table::new();
        for id in [3, 1, 2, 5] {
            table.insert(id, id * 10);
        }
        table.insert(2, 21);
        assert_eq!((table.len(), table.remove(2), table.remove(2), table.remove(5)), (4, Some(21), None, Some(50)));
        assert_eq!(table.remove(4), None);
        table.insert(7, 70);
        assert_eq!(table.extract_if(|value| *value == 70), [70]);
        assert_eq!((table.remove(1), table.remove(3), table.len()), (Some(10), Some(30), 0));
    }
}
