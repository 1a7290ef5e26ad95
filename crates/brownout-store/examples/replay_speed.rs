//! How fast a stored log goes through reading, series and detection, apart from each other:
//! `cargo run --release -p brownout-store --example replay_speed FOLDER`.

#![allow(clippy::print_stdout)]

use std::path::Path;
use std::time::Instant;

use brownout_core::engine::Engine;
use brownout_core::model::{Evidence, Seq};
use brownout_store::embedded::LogReader;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("which folder?")?;
    for with_engine in [false, true] {
        let reader = LogReader::open(Path::new(&folder));
        let mut batches = reader.batches(reader.first_seq()?)?;
        let mut engine = Engine::new();
        let (mut records, mut ticks) = (0, 0.0);
        let mut evidence = Vec::new();
        let begun = Instant::now();
        while let Some(head) = batches.next_into(&mut evidence) {
            let head = head?;
            records += evidence.len();
            if with_engine {
                for (offset, one) in evidence.iter().enumerate() {
                    let ticked = matches!(one, Evidence::Tick).then(Instant::now);
                    engine.handle_evidence(Seq(head.first_seq.0 + offset as u64), head.received_at, one);
                    ticks += ticked.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
                }
                while engine.poll_effect().is_some() {}
            }
            evidence.clear();
        }
        let seconds = begun.elapsed().as_secs_f64();
        let nanos = seconds / records as f64 * 1e9;
        println!(
            "engine {with_engine}: {records} records, {nanos:.0} ns each, {ticks:.2} s of {seconds:.2} s in ticks"
        );
    }
    Ok(())
}
