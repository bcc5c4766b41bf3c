//! Breakwater's law: how many requests may be in flight in all, and how many of each client.

use std::{collections::VecDeque, time::Duration};

/// Breakwater's constants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// The pool of credits changes once in this time.
    pub(super) round_trip: Duration,
    /// Credits added per client while waits are below the target: A.
    pub(super) increase: f64,
    /// Share of the credits taken per unit of relative excess wait: B.
    pub(super) decrease: f64,
    /// Target wait: d_t.
    pub(super) target: Duration,
    /// A client that has been served keeps its last credit even when there are too many, as in the artifact.
    pub(super) keeps_last: bool,
}

/// The most credits of a client.
const MOST: i64 = 63;

/// The server's books.
#[derive(Debug)]
pub(super) struct Credits {
    settings: Settings,
    /// The total never falls below the number of requests that the server works on at a time.
    least: i64,
    total: i64,
    issued: i64,
    /// Fraction of a credit that is not added yet.
    carry: f64,
    next_update: Duration,
    known: i64,
    clients: Vec<Option<Account>>,
    /// Clients without credits, in the order in which they get the next ones.
    drained: VecDeque<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    credits: i64,
    /// Requests at the server.
    pending: i64,
    /// Requests that waited at the client when it sent the last one.
    demand: i64,
    drained: bool,
}

impl Credits {
    pub(super) fn new(settings: Settings, least: u32) -> Self {
        Self {
            settings,
            least: least.into(),
            total: least.into(),
            issued: 0,
            carry: 0.0,
            next_update: Duration::ZERO,
            known: 0,
            clients: Vec::new(),
            drained: VecDeque::new(),
        }
    }

    /// A client's credits; a new client gets some if any are spare.
    pub(super) fn of(&mut self, client: u32) -> u32 {
        self.register(client);
        self.account(client).credits as u32
    }

    /// A request has arrived, and says how many wait behind it.
    pub(super) fn arrived(&mut self, client: u32, demand: u32) {
        self.register(client);
        let mut account = self.account(client);
        if account.drained {
            self.drained.retain(|drained| *drained != client);
            account.drained = false;
        }
        account.demand = demand.into();
        account.pending += 1;
        let used = account.pending + account.demand;
        self.set(client, Account { credits: account.credits.min(used), ..account });
    }

    /// A request is answered. Returns its client's credits from now on.
    pub(super) fn answered(&mut self, client: u32, rejected: bool) -> u32 {
        self.register(client);
        let account = self.account(client);
        self.set(client, Account { pending: (account.pending - 1).max(0), ..account });
        self.share_out(client, Grant { rejected, woken: false });
        self.account(client).credits as u32
    }

    /// Time has passed and the first in line has waited for `wait`. `wake` is called for clients that have credits again.
    pub(super) fn advance(&mut self, wait: Duration, now: Duration, mut wake: impl FnMut(u32, u32)) {
        while self.next_update <= now {
            self.next_update += self.settings.round_trip;
            self.update_total(wait);
            for _ in self.issued..self.total {
                let Some(client) = self.drained.pop_front() else { break };
                let account = self.account(client);
                self.set(client, Account { credits: 1, drained: false, ..account });
                self.share_out(client, Grant { rejected: false, woken: true });
                wake(client, self.account(client).credits as u32);
            }
        }
    }

    fn update_total(&mut self, wait: Duration) {
        let target = self.settings.target.as_secs_f64();
        let excess = (wait.as_secs_f64() - target) / target;
        if excess >= 0.0 {
            let kept = (1.0 - self.settings.decrease * excess).max(0.5);
            self.total = (self.total as f64 * kept) as i64;
            self.carry = 0.0;
        } else {
            self.carry += self.known as f64 * self.settings.increase;
            self.total += self.carry as i64;
            self.carry = self.carry.fract();
        }
        self.total = self.total.min(self.known * (MOST + 1)).max(self.least);
    }

    /// Sets one client's credits. A client without demand gets credits too, because asking for its demand would cost a round
    /// trip.
    fn share_out(&mut self, client: u32, grant: Grant) {
        let account = self.account(client);
        if account.drained {
            return;
        }
        let spare = self.total - self.issued;
        let beyond_demand = (spare / self.known.max(1)).max(1);
        let usable = account.pending + account.demand + beyond_demand;
        let mut credits = match spare {
            1.. => usable.min(account.credits + spare),
            0 => account.credits,
            _ => account.credits - 1,
        };
        if grant.woken || self.known <= self.least {
            credits = credits.max(beyond_demand);
        }
        if self.settings.keeps_last && account.credits > 0 && credits == 0 && !grant.rejected {
            credits = beyond_demand;
        }
        let credits = credits.max(account.pending).min(MOST).min(usable);
        let drained = credits == 0 && account.pending == 0;
        if drained {
            self.drained.push_back(client);
        }
        self.set(client, Account { credits, drained, ..account });
    }

    fn register(&mut self, client: u32) {
        let place = client as usize;
        if place >= self.clients.len() {
            self.clients.resize(place + 1, None);
        }
        if self.clients[place].is_none() {
            self.clients[place] = Some(Account::default());
            self.known += 1;
            self.share_out(client, Grant { rejected: false, woken: false });
        }
    }

    fn account(&self, client: u32) -> Account {
        self.clients[client as usize].unwrap_or_default()
    }

    fn set(&mut self, client: u32, account: Account) {
        self.issued += account.credits - self.account(client).credits;
        self.clients[client as usize] = Some(account);
    }
}

/// Why a client's credits are set.
#[derive(Clone, Copy, Debug)]
struct Grant {
    /// Its request was rejected.
    rejected: bool,
    /// The client had no credits and is next to get some.
    woken: bool,
}

#[cfg(test)]
mod tests {
    use poolgate_sim::random::{Random, Stream};

    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(1);
    const TARGET: Duration = Duration::from_millis(10);

    fn credits(clients: u32) -> Credits {
        let settings =
            Settings { round_trip: ROUND_TRIP, increase: 0.001, decrease: 0.02, target: TARGET, keeps_last: true };
        let mut credits = Credits::new(settings, 20);
        (0..clients).for_each(|client| credits.register(client));
        credits
    }

    fn issued(credits: &Credits) -> i64 {
        credits.clients.iter().flatten().map(|account| account.credits).sum()
    }

    #[test]
    fn a_thousand_clients_get_a_credit_more_each_round_trip() {
        let mut credits = credits(1000);
        let first = issued(&credits);
        let mut woken = Vec::new();
        credits.advance(Duration::ZERO, 99 * ROUND_TRIP, |client, _| woken.push(client));
        assert_eq!((credits.total, issued(&credits)), (120, 120));
        assert_eq!(woken.len() as i64, 120 - first);
        assert!(woken.is_sorted(), "those without credits get them in their order");
    }

    #[test]
    fn twice_the_target_takes_two_percent_and_never_more_than_half() {
        let mut credits = credits(1000);
        credits.total = 1000;
        credits.update_total(2 * TARGET);
        assert_eq!(credits.total, 980);
        credits.update_total(1000 * TARGET);
        assert_eq!(credits.total, 490);
        (0..100).for_each(|_| credits.update_total(1000 * TARGET));
        assert_eq!(credits.total, 20);
    }

    #[test]
    fn a_client_that_is_rejected_gives_its_credit_back_when_there_are_too_many() {
        let mut credits = credits(100);
        credits.advance(Duration::ZERO, 800 * ROUND_TRIP, |_, _| {});
        credits.total = 20;
        let before = issued(&credits);
        credits.arrived(7, 0);
        assert_eq!(credits.answered(7, true), 0);
        credits.arrived(8, 0);
        assert_eq!(credits.answered(8, false), 1);
        assert_eq!(issued(&credits), before - 1);
        assert_eq!(credits.drained.back(), Some(&7));
    }

    #[test]
    fn the_books_balance() {
        let mut credits = credits(50);
        let mut random = Random::new(1, Stream::Demand);
        for step in 0..20_000_u32 {
            let client = random.below(50) as u32;
            if random.unit() < 0.5 {
                credits.arrived(client, random.below(4) as u32);
            } else {
                credits.answered(client, random.unit() < 0.2);
            }
            credits.advance(TARGET.mul_f64(3.0 * random.unit()), step * ROUND_TRIP / 10, |_, _| {});
            assert_eq!(issued(&credits), credits.issued);
            assert!(credits.clients.iter().flatten().all(|account| (0..=MOST).contains(&account.credits)));
        }
    }
}
