//! `brownout-lab reach`: the scenarios of reachability in network namespaces, with real servers and real packets.

use std::io::Write;
use std::path::PathBuf;

use brownout_lab::lab::reach::{Lab, missing};
use brownout_lab::reach::{play, scenarios};

const USAGE: &str = "usage: brownout-lab reach [--program FILE] [--repeats N] [WORD...]
  --program FILE   the program to drive; else target/release/brownout
  --repeats N      measurements of each condition in each network (3)
  WORD             only scenarios with this word in their names
needs root, iproute2, iptables, nginx-light, dnsmasq-base and openssl; without, the scenarios are simulated";

pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut program, mut repeats, mut words) = (PathBuf::from("target/release/brownout"), 3, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--program" => program = arguments.next().ok_or(USAGE)?.into(),
            "--repeats" => {
                repeats = arguments
                    .next()
                    .and_then(|text| text.parse().ok())
                    .filter(|count| *count > 0)
                    .ok_or(USAGE)?;
            }
            word if !word.starts_with('-') => words.push(word.to_owned()),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let mut out = std::io::stdout();
    let folder = std::env::temp_dir().join(format!("brownout-lab-{}", std::process::id()));
    let why_not =
        missing().or_else(|| (!program.is_file()).then(|| format!("no program {}", program.display())));
    let mut lab = match &why_not {
        None => {
            std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
            Some(Lab::new(&program, &folder, repeats).map_err(|error| format!("the lab: {error}"))?)
        }
        Some(why) => {
            let _ = writeln!(out, "simulated, no packet is sent: {why}");
            None
        }
    };
    let (mut right, mut all) = (0, 0);
    for scenario in scenarios() {
        if !words.is_empty() && !words.iter().any(|word| scenario.name.contains(word.as_str())) {
            continue;
        }
        let outcome = match &mut lab {
            Some(lab) => lab.play(&scenario, 1).map_err(|error| format!("{}: {error}", scenario.name))?,
            None => play(&scenario, 1).ok_or_else(|| format!("{} cannot be played", scenario.name))?,
        };
        let mut expected = scenario.expected.clone();
        expected.sort();
        let is_right = outcome.told == expected && outcome.is_bracketed && outcome.is_ended;
        all += 1;
        right += usize::from(is_right);
        let delay =
            outcome.delay_minutes.map_or(String::new(), |minutes| format!(", told after {minutes} min"));
        let word = if is_right { "right" } else { "WRONG" };
        let _ = writeln!(out, "{word}  {}{delay}", scenario.name);
        if !is_right {
            let _ = writeln!(out, "       expected {expected:?}\n       told {:?}", outcome.told);
            let _ = writeln!(out, "       bracketed {}, ended {}", outcome.is_bracketed, outcome.is_ended);
        }
    }
    let measured = lab.as_ref().map_or(0, Lab::measured);
    let _ = writeln!(out, "{right} of {all} scenarios right; {measured} measurements with packets");
    drop(lab);
    let _ = std::fs::remove_dir_all(&folder);
    if right == all { Ok(()) } else { Err("not all scenarios are told as what they are".to_owned()) }
}
