//! How many connections a pool may have without taking the server from others.

/// A limit that the server sets, for all its clients, for one database or for one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Connections that it allows; those reserved for superusers are not among them.
    pub max: u32,
    /// Connections that count towards it now, this pool's included.
    pub used: u32,
}

/// The most connections that this pool may have: under each limit its even share among `replicas` (at least 1), and no
/// more than it has open (`own`) plus what is free, less a tenth that is left to others. `None` without a limit.
pub fn server_limit(rooms: &[Room], own: u32, replicas: u32) -> Option<u32> {
    let share = |room: &Room| {
        let reserve = room.max.div_ceil(10);
        let free = room.max.saturating_sub(room.used).saturating_sub(reserve);
        let even = room.max.saturating_sub(reserve) / replicas.max(1);
        even.min(own.saturating_add(free))
    };
    rooms.iter().map(share).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_counts() {
        assert_eq!(server_limit(&[], 20, 1), None);
        let server = Room { max: 97, used: 20 };
        assert_eq!(server_limit(&[server], 20, 1), Some(87), "nobody else is there");
        assert_eq!(server_limit(&[server], 20, 4), Some(21), "four of us");
        assert_eq!(server_limit(&[server, Room { max: 40, used: 20 }], 20, 1), Some(36), "the role's own");
        assert_eq!(server_limit(&[Room { max: 97, used: 80 }], 20, 1), Some(27), "others have 60");
        assert_eq!(server_limit(&[Room { max: 97, used: 97 }], 20, 1), Some(20), "what it has it keeps");
        assert_eq!(server_limit(&[Room { max: 97, used: 97 }], 0, 0), Some(0));
    }
}
