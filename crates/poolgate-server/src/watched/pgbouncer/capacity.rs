//! How many server connections PgBouncer may open, by the limits of its databases and users.

use std::collections::HashMap;

/// The limits of a database, for the pool of each of its users.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DatabaseLimits {
    pub(super) pool: u32,
    pub(super) reserve: u32,
    /// The limit of all its pools together (`max_db_connections`), if there is one.
    pub(super) most: Option<u32>,
}

/// The limits of a user, which PgBouncer shows from 1.24 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UserLimits {
    /// Instead of the database's, in each of the user's pools.
    pub(super) pool: Option<u32>,
    pub(super) reserve: Option<u32>,
    /// The limit of all its pools together (`max_user_connections`), if there is one.
    pub(super) most: Option<u32>,
}

/// The limits of databases and users by their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    pub(super) databases: HashMap<String, DatabaseLimits>,
    pub(super) users: HashMap<String, UserLimits>,
}

/// A pool: its database and its user.
pub(super) type Pool = (String, Option<String>);

/// Server connections that pools may open together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// Without the reserve.
    pub(super) pool_size: u32,
    /// With it.
    pub(super) capacity: u32,
}

impl Limits {
    /// The room of these pools. A joint limit of a database and one of a user may cross; then the room is the smaller of
    /// what the databases and what the users allow, which may still be too large.
    pub(super) fn room(&self, pools: &[Pool]) -> Room {
        let sizes: Vec<_> = pools.iter().map(|pool| (pool, self.size(pool))).collect();
        let total = |size: fn(&Room) -> u32| {
            let (mut of_database, mut of_user) = (HashMap::<_, u32>::new(), HashMap::<_, u32>::new());
            for ((database, user), room) in &sizes {
                for sum in [of_database.entry(database).or_default(), of_user.entry(user).or_default()] {
                    *sum = sum.saturating_add(size(room));
                }
            }
            let capped = |(sum, most): (u32, Option<u32>)| sum.min(most.unwrap_or(u32::MAX));
            let databases = of_database.iter().map(|(name, sum)| (*sum, self.database(name).most)).map(capped);
            let users = of_user.iter().map(|(name, sum)| (*sum, self.user(name.as_deref()).most)).map(capped);
            databases.fold(0, u32::saturating_add).min(users.fold(0, u32::saturating_add))
        };
        Room { pool_size: total(|room| room.pool_size), capacity: total(|room| room.capacity) }
    }

    /// The room of one pool, without the joint limits.
    fn size(&self, (database, user): &Pool) -> Room {
        let (database, user) = (self.database(database), self.user(user.as_deref()));
        let pool_size = user.pool.unwrap_or(database.pool);
        Room { pool_size, capacity: pool_size.saturating_add(user.reserve.unwrap_or(database.reserve)) }
    }

    fn database(&self, name: &str) -> DatabaseLimits {
        self.databases.get(name).copied().unwrap_or_default()
    }

    fn user(&self, name: Option<&str>) -> UserLimits {
        name.and_then(|name| self.users.get(name)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: DatabaseLimits = DatabaseLimits { pool: 20, reserve: 5, most: None };

    fn room(database: DatabaseLimits, users: &[(&str, UserLimits)], pools: &[(&str, &str)]) -> Room {
        let databases = pools.iter().map(|(name, _)| ((*name).to_owned(), database)).collect();
        let users = users.iter().map(|(name, limits)| ((*name).to_owned(), *limits)).collect();
        let pools: Vec<_> = pools.iter().map(|(name, user)| ((*name).to_owned(), Some((*user).to_owned()))).collect();
        Limits { databases, users }.room(&pools)
    }

    #[test]
    fn each_pool_has_the_size_of_its_database() {
        assert_eq!(room(SHOP, &[], &[("shop", "app"), ("shop", "batch")]), Room { pool_size: 40, capacity: 50 });
        let joint = DatabaseLimits { most: Some(30), ..SHOP };
        assert_eq!(room(joint, &[], &[("shop", "app"), ("shop", "batch")]), Room { pool_size: 30, capacity: 30 });
        assert_eq!(room(SHOP, &[], &[]), Room::default());
    }

    #[test]
    fn a_users_own_size_replaces_the_databases() {
        let batch = UserLimits { pool: Some(2), reserve: Some(0), most: None };
        let pools = [("shop", "app"), ("shop", "batch")];
        assert_eq!(room(SHOP, &[("batch", batch)], &pools), Room { pool_size: 22, capacity: 27 });
        let without_reserve = UserLimits { reserve: None, ..batch };
        assert_eq!(room(SHOP, &[("batch", without_reserve)], &pools), Room { pool_size: 22, capacity: 32 });
    }

    #[test]
    fn a_users_limit_counts_for_all_its_pools_together() {
        let app = UserLimits { most: Some(30), ..UserLimits::default() };
        let pools = [("shop", "app"), ("stock", "app"), ("shop", "batch")];
        assert_eq!(room(SHOP, &[("app", app)], &pools), Room { pool_size: 50, capacity: 55 });
        let joint = DatabaseLimits { most: Some(10), ..SHOP };
        assert_eq!(room(joint, &[("app", app)], &pools), Room { pool_size: 20, capacity: 20 }, "the smaller counts");
    }
}
