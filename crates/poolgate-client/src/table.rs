//! A small map from growing ids.

use std::collections::VecDeque;

/// Entries in one block, sorted by id. They are added at the end and removed near the front, so with thousands of entries it is
/// as fast as a tree, and its code is much smaller.
#[derive(Debug)]
pub(crate) struct Table<T>(VecDeque<(u64, T)>);

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Adds an entry under a new id.
    pub(crate) fn insert(&mut self, id: u64, value: T) {
        let (Ok(at) | Err(at)) = self.position(id);
        self.0.insert(at, (id, value));
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<T> {
        self.position(id).ok().and_then(|at| self.0.remove(at)).map(|(_, value)| value)
    }

    fn position(&self, id: u64) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |entry| entry.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_in_any_order() {
        let mut table = Table::new();
        for id in [3, 1, 2, 5] {
            table.insert(id, id * 10);
        }
        assert_eq!(
            (table.remove(2), table.remove(2), table.remove(5), table.remove(4)),
            (Some(20), None, Some(50), None)
        );
        table.insert(7, 70);
        assert_eq!((table.remove(1), table.remove(3), table.remove(7)), (Some(10), Some(30), Some(70)));
    }
}
