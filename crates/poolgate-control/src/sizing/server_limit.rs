//! How many connections a pool may have under the limits of its database server.

/// A limit on connections that the server sets: for all its clients, for one database or for one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// Connections that it allows, without those reserved for superusers.
    pub max: u32,
    /// Connections that count towards it now, including this pool's.
    pub used: u32,
}

/// The largest number of connections that this pool may have; `None` without a limit.
///
/// A tenth of each limit is left to others. Of the rest, each of the `replicas` (at least 1) may have an even share,
/// and this one no more than it has open (`own`) plus what is free. The tightest limit counts.
pub fn server_limit(limits: &[ConnectionLimit], own: u32, replicas: u32) -> Option<u32> {
    let share = |limit: &ConnectionLimit| {
        let reserve = limit.max.div_ceil(10);
        let free = limit.max.saturating_sub(limit.used).saturating_sub(reserve);
        let even = limit.max.saturating_sub(reserve) / replicas.max(1);
        even.min(own.saturating_add(free))
    };
    limits.iter().map(share).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_counts() {
        assert_eq!(server_limit(&[], 20, 1), None);
        let server = ConnectionLimit { max: 97, used: 20 };
        assert_eq!(server_limit(&[server], 20, 1), Some(87), "there is no other user");
        assert_eq!(server_limit(&[server], 20, 4), Some(21), "four of us");
        assert_eq!(server_limit(&[server, ConnectionLimit { max: 40, used: 20 }], 20, 1), Some(36), "the role's own");
        assert_eq!(server_limit(&[ConnectionLimit { max: 97, used: 80 }], 20, 1), Some(27), "others have 60");
        assert_eq!(server_limit(&[ConnectionLimit { max: 97, used: 97 }], 20, 1), Some(20), "what it has it keeps");
        assert_eq!(server_limit(&[ConnectionLimit { max: 97, used: 97 }], 0, 0), Some(0));
    }
}
