//! Tables of others: all of their rows, or a counted reason.

use brownout_core::model::{CityId, CountryCode, RegionCode};
use brownout_lab::import::{self, Columns, RowReject};
use proptest::prelude::*;

/// A geography of one city.
fn milwaukee(_: CountryCode, region: Option<RegionCode>, name: &str) -> Option<CityId> {
    let there = name == "Milwaukee" && region.is_some_and(|region| region.to_string() == "US-WI");
    there.then(|| CityId::new(5_263_045)).flatten()
}

#[test]
fn the_provider_table_is_read_whole() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/spectrum/reports-2026-06-16-to-23.csv");
    let Ok(file) = std::fs::File::open(path) else {
        println!("skipped: {path} is not there");
        return;
    };
    let imported = import::spectrum(file, &milwaukee).expect("a table");
    assert_eq!(imported.rows.len(), 2287);
    assert!(imported.rejected.is_empty(), "{:?}", imported.rejected);
    assert!(imported.rows.is_sorted_by_key(|row| row.at));
    assert_eq!(imported.repeats(3600), 171);
}

#[test]
fn rows_keep_their_place_and_kind_and_are_sorted() {
    let text = "created_at,city,state,zip_code,service,note\n\
        2026-06-16T17:00:00Z,\"St. Louis\",MO,63101,Phone,\"two\nlines, \"\"quoted\"\"\"\n\
        2026-06-16T16:53:18Z,Milwaukee,WI,53225,Internet+TV,\n\
        yesterday,Milwaukee,WI,53225,Internet,\n\
        2026-06-16T16:53:18Z,Milwaukee\n\
        2026-06-16T16:53:19Z,,,,,\n";
    let imported = import::spectrum(text.as_bytes(), &milwaukee).expect("a table");
    let lines: Vec<serde_json::Value> =
        imported.rows.iter().map(|row| serde_json::from_str(&row.line).expect("JSON")).collect();
    assert_eq!(
        lines,
        [
            serde_json::json!({"service": "spectrum", "kind": "connection", "at": "2026-06-16T16:53:18Z",
                "source": "Milwaukee|53225|Internet+TV", "subnet": "Milwaukee|53225|Internet+TV",
                "country": "US", "region": "US-WI", "city": 5263045}),
            serde_json::json!({"service": "spectrum", "kind": "calls", "at": "2026-06-16T17:00:00Z",
                "source": "St. Louis|63101|Phone", "subnet": "St. Louis|63101|Phone",
                "country": "US", "region": "US-MO"}),
        ]
    );
    assert_eq!(imported.cities_unknown, 1);
    let rejected: Vec<(RowReject, u64)> = imported.rejected.into_iter().collect();
    assert_eq!(rejected, [(RowReject::Malformed, 1), (RowReject::Time, 1), (RowReject::Source, 1)]);
}

#[test]
fn any_table_is_read_by_its_header() {
    let columns = Columns {
        time: "when".to_owned(),
        source: vec!["who".to_owned()],
        service: Some("what".to_owned()),
        country: Some("land".to_owned()),
        network: Some("net".to_owned()),
        ..Columns::default()
    };
    let text =
        "\u{feff}when,who,what,land,net\n1741600920,a,x,PK,AS17557\n2025-03-10 10:03:00,b,x,Pakistan,\n";
    let imported = import::table(text.as_bytes(), &columns, &milwaukee).expect("a table");
    let lines: Vec<&str> = imported.rows.iter().map(|row| row.line.as_str()).collect();
    assert!(
        lines[0].contains("\"at\":\"2025-03-10T10:02:00Z\"") && lines[0].contains("\"asn\":17557"),
        "{}",
        lines[0]
    );
    assert!(!lines[1].contains("country"), "{}", lines[1]);

    let wrong = Columns { time: "wen".to_owned(), ..columns };
    let error = import::table(text.as_bytes(), &wrong, &milwaukee).expect_err("no such column").to_string();
    assert_eq!(error, "the table has no column `wen`; did you mean `when`?");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut text = b"created_at,city,state,zip_code,service,note\n".to_vec();
        text.extend(&bytes);
        let imported = import::spectrum(text.as_slice(), &milwaukee).expect("the header is fine");
        for row in &imported.rows {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&row.line).is_ok());
        }
        let _ = import::spectrum(bytes.as_slice(), &milwaukee);
    }
}
