//! Kernel arguments for guests in emulation.
//!
//! An emulated x86 guest reads the host's time stamp counter, and its kernel measures the counter's rate against an
//! emulated timer. On a busy host that measurement fails, and a kernel without a rate hangs at boot. So the host
//! measures its own counter and tells the guest.
//!
//! Later the kernel checks the counter against its timer's ticks. An emulated machine on a busy host loses ticks, not
//! counts, and the kernel would drop the counter and keep time by ticks: seconds wrong within seconds. So it is told
//! to trust the counter.

use std::time::{Duration, Instant};

use coracle_types::Architecture;

/// How long the counter is watched: long enough for an error of a few parts in a million.
const WATCHED: Duration = Duration::from_millis(50);
/// How often a reading is tried; the one that took least time counts.
const TRIES: usize = 64;

/// The kernel arguments with which a guest of this architecture boots reliably and soon in emulation. Mitigations
/// against speculation protect nothing there and cost time.
pub async fn emulation_arguments(guest: Architecture) -> Vec<String> {
    let mut arguments = vec!["mitigations=off".to_owned()];
    match guest {
        Architecture::Amd64 => arguments.extend(time_stamp_arguments().await),
        // It reads its timer's rate in a register.
        Architecture::Arm64 => {}
    }
    arguments
}

async fn time_stamp_arguments() -> Vec<String> {
    let mut arguments = ["no_timer_check", "tsc=reliable"].map(str::to_owned).to_vec();
    let first = reading();
    tokio::time::sleep(WATCHED).await;
    if let (Some(first), Some(last)) = (first, reading()) {
        arguments.extend(rate_khz(first, last).map(|khz| format!("tsc_early_khz={khz}")));
    }
    arguments
}

/// The counter and the time at which it was read.
type Reading = (u64, Instant);

fn rate_khz(first: Reading, last: Reading) -> Option<u128> {
    let ticks = u128::from(last.0.checked_sub(first.0)?);
    let nanos = last.1.duration_since(first.1).as_nanos();
    (ticks * 1_000_000).checked_div(nanos).filter(|khz| *khz > 0)
}

#[cfg(target_arch = "x86_64")]
fn reading() -> Option<Reading> {
    let readings = (0..TRIES).map(|_| {
        let before = Instant::now();
        let ticks = time_stamp_counter();
        (before.elapsed(), (ticks, before))
    });
    readings.min_by_key(|(took, _)| *took).map(|(_, reading)| reading)
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the processor's counter has no other door")]
fn time_stamp_counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and it touches no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// What counts for the guest on another host, and how fast, its kernel has to find out.
#[cfg(not(target_arch = "x86_64"))]
fn reading() -> Option<Reading> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_ticks_by_time() {
        let start = Instant::now();
        let later = start + Duration::from_millis(50);
        assert_eq!(
            rate_khz((1000, start), (1000 + 129_806_100, later)),
            Some(2_596_122)
        );
        assert_eq!(
            rate_khz((1000, start), (999, later)),
            None,
            "a counter that went back"
        );
        assert_eq!(rate_khz((1000, start), (2000, start)), None, "no time passed");
    }

    #[cfg(target_arch = "x86_64")]
    #[tokio::test]
    async fn this_machines_rate_is_plausible() {
        let arguments = emulation_arguments(Architecture::Amd64).await;
        let rate = arguments
            .iter()
            .find_map(|argument| argument.strip_prefix("tsc_early_khz="));
        let khz: u64 = rate.expect("a rate").parse().unwrap();
        assert!((100_000..10_000_000).contains(&khz), "{khz} kHz");
    }

    #[tokio::test]
    async fn guests_without_a_time_stamp_counter_are_told_nothing_of_it() {
        let arguments = emulation_arguments(Architecture::Arm64).await;
        assert_eq!(arguments, ["mitigations=off"]);
    }
}
