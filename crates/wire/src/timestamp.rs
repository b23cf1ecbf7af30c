use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A timestamp that travels as seconds since the epoch, REST-JSON's form where a shape names no other.
/// Whole seconds go out as an integer, anything finer as a fraction in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EpochSeconds(pub Timestamp);

impl Serialize for EpochSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanosecond() == 0 {
            return serializer.serialize_i64(self.0.as_second());
        }
        serializer.serialize_f64(self.0.as_duration().as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for EpochSeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_seconds(f64::deserialize(deserializer)?)
            .map(Self)
            .ok_or_else(|| de::Error::custom("not a time between the years -9999 and 9999"))
    }
}

/// The time at this many seconds since the epoch, rounded to a microsecond, if there is one.
pub(crate) fn from_seconds(seconds: f64) -> Option<Timestamp> {
    let duration = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    let microseconds = duration.round(jiff::Unit::Microsecond).ok()?;
    Timestamp::from_duration(microseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_are_integers_and_fractions_survive() {
        let whole: EpochSeconds = serde_json::from_str("1750000000").unwrap();
        assert_eq!(serde_json::to_string(&whole).unwrap(), "1750000000");
        let fraction: EpochSeconds = serde_json::from_str("1750000000.25").unwrap();
        assert_eq!(serde_json::to_string(&fraction).unwrap(), "1750000000.25");
        assert!(serde_json::from_str::<EpochSeconds>("1e300").is_err());
    }
}
