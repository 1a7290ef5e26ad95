//! How fast the player makes lines: `cargo run --release -p brownout-lab --example play_speed [NAME]`.

#![allow(clippy::print_stdout)]

use std::sync::Arc;

use brownout_lab::{Pace, Player, Scenario};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "x-2025-03-10".to_owned());
    let text = brownout_lab::find(&name).ok_or("no such scenario")?;
    let scenario = Arc::new(Scenario::parse(text)?);
    // The one place in this crate that looks at a clock: it measures, it decides nothing.
    #[allow(clippy::disallowed_methods)]
    let begin = std::time::Instant::now();
    let (mut lines, mut bytes) = (0_u64, 0_u64);
    for step in Player::new(scenario, None, Pace::default()) {
        lines += u64::from(step.lines);
        bytes += step.body.len() as u64;
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("{name}: {lines} lines, {bytes} bytes in {seconds:.2} s: {:.0} lines/s", lines as f64 / seconds);
    Ok(())
}
