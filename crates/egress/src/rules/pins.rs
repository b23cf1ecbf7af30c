//! Which addresses name servers have given for which names, for as long as they said.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::Instant;

/// The shortest that an address counts: a program resolves, then connects, on a machine that may be slow.
const SHORTEST: Duration = Duration::from_secs(30);
/// The longest, whatever the answer says.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Most addresses that are known at once; those that end first make room.
const MOST: usize = 4096;

/// Addresses and their names.
#[derive(Debug, Default)]
pub(crate) struct Pins(HashMap<Ipv4Addr, Vec<Pin>>);

#[derive(Debug)]
struct Pin {
    name: String,
    until: Instant,
}

impl Pins {
    /// A name server gave these addresses for this name, for so long.
    pub(crate) fn add(
        &mut self,
        name: &str,
        addresses: impl IntoIterator<Item = Ipv4Addr>,
        time_to_live: Duration,
        now: Instant,
    ) {
        self.forget_old(now);
        let until = now + time_to_live.clamp(SHORTEST, LONGEST);
        for address in addresses {
            let pins = self.0.entry(address).or_default();
            pins.retain(|pin| pin.name != name);
            pins.push(Pin {
                name: name.to_owned(),
                until,
            });
        }
        while self.0.values().map(Vec::len).sum::<usize>() > MOST {
            let first = self
                .0
                .iter()
                .min_by_key(|(_, pins)| pins.iter().map(|pin| pin.until).min());
            let Some(address) = first.map(|(address, _)| *address) else {
                return;
            };
            self.0.remove(&address);
        }
    }

    /// The names this address is known by now.
    pub(crate) fn names(&self, address: Ipv4Addr) -> impl Iterator<Item = &str> {
        let now = Instant::now();
        let pins = self.0.get(&address).into_iter().flatten();
        pins.filter(move |pin| pin.until > now)
            .map(|pin| pin.name.as_str())
    }

    fn forget_old(&mut self, now: Instant) {
        self.0.retain(|_, pins| {
            pins.retain(|pin| pin.until > now);
            !pins.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

    #[tokio::test(start_paused = true)]
    async fn an_address_is_known_by_its_names_for_their_time() {
        let mut pins = Pins::default();
        pins.add("a.example", [ADDRESS], Duration::from_secs(100), Instant::now());
        pins.add("b.example", [ADDRESS], Duration::from_secs(1), Instant::now());
        assert_eq!(pins.names(ADDRESS).count(), 2);
        tokio::time::advance(SHORTEST).await;
        assert_eq!(pins.names(ADDRESS).collect::<Vec<_>>(), ["a.example"]);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(pins.names(ADDRESS).count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_answers_is_bounded() {
        let mut pins = Pins::default();
        for number in 0..u32::try_from(MOST).unwrap() + 100 {
            pins.add("x.example", [Ipv4Addr::from(number)], LONGEST, Instant::now());
        }
        assert_eq!(pins.0.len(), MOST);
    }
}
