//! What a probe and an observatory say to each other, in JSON. Each body goes with a signature over its very
//! bytes, in the header [`SIGNATURE_HEADER`].

use brownout_core::model::{Asn, CountryCode, UtcTime};
use brownout_core::reach::Measurement;
use serde::{Deserialize, Serialize};

/// Header with the signature of a body, in hexadecimal.
pub const SIGNATURE_HEADER: &str = "brownout-signature";
/// Header with the number of the probe that signed.
pub const PROBE_HEADER: &str = "brownout-probe";
/// Most measurements that go together.
pub const MEASUREMENTS_MAX: usize = 32;
/// Most targets of a schedule.
pub const TARGETS_MAX: usize = 2_000;

/// A probe asks to be enrolled; signed by the key that it brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The token that it was given.
    pub token: String,
    /// Its key, in hexadecimal.
    pub key: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The probe's number.
    pub probe: u32,
    /// What the operator calls it.
    pub name: String,
    /// The observatory's key, in hexadecimal: what its schedules are signed with.
    pub observatory_key: String,
}

/// A probe asks for its schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskSchedule {
    /// When it asks, by its clock.
    pub at: UtcTime,
}

/// What a probe is to measure, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The probe that it is for.
    pub probe: u32,
    /// When it was issued. An older one never takes the place of a newer.
    pub issued_at: UtcTime,
    /// From when on it is none.
    pub expires_at: UtcTime,
    /// Seconds between two measurements of a target.
    pub every_seconds: u32,
    /// URLs.
    pub targets: Vec<String>,
    /// Where the control is asked.
    pub control: Option<ControlAccess>,
    /// A name that exists and is blocked nowhere.
    pub innocent_name: String,
    /// Other resolvers on port 53, as addresses with ports.
    #[serde(default)]
    pub other_resolvers: Vec<String>,
    /// Others over HTTPS, as URLs.
    #[serde(default)]
    pub https_resolvers: Vec<String>,
}

/// A control and what opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlAccess {
    /// Its URL.
    pub url: String,
    /// Its token.
    pub token: Option<String>,
}

/// A probe's measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Greater than that of every batch before; what is not is a repetition.
    pub sequence: u64,
    /// At most [`MEASUREMENTS_MAX`].
    pub measurements: Vec<Measurement>,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// How many were kept.
    pub accepted: u32,
    /// Which were not: their place in the batch and the name of the reason.
    pub refused: Vec<(u32, String)>,
    /// Where the observatory takes them to be from.
    pub country: Option<CountryCode>,
    /// The network that it takes them to be from.
    pub network: Option<Asn>,
}

/// A probe brings a new key; signed by the old one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// The new key, in hexadecimal.
    pub key: String,
    /// The new key's signature over the probe's number in decimal, in hexadecimal.
    pub signature: String,
}

/// Bytes in hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes out of hexadecimal; `None` where it is none.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

/// A key out of hexadecimal.
pub fn key_in(text: &str) -> Option<[u8; 32]> {
    from_hex(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_goes_there_and_back() {
        assert_eq!(to_hex(&[0, 255, 16]), "00ff10");
        assert_eq!(from_hex("00ff10"), Some(vec![0, 255, 16]));
        for nonsense in ["0", "zz", "+1", "é"] {
            assert_eq!(from_hex(nonsense), None, "{nonsense}");
        }
        assert_eq!(key_in("00"), None);
    }
}
