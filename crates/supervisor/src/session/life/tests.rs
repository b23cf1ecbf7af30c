use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    idle_timeout: Duration::from_secs(60),
    max_lifetime: Duration::from_secs(600),
    init_timeout: Duration::from_secs(30),
    hibernate_after: None,
};
const ENDED: Usage = Usage::Ended { quiet: false };
const UNIX: i64 = 1_700_000_000;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn healthy() -> Probe {
    Probe::Healthy {
        busy: false,
        time_of_last_update: None,
    }
}

fn busy() -> Probe {
    Probe::Healthy {
        busy: true,
        time_of_last_update: None,
    }
}

fn failed() -> Probe {
    Probe::Failed("no".into())
}

/// A session that became ready at the returned moment.
fn ready() -> (Life, Instant) {
    let now = Instant::now();
    let mut life = Life::new(RULES, now);
    life.agent_started(now);
    assert_eq!(life.next(now), Next::Probe);
    life.probe_ended(now, UNIX, healthy());
    assert_eq!(life.admission(), Admission::Now);
    (life, now)
}

/// Follows the timers with `answer` for every probe until the session ends.
fn run(life: &mut Life, mut now: Instant, mut answer: impl FnMut() -> Option<Probe>) -> (Verdict, Instant) {
    loop {
        match life.next(now) {
            Next::WaitUntil(moment) => now = moment,
            Next::Probe => {
                if let Some(probe) = answer() {
                    life.probe_ended(now, UNIX, probe);
                }
            }
            Next::AbandonProbe => life.probe_ended(now, UNIX, failed()),
            Next::End(verdict) => return (verdict, now),
        }
    }
}

#[test]
fn an_unused_session_ends_after_its_idle_timeout() {
    let (mut life, start) = ready();
    assert_eq!(
        run(&mut life, start, || Some(healthy())),
        (Verdict::Idle, start + secs(60))
    );
}

#[test]
fn idle_time_counts_from_the_end_of_the_last_request() {
    let (mut life, start) = ready();
    life.request_began(start + secs(10));
    life.request_began(start + secs(11));
    life.learn_usage(ENDED, start + secs(12));
    life.learn_usage(ENDED, start + secs(30));
    assert_eq!(
        run(&mut life, start + secs(30), || Some(healthy())),
        (Verdict::Idle, start + secs(90))
    );
}

#[test]
fn a_quiet_connection_keeps_the_session_only_while_it_is_used() {
    let (mut life, start) = ready();
    life.request_began(start);
    life.learn_usage(Usage::Quiet, start);
    life.learn_usage(Usage::Used, start + secs(40));
    assert_eq!(
        run(&mut life, start + secs(40), || Some(healthy())),
        (Verdict::Idle, start + secs(100))
    );
    let (mut life, start) = ready();
    life.request_began(start);
    life.learn_usage(Usage::Quiet, start);
    life.request_began(start + secs(1));
    life.learn_usage(Usage::Ended { quiet: true }, start + secs(2));
    assert!(life.is_in_use(), "the other request is open");
}

#[test]
fn an_open_request_and_a_busy_agent_are_ended_only_by_the_lifetime() {
    let (mut life, start) = ready();
    life.request_began(start);
    assert_eq!(
        run(&mut life, start, || Some(healthy())),
        (Verdict::LifetimeOver, start + secs(600))
    );
    let (mut life, start) = ready();
    assert_eq!(
        run(&mut life, start, || Some(busy())),
        (Verdict::LifetimeOver, start + secs(600))
    );
}

#[test]
fn an_agent_that_stops_being_busy_is_idle_from_then_on() {
    let (mut life, start) = ready();
    let mut probes = 0;
    let (verdict, at) = run(&mut life, start, || {
        probes += 1;
        Some(if probes <= 10 { busy() } else { healthy() })
    });
    assert_eq!((verdict, at), (Verdict::Idle, start + secs(11 * 5 + 60)));
}

#[test]
fn a_timestamp_that_advances_keeps_the_session_and_one_that_stands_still_does_not() {
    let report = |time| Probe::Healthy {
        busy: false,
        time_of_last_update: Some(time),
    };
    let (mut life, start) = ready();
    let mut time = UNIX;
    let advancing = run(&mut life, start, || {
        time += 5;
        Some(report(time))
    });
    assert_eq!(advancing, (Verdict::LifetimeOver, start + secs(600)));
    let (mut life, start) = ready();
    // Far in the future, as if it were milliseconds: counts once, at the first probe after the ready one.
    let standing = run(&mut life, start, || Some(report(UNIX * 1000)));
    assert_eq!(standing, (Verdict::Idle, start + secs(65)));
    let (mut life, start) = ready();
    assert_eq!(
        run(&mut life, start, || Some(report(i64::MIN))),
        (Verdict::Idle, start + secs(60))
    );
}

#[test]
fn three_failures_in_a_row_end_a_session_and_two_do_not() {
    let (mut life, start) = ready();
    assert_eq!(
        run(&mut life, start, || Some(failed())),
        (Verdict::Unhealthy("no".into()), start + secs(15))
    );
    let (mut life, start) = ready();
    let mut probes = 0;
    let (verdict, _) = run(&mut life, start, || {
        probes += 1;
        Some(if probes % 3 == 0 { healthy() } else { failed() })
    });
    assert_eq!(verdict, Verdict::Idle);
}

#[test]
fn a_silent_agent_is_dead_when_idle_and_waited_for_while_it_answers() {
    let (mut life, start) = ready();
    assert_eq!(run(&mut life, start, || None).0, Verdict::Unhealthy("no".into()));
    let (mut life, start) = ready();
    life.request_began(start);
    assert_eq!(
        run(&mut life, start, || None),
        (Verdict::LifetimeOver, start + secs(600))
    );
}

#[test]
fn a_starting_agent_is_probed_often_and_has_its_time() {
    let start = Instant::now();
    let mut life = Life::new(RULES, start);
    assert_eq!(life.next(start), Next::WaitUntil(start + secs(600)));
    life.request_began(start);
    life.agent_started(start + secs(4));
    let mut probes = 0;
    let (verdict, at) = run(&mut life, start + secs(4), || {
        probes += 1;
        Some(failed())
    });
    assert_eq!(
        (verdict, at),
        (Verdict::NeverHealthy(Some("no".into())), start + secs(34))
    );
    assert!((120..=300).contains(&probes), "{probes} probes in 30 s");
}

#[test]
fn a_stop_is_for_the_first_who_asks_and_nobody_is_admitted_after_it() {
    let (mut life, start) = ready();
    assert!(life.ask_to_stop(Verdict::Asked));
    assert!(!life.ask_to_stop(Verdict::Asked));
    assert_eq!(life.admission(), Admission::Refuse);
    assert_eq!(life.next(start), Next::End(Verdict::Asked));
    assert_eq!(life.admission(), Admission::Refuse);
}

#[test]
fn draining_waits_for_requests_until_its_deadline() {
    let (mut life, start) = ready();
    life.drain(start + secs(20), false);
    assert_eq!(life.next(start), Next::End(Verdict::Drained));
    let (mut life, start) = ready();
    life.request_began(start);
    life.drain(start + secs(20), false);
    assert_eq!(
        run(&mut life, start, || Some(healthy())),
        (Verdict::Drained, start + secs(20))
    );
}

#[derive(Debug, Clone)]
enum Happening {
    Pass(u64),
    RequestBegan,
    RequestEnded,
    Answer(Probe),
}

fn happening() -> impl Strategy<Value = Happening> {
    let probe = prop_oneof![
        3 => Just(healthy()),
        1 => Just(busy()),
        1 => any::<i64>().prop_map(|time| Probe::Healthy { busy: false, time_of_last_update: Some(time) }),
        1 => Just(failed()),
    ];
    prop_oneof![
        4 => (0_u64..20_000).prop_map(Happening::Pass),
        1 => Just(Happening::RequestBegan),
        1 => Just(Happening::RequestEnded),
        3 => probe.prop_map(Happening::Answer),
    ]
}

proptest! {
    /// Whatever happens: the timers make progress, at most one probe runs, and every end has its reason.
    #[test]
    fn every_end_is_justified(
        happenings in proptest::collection::vec(happening(), 1..200),
        hibernate_after in proptest::option::of((0_u64..90).prop_map(Duration::from_secs)),
    ) {
        let start = Instant::now();
        let mut now = start;
        let mut life = Life::new(Rules { hibernate_after, ..RULES }, start);
        life.agent_started(start);
        let (mut requests, mut probing, mut failures, mut is_busy) = (0_u32, false, 0, false);
        let (mut was_ready, mut last_end) = (false, start);
        for happening in happenings {
            match happening {
                Happening::Pass(millis) => now += Duration::from_millis(millis),
                Happening::RequestBegan => {
                    requests += 1;
                    life.request_began(now);
                }
                Happening::RequestEnded if requests > 0 => {
                    requests -= 1;
                    last_end = now;
                    life.learn_usage(ENDED, now);
                }
                Happening::Answer(probe) if probing => {
                    probing = false;
                    match &probe {
                        Probe::Healthy { busy, .. } => {
                            failures = 0;
                            is_busy = *busy;
                            was_ready = true;
                        }
                        Probe::Failed(_) => failures += 1,
                    }
                    life.probe_ended(now, UNIX, probe);
                }
                Happening::RequestEnded | Happening::Answer(_) => {}
            }
            loop {
                match life.next(now) {
                    Next::WaitUntil(moment) => {
                        prop_assert!(moment > now);
                        break;
                    }
                    Next::Probe => {
                        prop_assert!(!probing);
                        probing = true;
                    }
                    Next::AbandonProbe => {
                        prop_assert!(probing && (requests == 0 || !was_ready));
                        probing = false;
                        failures += 1;
                        life.probe_ended(now, UNIX, failed());
                    }
                    Next::End(verdict) => {
                        let unused_for = |time| was_ready && requests == 0 && !is_busy && now >= last_end + time;
                        let justified = match verdict {
                            Verdict::Hibernated => hibernate_after.is_some_and(|after| {
                                failures == 0 && unused_for(after.min(RULES.idle_timeout))
                            }),
                            Verdict::Idle => unused_for(RULES.idle_timeout),
                            Verdict::LifetimeOver => now >= start + RULES.max_lifetime,
                            Verdict::NeverHealthy(_) => !was_ready && now >= start + RULES.init_timeout,
                            Verdict::Unhealthy(_) => was_ready && failures >= FAILURES_UNTIL_DEAD,
                            Verdict::Asked
                            | Verdict::Outdated
                            | Verdict::Killed
                            | Verdict::CapReached(_)
                            | Verdict::Drained
                            | Verdict::Left => false,
                        };
                        prop_assert!(justified, "{verdict:?}");
                        prop_assert_eq!(life.admission(), Admission::Refuse);
                        return Ok(());
                    }
                }
            }
            prop_assert!(now < start + RULES.max_lifetime, "the lifetime is hard");
        }
    }
}
