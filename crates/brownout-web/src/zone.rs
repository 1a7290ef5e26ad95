//! Times in the reader's zone, and how times are written.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use brownout_core::model::UtcTime;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A zone in which a page writes its times.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    /// IANA name; `None` is UTC.
    name: Option<Arc<str>>,
    zone: TimeZone,
}

impl Zone {
    pub(crate) fn utc() -> Self {
        Zone { name: None, zone: TimeZone::UTC }
    }

    /// The name under which pages are kept; `None` is UTC.
    pub(crate) fn key(&self) -> Option<Arc<str>> {
        self.name.clone()
    }

    /// The name that an axis carries.
    pub(crate) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or("UTC")
    }

    fn civil(&self, at: UtcTime) -> Option<jiff::civil::DateTime> {
        Timestamp::from_millisecond(at.millis()).ok().map(|stamp| self.zone.to_datetime(stamp))
    }

    /// `09:45`.
    pub(crate) fn clock(&self, at: UtcTime) -> String {
        self.civil(at).map_or_else(String::new, |time| format!("{:02}:{:02}", time.hour(), time.minute()))
    }

    /// `09:45 UTC`, or `14:45 (09:45 UTC)` in another zone.
    pub(crate) fn clock_and_utc(&self, at: UtcTime) -> String {
        match self.name {
            None => format!("{} UTC", self.clock(at)),
            Some(_) => format!("{} ({} UTC)", self.clock(at), Zone::utc().clock(at)),
        }
    }

    /// `10 March 2025`.
    pub(crate) fn date(&self, at: UtcTime) -> String {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        self.civil(at).map_or_else(String::new, |time| {
            let month = MONTHS.get(time.month() as usize - 1).unwrap_or(&"");
            format!("{} {month} {}", time.day(), time.year())
        })
    }

    /// Minutes of the day in this zone.
    pub(crate) fn minute_of_day(&self, at: UtcTime) -> u32 {
        self.civil(at).map_or(0, |time| time.hour() as u32 * 60 + time.minute() as u32)
    }

    /// `09:45 UTC`, with the date when it is not `near`'s day, as a `<time>` element.
    ///
    /// Nothing in it comes from outside except the zone's name, which the zone database knows.
    pub(crate) fn element(&self, at: UtcTime, near: UtcTime) -> String {
        let same_day = self.date(at) == self.date(near);
        let date = if same_day { String::new() } else { format!("{}, ", self.date(at)) };
        format!(r#"<time datetime="{at}">{date}{}</time>"#, self.clock_and_utc(at))
    }
}

/// Zones that readers asked for. Bounded: past the limit the database is asked each time.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    known: RwLock<BTreeMap<String, Zone>>,
}

/// Zones kept; the database has about 600 names.
const ZONES_MAX: usize = 128;

impl Zones {
    /// The zone with this IANA name, or `None` where there is none.
    pub(crate) fn get(&self, name: &str) -> Option<Zone> {
        if name.is_empty() || name.len() > 48 {
            return None;
        }
        if name.eq_ignore_ascii_case("UTC") {
            return Some(Zone::utc());
        }
        if let Some(zone) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Some(zone.clone());
        }
        let zone = jiff::tz::db().get(name).ok()?;
        // The database finds names in any case; its own spelling is the one that is kept.
        let spelling = zone.iana_name()?.to_owned();
        let zone = Zone { name: Some(Arc::from(spelling.as_str())), zone };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < ZONES_MAX {
            known.insert(spelling, zone.clone());
        }
        Some(zone)
    }
}

/// `3 min`, `2 h 05 min`, `4 days`.
pub(crate) fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `26,579`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// An expected count as a whole number; a fraction of one would be more exact than it is.
pub(crate) fn expected(number: f32) -> String {
    if !number.is_finite() || number < 0.05 {
        "0".to_owned()
    } else if number < 0.95 {
        "under 1".to_owned()
    } else {
        thousands(number.round() as u64)
    }
}

/// The same, or that it is not known, where it is only a guess.
pub(crate) fn expected_or_unknown(number: f32, is_guess: bool) -> String {
    if is_guess { "unknown".to_owned() } else { expected(number) }
}

/// `about 25 are usual`.
pub(crate) fn usual_words(number: f32) -> String {
    if !number.is_finite() || number < 0.95 {
        "fewer than 1 is usual".to_owned()
    } else if number < 1.5 {
        "about 1 is usual".to_owned()
    } else {
        format!("about {} are usual", expected(number))
    }
}

/// `2 reports`, `1 report`, `no reports`: a count with its noun.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    match number {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        _ => format!("{} {many}", thousands(number)),
    }
}

/// `12 times usual`, or `None` where it is not above, or "usual" too small to be a measure.
pub(crate) fn multiple(observed: u32, usual: f32) -> Option<String> {
    if usual < 0.5 || !usual.is_finite() {
        return None;
    }
    let times = f64::from(observed) / f64::from(usual);
    if times < 1.05 {
        return None;
    }
    Some(if times < 9.95 { format!("{times:.1}") } else { thousands(times.round() as u64) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_the_readers_zone_with_utc_beside() {
        let zones = Zones::default();
        let at: UtcTime = "2025-03-10T21:45:00Z".parse().expect("a time");
        let karachi = zones.get("asia/karachi").expect("a zone");
        assert_eq!(karachi.label(), "Asia/Karachi");
        assert_eq!(
            karachi.element(at, at),
            r#"<time datetime="2025-03-10T21:45:00Z">02:45 (21:45 UTC)</time>"#
        );
        assert_eq!(karachi.date(at), "11 March 2025");
        assert!(zones.get("Asia/Atlantis").is_none());
        assert!(zones.get("../../etc/passwd").is_none());
        let near = at.plus_seconds(86_400);
        assert!(Zone::utc().element(at, near).contains("10 March 2025, 21:45 UTC"));
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(thousands(26_579), "26,579");
        assert_eq!(thousands(999), "999");
        assert_eq!(
            (expected(0.04), expected(0.3), expected(2.6)),
            ("0".into(), "under 1".into(), "3".into())
        );
        assert_eq!(expected(f32::NAN), "0");
        assert_eq!(
            [f32::NAN, 0.3, 1.2, 1_998.7].map(usual_words),
            ["fewer than 1 is usual", "fewer than 1 is usual", "about 1 is usual", "about 1,999 are usual"]
        );
        assert_eq!(multiple(65, 5.0).as_deref(), Some("13"));
        assert_eq!(multiple(65, 0.1), None);
        assert_eq!(duration(7_500), "2 h 05 min");
    }
}
