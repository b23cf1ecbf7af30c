//! Kernel arguments for guests in emulation.
//!
//! An emulated x86 guest reads the host's time stamp counter, and its kernel measures the counter's rate against an
//! emulated timer. On a busy host that measurement fails, and a kernel without a rate hangs at boot. So the host
//! measures its own counter and tells the guest.
//!
//! Later the kernel checks the counter against its timer's ticks. An emulated machine on a busy host loses ticks, not
//! counts, and the kernel would drop the counter and keep time by ticks: seconds wrong within seconds. So it is told
//! to trust the counter.
//!
//! Its timer, the local APIC's, the kernel measures too, against the counter, and it cannot be told that rate. When the
//! processor is taken from it meanwhile it judges wrong: timers are early or late for as long as the machine lives, and
//! so are those of all that are restored from it. When it finds next to nothing it does without the timer, and then it
//! waits for ever for a tick. So it is told to say what it has found, and who boots it [decides](timer_error).

use std::time::{Duration, Instant};

use coracle_types::Architecture;

/// How long the counter is watched: long enough for an error of a few parts in a million.
const WATCHED: Duration = Duration::from_millis(50);
/// The kernel's ticks in a second, by which it counts its delays.
const KERNEL_HZ: u128 = 250;
/// What the kernel says of its timer.
const TIMER_FOUND: &str = "... lapic delta = ";
/// What it finds when it judges right: for a tenth of a second, sixteenths of the nanoseconds that QEMU counts.
const TIMER_COUNTS: f64 = 6_250_000.0;
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
    let mut arguments = ["no_timer_check", "tsc=reliable", "apic=verbose", "loglevel=5"]
        .map(str::to_owned)
        .to_vec();
    let first = reading();
    tokio::time::sleep(WATCHED).await;
    let rate = first
        .zip(reading())
        .and_then(|(first, last)| rate_khz(first, last));
    if let Some(khz) = rate {
        arguments.push(format!("tsc_early_khz={khz}"));
        // Each further processor measures its delays, for which it needs ticks.
        arguments.push(format!("lpj={}", khz * 1000 / KERNEL_HZ));
    }
    arguments
}

/// By which part of its rate an emulated guest's kernel has misjudged its timer, if this line of its console says what
/// it has found.
pub(crate) fn timer_error(line: &str) -> Option<f64> {
    let (_, found) = line.split_once(TIMER_FOUND)?;
    let found: i32 = found.trim().parse().ok()?;
    Some(f64::from(found) / TIMER_COUNTS - 1.0)
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

    #[test]
    fn a_kernel_says_how_it_has_judged_its_timer() {
        let error = |found: &str| timer_error(&format!("[    0.182015] ... lapic delta = {found}"));
        assert_eq!(error("6250000"), Some(0.0));
        assert_eq!(error("9375000\r"), Some(0.5), "its timers are late");
        assert_eq!(error("62500"), Some(-0.99), "its timers are early");
        assert_eq!(error("-6250000"), Some(-2.0), "the timer began anew meanwhile");
        assert_eq!(error(""), None);
        assert_eq!(timer_error("[    0.182015] ..... delta 6250000"), None);
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
