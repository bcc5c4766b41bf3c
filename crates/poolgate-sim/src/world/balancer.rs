//! The balancer in front of the servers.

use super::World;

impl World<'_> {
    /// A server that takes requests, by chance; `None` if there is none.
    pub(super) fn choose_server(&mut self) -> Option<u32> {
        let up: Vec<u32> = (0..)
            .zip(&self.servers)
            .filter(|(_, server)| server.up && server.takes_requests)
            .map(|(number, _)| number)
            .collect();
        match up.len() {
            0 | 1 => up.first().copied(),
            several => up.get(self.balancer.below(several)).copied(),
        }
    }
}
