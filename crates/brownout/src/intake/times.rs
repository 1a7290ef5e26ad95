//! RFC 3339 at the rate of batches: lines come in order of time, so their minute rarely changes.

use brownout_core::model::UtcTime;

/// Bytes of `2025-03-10T10:00`.
const MINUTE_BYTES: usize = 16;

/// Reads times, remembering the last minute.
#[derive(Debug, Default)]
pub(super) struct Times {
    minute: [u8; MINUTE_BYTES],
    start: Option<UtcTime>,
}

impl Times {
    /// The instant, or `None` when the text is none.
    pub(super) fn parse(&mut self, text: &str) -> Option<UtcTime> {
        if let Some((minute, millis)) = split(text.as_bytes()) {
            if self.start.is_none() || self.minute != *minute {
                // Through the general parser once, so that a 30th of February is found.
                self.start = Some(format!("{}:00Z", text.get(..MINUTE_BYTES)?).parse().ok()?);
                self.minute = *minute;
            }
            return self.start.map(|start| start.plus_millis(millis));
        }
        text.parse().ok()
    }
}

/// Splits `2025-03-10T10:00:12Z` or `...:12.345Z` into its minute and the milliseconds in it.
/// Other spellings, and leap seconds, are left to the general parser.
fn split(text: &[u8]) -> Option<(&[u8; MINUTE_BYTES], i64)> {
    let (minute, rest) = text.split_first_chunk::<MINUTE_BYTES>()?;
    // Years of more digits shift everything; the general parser knows them.
    if minute[13] != b':' {
        return None;
    }
    let (seconds, millis) = match rest {
        [b':', a, b, b'Z'] => (two_digits(*a, *b)?, 0),
        [b':', a, b, b'.', c, d, e, b'Z'] => {
            (two_digits(*a, *b)?, i64::from(digit(*c)?) * 100 + two_digits(*d, *e)?)
        }
        _ => return None,
    };
    (seconds < 60).then_some((minute, seconds * 1000 + millis))
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    Some(i64::from(digit(tens)?) * 10 + i64::from(digit(ones)?))
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_as_the_general_parser_reads_them() {
        let mut times = Times::default();
        for text in [
            "2025-03-10T10:00:12Z",
            "2025-03-10T10:00:59.999Z",
            "2025-03-10T10:01:00Z",
            "2025-03-10T10:00:60Z",
            "2025-03-10T15:00:12+05:00",
            "2025-03-10 10:00:12Z",
            "+002025-03-10T10:30Z",
            "2025-02-30T10:00:12Z",
            "2025-02-30T10:00:13Z",
            "2025-03-10T24:00:00Z",
            "2025-03-10T10:00:1éZ",
            "2025-03-10T10:00:12.1234Z",
            "1969-12-31T23:59:59.001Z",
            "",
        ] {
            assert_eq!(times.parse(text), text.parse().ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_alike(text in "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,4})?[Zz]?") {
            let mut times = Times::default();
            prop_assert_eq!(times.parse(&text), text.parse().ok());
            prop_assert_eq!(times.parse(&text), text.parse().ok());
        }
    }
}
