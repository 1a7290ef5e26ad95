//! What reading a stored log costs, and what the engine costs on top:
//! `cargo run --release -p brownout-lab --features lab --example replay_speed FOLDER`.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::path::PathBuf;
use std::time::Instant;

use brownout_core::engine::Engine;
use brownout_core::model::Seq;
use brownout_store::embedded::LogReader;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a data folder")?);
    for with_engine in [false, true] {
        let mut engine = Engine::new();
        let mut batches = LogReader::open(&folder).batches(Seq(1))?;
        let mut evidence = Vec::new();
        let mut records = 0;
        let begun = Instant::now();
        while let Some(head) = batches.next_into(&mut evidence) {
            let head = head?;
            records += evidence.len();
            if with_engine {
                engine.handle_batch(head.first_seq, head.received_at, &evidence);
                while engine.poll_effect().is_some() {}
            }
        }
        let nanos = begun.elapsed().as_nanos() / records.max(1) as u128;
        let what = if with_engine { "reading and counting" } else { "reading" };
        println!("{records} records, {what}: {nanos} ns each, {}/s", 1_000_000_000 / nanos.max(1));
    }
    Ok(())
}
