//! How fast the log is on this machine: `cargo run --release -p brownout-store --example log_speed [FOLDER]`.
//!
//! FOLDER is where a temporary data folder is made; without it, the system's.

#![allow(clippy::print_stdout, reason = "it prints its figures")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use brownout_core::model::{
    Asn, ChannelId, CityId, CountryCode, Evidence, Place, ProblemKind, RegionCode, Report, Seq, ServiceId,
    SourceKeys, UtcTime, Weight,
};
use brownout_store::embedded::{EmbeddedStore, EncodedBatch, Options};
use brownout_store::port::EvidenceLog;

fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(base)?;
    let now = UtcTime::from_seconds(1_741_600_000);
    let batch: Vec<Evidence> = (0..1000).map(|number| Evidence::Report(report(number, now))).collect();

    let millions = 5;
    let started = Instant::now();
    let mut bytes = 0;
    for _ in 0..millions * 1000 {
        bytes += EncodedBatch::encode(&batch)?.len();
    }
    rate("encode and sum, one core", bytes, "reports", started);

    let encoded = EncodedBatch::encode(&batch)?;
    let started = Instant::now();
    let mut records = 0;
    for _ in 0..millions * 1000 {
        records += encoded.decode()?.len();
    }
    rate("decode in memory, one core", records, "reports", started);

    let mut store = EmbeddedStore::open(folder.path(), Options::default(), now)?;
    let started = Instant::now();
    for _ in 0..2000 {
        store.log.append(now, std::slice::from_ref(&batch))?;
    }
    rate("durable, 1,000 a batch, a flush each", 2_000_000, "reports", started);
    let started = Instant::now();
    let group: Vec<Vec<Evidence>> = vec![batch.clone(); 8];
    for _ in 0..250 {
        store.log.append(now, &group)?;
    }
    rate("durable, 8 batches of 1,000 a flush", 2_000_000, "reports", started);
    let mut encoded = vec![(now, encoded); 8];
    let started = Instant::now();
    for _ in 0..250 {
        store.log.append_encoded(&mut encoded)?;
    }
    rate("the same, encoded elsewhere", 2_000_000, "reports", started);
    let singles: Vec<Vec<Evidence>> = batch.iter().take(64).map(|one| vec![one.clone()]).collect();
    let started = Instant::now();
    for _ in 0..2000 {
        store.log.append(now, &singles)?;
    }
    rate("durable single reports, 64 a flush", 2000 * 64, "reports", started);
    let started = Instant::now();
    for _ in 0..2000 {
        store.log.append(now, &singles[..1])?;
    }
    rate("durable single reports, a flush each", 2000, "flushes", started);

    let replay = |store: &EmbeddedStore, what: &str| -> Result<(), Box<dyn Error>> {
        let started = Instant::now();
        let mut batches = store.log.reader().batches(Seq(1))?;
        let (mut evidence, mut read) = (Vec::new(), 0);
        while let Some(head) = batches.next_into(&mut evidence) {
            head?;
            read += evidence.len();
        }
        rate(what, read, "reports", started);
        Ok(())
    };
    replay(&store, "read from frames, one core")?;
    store.log.roll();
    let started = Instant::now();
    let sealed = store.maintenance.seal()?;
    let records: u64 = sealed.iter().map(|it| it.records).sum();
    let bytes: u64 = sealed.iter().map(|it| it.bytes).sum();
    rate("seal and read back", records as usize, "reports", started);
    println!("{:>44}: {:.1} bytes a report", "sealed", bytes as f64 / records as f64);
    replay(&store, "read from sealed segments")
}

fn rate(what: &str, count: usize, unit: &str, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    println!("{what:>44}: {:>12.0} {unit}/s", count as f64 / seconds);
}

fn report(number: u64, now: UtcTime) -> Report {
    let country = CountryCode::new(*b"PK");
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Report {
        service: ServiceId(number as u32 % 150),
        kind: ProblemKind::ALL[number as usize % 11],
        channel: ChannelId::WEB,
        occurred_at: now.plus_millis(number as i64),
        place: Place {
            country,
            region: country.and_then(|country| RegionCode::new(country, "PB")),
            city: CityId::new(number as u32 % 100 + 1),
        },
        network: Asn::new(17_557 + number as u32 % 50),
        source: SourceKeys { generation: 1, source: mixed, subnet: mixed >> 8, previous: None },
        weight: Weight::FULL,
    }
}
