//! Bodies for load tests: full-size batch lines, made once and sent many times.

use crate::rng::{Rng, mix};

/// Bodies that one call may ask for, lines of one body, and how many lines all bodies may hold.
const LINES_MAX: usize = 10_000_000;
const KINDS: [&str; 6] = ["unreachable", "login", "slow", "app", "messages", "other"];
const PLACES: [&str; 8] = [
    r#","country":"US","region":"US-NY","city":5128581,"asn":7922"#,
    r#","country":"US","region":"US-CA","city":5368361,"asn":7018"#,
    r#","country":"US","region":"US-IL","city":4887398,"asn":20115"#,
    r#","country":"GB","region":"GB-ENG","city":2643743,"asn":2856"#,
    r#","country":"PK","region":"PK-PB","city":1172451,"asn":17557"#,
    r#","country":"DE","region":"DE-BE","city":2950159,"asn":3320"#,
    r#","country":"JP","region":"JP-13","city":1850147,"asn":4713"#,
    r#","country":"FR""#,
];

/// What the bodies are to hold.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// How many bodies; together at most ten million lines.
    pub bodies: usize,
    /// Lines per body.
    pub lines_per_body: usize,
    /// Slugs of services of the catalogue, reported in turn at random.
    pub services: &'a [&'a str],
    /// The time of all lines, as RFC 3339.
    pub at: &'a str,
}

/// Bodies of JSON lines for the batch intake, each line from a source of its own.
pub fn bodies(load: Load<'_>) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(load.seed, 0);
    let mut number = 0_u64;
    let lines_per_body = load.lines_per_body.min(LINES_MAX);
    let bodies = load.bodies.min(LINES_MAX / lines_per_body.max(1));
    let at = load.at;
    let mut made = Vec::with_capacity(bodies);
    for _ in 0..bodies {
        let mut body = String::with_capacity(lines_per_body * 176);
        for _ in 0..lines_per_body {
            let service = load.services.get(rng.below(load.services.len() as u32) as usize).unwrap_or(&"x");
            let kind = KINDS[rng.below(KINDS.len() as u32) as usize];
            let place = PLACES[rng.below(PLACES.len() as u32) as usize];
            let source = mix(load.seed.wrapping_add(number));
            // Two neighbouring sources share a subnet.
            let subnet = mix(!load.seed.wrapping_add(number / 2)) >> 16;
            number += 1;
            body.push_str(&format!(
                "{{\"service\":\"{service}\",\"kind\":\"{kind}\",\"at\":\"{at}\",\"source\":\"{source:016x}\",\"subnet\":\"s{subnet:012x}\"{place}}}\n"
            ));
        }
        made.push(body.into_bytes());
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_hold_lines_of_json_that_repeat_for_a_seed() {
        let load = Load {
            seed: 5,
            bodies: 3,
            lines_per_body: 100,
            services: &["x", "github"],
            at: "2025-03-10T10:00:00Z",
        };
        let made = bodies(load);
        assert_eq!(made, bodies(load));
        assert_ne!(made, bodies(Load { seed: 6, ..load }));
        assert_eq!(made.len(), 3);
        for line in made.concat().split_inclusive(|byte| *byte == b'\n') {
            let value: serde_json::Value = serde_json::from_slice(line).expect("JSON");
            assert!(["x", "github"].contains(&value["service"].as_str().expect("a service")));
        }
        let sources: std::collections::BTreeSet<String> = made
            .concat()
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
            .map(|value| value["source"].to_string())
            .collect();
        assert_eq!(sources.len(), 300);
    }
}
