//! The scenario language: what is shipped is read, what is wrong is named, nothing panics.

use brownout_lab::{Scenario, scenarios};
use proptest::prelude::*;

#[test]
fn every_shipped_scenario_is_read() {
    for (name, text) in scenarios() {
        let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!scenario.expectations.is_empty(), "{name} expects nothing");
        let entries = scenario.catalogue_entries(brownout_core::model::ServiceId(1));
        brownout_core::model::Catalogue::new(entries).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn error(line: &str) -> String {
    let text = format!(
        "title \"t\"\nstart 2025-03-10T09:00Z\nend 2025-03-10T12:00Z\nservice a social \"A\"\n\
         city PK-PB Lahore 1172451 30%\n{line}\n"
    );
    Scenario::parse(&text).expect_err("it is wrong").to_string()
}

#[test]
fn errors_say_where_and_what_was_meant() {
    for (line, expected) in [
        (
            "anchr 10:00 a PK 5 synthetic",
            "line 6, column 1: `anchr` is not a statement; did you mean `anchor`?",
        ),
        (
            "anchor 10:61 a PK 5 synthetic",
            "line 6, column 8: a time such as 10:02 or 2025-03-10T10:02Z is expected here",
        ),
        ("anchor 10:00 b PK 5 synthetic", "line 6, column 14: `b` is not a service that is declared above"),
        (
            "anchor 10:00 a PK many synthetic",
            "line 6, column 19: distinct sources in 15 minutes is expected here, as a whole number",
        ),
        (
            "anchor 10:00 a PK 5 documentd",
            "line 6, column 21: `documentd` is not `documented` or `synthetic`; did you mean `documented`?",
        ),
        ("anchor 10:00 a PK 5 synthetic \"open", "line 6, column 31: this text has no closing quote"),
        ("anchor 10:00 a PK 5 synthetic \"é\" more", "line 6, column 35: the line should end here"),
        (
            "anchor 09:10 a PK 5 synthetic",
            "line 6, column 1: the 15 minutes before this anchor are not all played",
        ),
        (
            "kinds unreachable 40%, slwo 10%",
            "line 6, column 24: `slwo` is not a kind of problem; did you mean `slow`?",
        ),
        (
            "expect places a PK Lahor",
            "line 6, column 20: `Lahor` is not a city that is declared above for this country; did you mean `Lahore`?",
        ),
        (
            "expect by 10:02 a PK calm",
            "line 6, column 22: only possible, confirmed or ended can be reached by a time",
        ),
        (
            "expect 10:02 a PK posible",
            "line 6, column 19: `posible` is not a state; did you mean `possible`?",
        ),
        ("pulse 10:00 a PK +5 per hour for 0 minutes", "line 6, column 36: an event lasts a minute at least"),
        (
            "step 2026-03-10T10:00Z a PK +5 per hour",
            "line 6, column 1: this happens outside of what is played, from 2025-03-10T09:00:00Z to 2025-03-10T12:00:00Z",
        ),
        ("warm-up 7 dais", "line 6, column 11: `dais` is not a unit of time; did you mean `days`?"),
        (
            "baseline a UK 5 per hour",
            "line 6, column 12: `UK` is not the two-letter code of a country, such as PK; did you mean `GB`?",
        ),
        (
            "expect places a Pakistn Lahore",
            "line 6, column 17: `Pakistn` is not the two-letter code of a country, such as PK; did you mean `PK`?",
        ),
        (
            "services 3 s from 1 to 2 per hour in ZZ",
            "line 6, column 38: `ZZ` is not the two-letter code of a country, such as PK",
        ),
        ("city PK-ZZ Nowhere 5 1%", "line 6, column 6: `PK-ZZ` is not the code of a region, such as PK-PB"),
        (
            "city PK-SD Karachi 5 1%",
            "line 6, column 20: `5` is not the GeoNames number of a city of PK; did you mean `1174872`?",
        ),
        (
            "expect no incident aa",
            "line 6, column 20: `aa` is not a service that is declared above; did you mean `a`?",
        ),
        ("end 2025-03-10T08:00Z", "line 6, column 1: `end` must come after `start`, by 60 days at most"),
    ] {
        assert_eq!(error(line), expected, "{line}");
    }
    let both = error(
        "anchor 10:00 a PK 5 synthetic\nanchor 10:05 a PK 900 synthetic\nanchor 10:10 a PK 5 synthetic",
    );
    assert!(both.starts_with("line 6, column 1: anchors less than 15 minutes apart contradict"), "{both}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = Scenario::parse(&text);
    }

    #[test]
    fn mangled_scenarios_are_read_or_refused(
        which in 0_usize..8, cut in any::<prop::sample::Index>(), noise in "[ \\n\"#,%+:0-9a-zé-]{0,12}", drop in 0_usize..40,
    ) {
        let letters: Vec<char> = scenarios()[which].1.chars().collect();
        let at = cut.index(letters.len());
        let mut text: String = letters[..at].iter().collect();
        text.push_str(&noise);
        text.extend(letters.iter().skip(at + drop));
        let _ = Scenario::parse(&text);
    }
}
