//! What the tests share.

use std::path::Path;
use std::sync::Arc;

use brownout_core::model::{
    Asn, ChannelId, CityId, CountryCode, Evidence, OperatorAction, PageViews, Place, PreviousKeys,
    ProblemKind, Record, RegionCode, Report, Seq, ServiceId, SourceKeys, UtcTime, Weight,
};
use brownout_core::model::{IncidentId, Minute};

use crate::counters::Counters;
use crate::embedded::{EmbeddedLog, Rolling};
use crate::port::{EvidenceLog, StoreError};

pub(super) fn at(seconds: i64) -> UtcTime {
    UtcTime::from_seconds(1_741_600_000 + seconds)
}

/// A report that differs from others in every part.
pub(super) fn report(number: u64) -> Report {
    let country = CountryCode::new([b'A' + (number % 26) as u8, b'Z']).expect("letters");
    Report {
        service: ServiceId(number as u32 % 7),
        kind: ProblemKind::ALL[number as usize % 11],
        channel: ChannelId((number % 20) as u16),
        occurred_at: at(number as i64 - 50),
        place: Place {
            country: (!number.is_multiple_of(5)).then_some(country),
            region: number.is_multiple_of(3).then(|| RegionCode::new(country, "pb1").expect("a region")),
            city: CityId::new(number as u32 % 4),
        },
        network: Asn::new(number as u32 % 3 * 17_557),
        source: SourceKeys {
            generation: number as u32,
            source: number.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            subnet: !number,
            previous: number.is_multiple_of(2).then_some(PreviousKeys { source: number, subnet: number / 4 }),
        },
        weight: Weight::from_percent((number % 101) as u8),
    }
}

/// A batch of `count` records: mostly reports, every other kind among them.
pub(super) fn batch(start: u64, count: u64) -> Vec<Evidence> {
    (start..start + count)
        .map(|number| match number % 10 {
            7 => Evidence::Tick,
            8 => Evidence::PageViews(PageViews {
                service: ServiceId(3),
                country: CountryCode::new(*b"PK"),
                count: number as u32,
            }),
            9 => Evidence::Operator(Box::new(OperatorAction::Note {
                incident: IncidentId { service: ServiceId(1), opened: Minute(7) },
                text: format!("note {number}: \u{1F300} <b>"),
            })),
            _ => Evidence::Report(report(number)),
        })
        .collect()
}

pub(super) fn open(folder: &Path) -> EmbeddedLog {
    open_rolling(folder, Rolling::default())
}

pub(super) fn open_rolling(folder: &Path, rolling: Rolling) -> EmbeddedLog {
    EmbeddedLog::open(folder, rolling, Seq(0), Arc::new(Counters::default()), None).expect("the log opens")
}

pub(super) fn small() -> Rolling {
    Rolling { segment_bytes: 2000, ..Rolling::default() }
}

pub(super) fn read_all(log: &EmbeddedLog) -> Vec<Result<Record, StoreError>> {
    log.read(Seq(0)).expect("readable").collect()
}

pub(super) fn records(log: &EmbeddedLog) -> Vec<Record> {
    read_all(log).into_iter().map(|record| record.expect("whole")).collect()
}
