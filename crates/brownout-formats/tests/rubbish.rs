//! Whatever comes is read or refused, and what is read can be judged and written.

use brownout_core::reach::{Fingerprints, analyse, flags};
use brownout_formats::ooni::{Documents, read, write};
use proptest::prelude::*;
use serde_json::{Value, json};

const OWN: &str = include_str!("own.json");

fn survives(document: &[u8]) {
    if let Ok(measurement) = read(document) {
        let _ = flags(&measurement);
        let analysis = analyse(&measurement, &Fingerprints::default());
        let again = read(write(&measurement).as_bytes()).expect("what was written");
        assert_eq!(analyse(&again, &Fingerprints::default()).state, analysis.state);
    }
}

/// Any JSON, small.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~é]{0,12}".prop_map(Value::from),
        Just(json!("http://xn--/")),
        Just(json!("8.8.8.8:80")),
        Just(json!("connection_reset")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// All places of a document, as pointers.
fn places(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(name, value)| places(value, format!("{at}/{name}"), into))
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| places(value, format!("{at}/{index}"), into));
        }
        _ => {}
    }
    into.push(at);
}

proptest! {
    #[test]
    fn bytes_are_no_trouble(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&bytes);
        let mut documents = Documents::new(bytes.as_slice());
        while let Some(document) = documents.next_document().expect("bytes") {
            let _ = document.bytes();
        }
    }

    #[test]
    fn changed_bytes_are_no_trouble(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = OWN.as_bytes().to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        survives(&bytes);
    }

    #[test]
    fn a_value_of_another_kind_is_no_trouble(place in any::<prop::sample::Index>(), value in any_value()) {
        let mut document: Value = serde_json::from_str(OWN).expect("JSON");
        let mut all = Vec::new();
        places(&document, String::new(), &mut all);
        let place = &all[place.index(all.len())];
        *document.pointer_mut(place).expect("a place") = value;
        survives(document.to_string().as_bytes());
    }
}
