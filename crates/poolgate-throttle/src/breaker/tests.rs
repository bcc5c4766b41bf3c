//! The breaker alone, in virtual time.

use super::*;

const AT: ConfigVersion = ConfigVersion { epoch: 1, version: 1 };

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct Bench {
    breaker: Breaker,
    rng: Rng,
}

impl Bench {
    fn new(seed: u64) -> Self {
        Self { breaker: Breaker::new(seed), rng: Rng::new(seed) }
    }

    fn ask(&mut self, now: Duration) -> Admission {
        self.breaker.admission(now, &mut self.rng)
    }

    fn end(&mut self, kind: PermitKind, outcome: Outcome, now: Duration) {
        self.breaker.learn(kind, outcome, now, &mut self.rng);
    }

    fn fail(&mut self, now: Duration) {
        self.end(PermitKind::Counted, Outcome::Failure, now);
    }

    /// Opens it by local evidence at 1 s.
    fn opened(seed: u64) -> Self {
        let mut bench = Self::new(seed);
        for at in [0, 300, 600, 900, 1000] {
            assert_eq!(bench.ask(ms(at)), Admission::Flow);
            bench.fail(ms(at));
        }
        assert!(bench.breaker.asks() && !bench.breaker.asks());
        assert_eq!(bench.ask(ms(1000)), Admission::Flow);
        bench.breaker.no_contact(ms(1000));
        bench
    }

    fn judge(&mut self, verdict: Verdict, now: Duration) {
        self.breaker.judge(verdict, AT, now, &mut self.rng);
    }

    fn start_probe(&mut self, now: Duration) -> u64 {
        self.breaker.start_probe(now, &mut self.rng)
    }
}

#[test]
fn opens_after_five_failures_in_a_row_over_a_second() {
    let mut bench = Bench::opened(1);
    assert_eq!(bench.ask(ms(1000)), Admission::Refuse { retry_after: ms(1000) });
    assert_eq!(bench.breaker.state(ms(1999), false), CircuitState::Open);
    assert_eq!(bench.breaker.state(ms(2000), false), CircuitState::HalfOpen);
    assert_eq!(bench.ask(ms(2000)), Admission::Probe);
}

#[test]
fn does_not_open_for_a_burst_a_mixture_or_a_trickle() {
    let mut burst = Bench::new(1);
    (0..20).for_each(|at| burst.fail(ms(at)));
    assert_eq!(burst.ask(ms(20)), Admission::Flow);

    let mut mixture = Bench::new(1);
    for at in (0..10_000).step_by(500) {
        mixture.fail(ms(at));
        if at % 2000 == 0 {
            mixture.end(PermitKind::Counted, Outcome::Rejected { retry_after: None }, ms(at));
        }
    }
    assert_eq!(mixture.ask(ms(10_000)), Admission::Flow);

    let mut trickle = Bench::new(1);
    (0..20).for_each(|at| trickle.fail(ms(at * 20_000)));
    assert_eq!(trickle.ask(ms(400_000)), Admission::Flow);
}

#[test]
fn a_silent_config_route_alone_opens_nothing() {
    let mut bench = Bench::new(1);
    (0..50).for_each(|at| bench.breaker.no_contact(ms(at * 100)));
    assert_eq!(bench.ask(ms(5000)), Admission::Flow);
    bench.fail(ms(5000));
    assert!(matches!(bench.ask(ms(5000)), Admission::Refuse { .. }), "with a failed request it is evidence");
}

#[test]
fn one_probe_at_a_time_and_its_success_closes() {
    let mut bench = Bench::opened(1);
    assert_eq!(bench.ask(ms(2000)), Admission::Probe);
    let number = bench.start_probe(ms(2000));
    assert!(matches!(bench.ask(ms(2000)), Admission::Refuse { .. }));
    assert_eq!(bench.breaker.state(ms(2000), false), CircuitState::HalfOpen);
    bench.end(PermitKind::Probe(number), Outcome::Success, ms(2100));
    assert_eq!(bench.ask(ms(2100)), Admission::Flow);
}

#[test]
fn failed_probes_double_the_wait_up_to_a_minute_with_full_jitter() {
    let mut waits = vec![Vec::new(); 10];
    for seed in 0..200 {
        let mut bench = Bench::opened(seed);
        let mut now = ms(2000);
        for waits in &mut waits {
            assert_eq!(bench.ask(now), Admission::Probe);
            let number = bench.start_probe(now);
            bench.end(PermitKind::Probe(number), Outcome::Failure, now);
            let Local::Open { probe_at, .. } = bench.breaker.local else { panic!("closed") };
            waits.push(probe_at - now);
            now = probe_at;
        }
    }
    for (most, waits) in [2, 4, 8, 16, 32, 60, 60, 60, 60, 60].into_iter().zip(&waits) {
        let most = Duration::from_secs(most);
        assert!(*waits.iter().max().unwrap() <= most && *waits.iter().max().unwrap() > most.mul_f64(0.9));
        assert!(*waits.iter().min().unwrap() < most.mul_f64(0.1));
    }
}

#[test]
fn a_probe_without_an_answer_never_leaves_it_half_open() {
    let mut bench = Bench::opened(1);
    assert_eq!(bench.ask(ms(2000)), Admission::Probe);
    let lost = bench.start_probe(ms(2000));
    assert!(matches!(bench.ask(ms(11_999)), Admission::Refuse { .. }));
    // For a tab that slept meanwhile, the wait after the failed probe is over as well.
    assert_eq!(bench.ask(ms(200_000)), Admission::Probe);
    let number = bench.start_probe(ms(200_000));
    bench.end(PermitKind::Probe(lost), Outcome::Failure, ms(200_001));
    assert_eq!(bench.breaker.probe.map(|probe| probe.number), Some(number), "a late answer is not this probe's");
    bench.end(PermitKind::Probe(number), Outcome::Aborted, ms(200_002));
    assert_eq!(bench.ask(ms(200_002)), Admission::Probe, "an aborted probe leaves room for another");
}

#[test]
fn many_failures_at_once_while_open_do_not_prolong_it() {
    let mut bench = Bench::opened(1);
    (0..100).for_each(|_| bench.fail(ms(1500)));
    assert_eq!(bench.ask(ms(2000)), Admission::Probe);
}

#[test]
fn the_servers_verdict_overrides_local_evidence() {
    let mut bench = Bench::new(1);
    bench.judge(Verdict::Open { retry_after: ms(7000) }, ms(0));
    assert_eq!(bench.ask(ms(2000)), Admission::Refuse { retry_after: ms(5000) });
    assert_eq!(bench.ask(ms(7000)), Admission::Refuse { retry_after: ms(1000) }, "until the server's verdict changes");
    bench.judge(Verdict::HalfOpen { fraction: 1.0 }, ms(60_000));
    assert_eq!(bench.ask(ms(60_000)), Admission::Probe);
    bench.start_probe(ms(60_000));
    assert_eq!(bench.ask(ms(60_001)), Admission::Wait);
    assert_eq!(bench.ask(ms(70_000)), Admission::Probe, "the unanswered one is given up");
    bench.judge(Verdict::Closed, ms(70_000));
    assert_eq!(bench.ask(ms(70_000)), Admission::Flow);
}

#[test]
fn a_lasting_verdict_is_probed_ever_less_often() {
    let mut waits = vec![Vec::new(); 6];
    for seed in 0..200 {
        let mut bench = Bench::new(seed);
        bench.judge(Verdict::Open { retry_after: ms(7000) }, ms(0));
        let (mut now, mut last) = (ms(7000), ms(7000));
        for waits in &mut waits {
            while bench.ask(now) != Admission::Probe {
                now += ms(10);
            }
            waits.push(now - last);
            last = now;
            let number = bench.start_probe(now);
            assert_eq!(bench.breaker.state(now, false), CircuitState::HalfOpen);
            assert!(matches!(bench.ask(now), Admission::Refuse { .. }), "one at a time");
            bench.end(PermitKind::Probe(number), Outcome::Rejected { retry_after: None }, now);
            // The same outage in a new config.
            bench.judge(Verdict::Open { retry_after: ms(7000) }, now);
            assert_eq!(bench.breaker.state(now, false), CircuitState::Open);
        }
    }
    for (most, waits) in [10, 20, 40, 60, 60, 60].into_iter().zip(&waits) {
        let (most, longest) = (Duration::from_secs(most), *waits.iter().max().unwrap());
        assert!(longest <= most + ms(10) && longest > most.mul_f64(0.9), "{longest:?} of {most:?}");
        assert!(*waits.iter().min().unwrap() < most.mul_f64(0.1));
    }
}

#[test]
fn a_second_outage_starts_with_the_first_spread() {
    let mut bench = Bench::new(1);
    let open = Verdict::Open { retry_after: ms(0) };
    bench.judge(open, ms(0));
    bench.start_probe(ms(10_000));
    bench.judge(Verdict::HalfOpen { fraction: 0.0 }, ms(11_000));
    bench.judge(open, ms(12_000));
    assert_eq!(bench.breaker.own_probes.map(|own| own.spread), Some(ms(20_000)), "the same one");
    bench.judge(Verdict::Closed, ms(13_000));
    bench.judge(open, ms(14_000));
    assert_eq!(bench.breaker.own_probes.map(|own| own.spread), Some(ms(10_000)));
}

#[test]
fn a_failing_path_is_no_evidence_while_the_server_answers() {
    let mut bench = Bench::new(1);
    let mut asked = 0;
    for at in (0..60_000).step_by(500) {
        bench.fail(ms(at));
        if bench.breaker.asks() {
            asked += 1;
            bench.breaker.heard(ms(at), &mut bench.rng);
        }
        assert_eq!(bench.ask(ms(at)), Admission::Flow);
    }
    assert_eq!(asked, 24, "one question for five failures");
}

#[test]
fn a_failing_path_does_not_keep_it_open_when_the_server_is_back() {
    let mut bench = Bench::opened(1);
    assert_eq!(bench.ask(ms(2000)), Admission::Probe);
    bench.breaker.heard(ms(2000), &mut bench.rng);
    let number = bench.start_probe(ms(2000));
    bench.end(PermitKind::Probe(number), Outcome::Failure, ms(2100));
    assert_eq!(bench.ask(ms(2100)), Admission::Flow);
}

#[test]
fn the_share_of_probing_clients_is_right_and_changes_with_the_version() {
    let chosen = |fraction, version| {
        let at = ConfigVersion { epoch: 1_763_880_000_000, version };
        (0..10_000_u64).filter(|seed| Breaker::new(*seed).is_chosen(fraction, at)).collect::<Vec<_>>()
    };
    assert_eq!((chosen(0.0, 1).len(), chosen(1.0, 1).len()), (0, 10_000));
    let (first, second) = (chosen(0.05, 1), chosen(0.05, 2));
    assert!((400..600).contains(&first.len()) && (400..600).contains(&second.len()));
    assert!(first.iter().filter(|seed| second.contains(seed)).count() < 60, "about 25 are in both");
}

#[test]
fn a_stale_verdict_becomes_one_probe() {
    let mut bench = Bench::new(1);
    bench.judge(Verdict::Open { retry_after: ms(7000) }, ms(0));
    bench.breaker.lapse(ms(10_000), &mut bench.rng);
    assert_eq!(bench.ask(ms(11_000)), Admission::Probe);
    bench.judge(Verdict::Closed, ms(11_000));
    assert_eq!(bench.ask(ms(11_000)), Admission::Flow, "a fresh verdict replaces it");
}

#[test]
fn news_from_the_server_brings_the_next_probe_forward() {
    let mut bench = Bench::opened(1);
    let mut now = ms(2000);
    for _ in 0..12 {
        assert_eq!(bench.ask(now), Admission::Probe);
        let number = bench.start_probe(now);
        bench.end(PermitKind::Probe(number), Outcome::Failure, now);
        let Local::Open { probe_at, .. } = bench.breaker.local else { panic!("closed") };
        now = probe_at;
    }
    let number = bench.start_probe(now);
    bench.end(PermitKind::Probe(number), Outcome::Failure, now);
    bench.breaker.heard(now, &mut bench.rng);
    assert_eq!(bench.ask(now + ms(1000)), Admission::Probe);
}

#[test]
fn a_failed_probe_of_a_stale_verdict_is_local_evidence() {
    let mut bench = Bench::new(1);
    bench.judge(Verdict::Open { retry_after: ms(7000) }, ms(0));
    bench.breaker.lapse(ms(10_000), &mut bench.rng);
    assert_eq!(bench.ask(ms(11_000)), Admission::Probe);
    let number = bench.start_probe(ms(11_000));
    bench.end(PermitKind::Probe(number), Outcome::Failure, ms(11_000));
    bench.judge(Verdict::Closed, ms(11_000));
    assert!(matches!(bench.ask(ms(11_000)), Admission::Refuse { .. }), "the server's verdict does not close it");
}

#[test]
fn news_from_the_server_resets_the_count_of_failures() {
    let mut bench = Bench::new(1);
    for at in 0..40 {
        bench.fail(ms(at * 500));
        if at % 4 == 3 {
            bench.breaker.heard(ms(at * 500), &mut bench.rng);
        }
    }
    assert_eq!(bench.ask(ms(20_000)), Admission::Flow);
}
