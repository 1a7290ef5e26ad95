//! Daily counts: sixteen signals of a published comparison.

mod judge;
mod peers;
mod signals;
mod simulator;

use brownout_core::series::periods::{Period, Reading, Rhythm, Special, Watch};

use self::judge::{Outcome, threshold};
use self::peers::Ears;
use self::signals::{SIGNALS, Signal};
use self::simulator::{Run, SIZES};
use super::Settings;
use super::board::{Board, Table};
use super::in_parallel;

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    let runs: u32 = std::env::var("RUNS").ok().and_then(|v| v.parse().ok()).unwrap_or(10);
    let only: u32 = std::env::var("ONLY").ok().and_then(|v| v.parse().ok()).unwrap_or(0);
    println!("sig | nominal calm/ calm-noepi / epi | mean | per detector: spec in-run, sens 2,3,5,10, timeliness");
    let mut sums = vec![[0.0; 9]; 5];
    for signal in SIGNALS.iter().filter(|s| only == 0 || s.number == only) {
        let sims = in_parallel(settings.threads, runs, |run| {
            let run = Run::new(signal, settings.seed, run);
            let (calm, ev) = ours(signal, &run, true);
            let mut all = vec![(stat(&calm), ev.iter().map(|e| stat(e)).collect::<Vec<_>>())];
            let (c2, ev2) = ours(signal, &run, false);
            all.push((stat(&c2), ev2.iter().map(|e| stat(e)).collect()));
            for ears in [Ears::C1; 3] {
                all.push((ears.statistics(&run.calm), run.eventful.iter().map(|e| ears.statistics(&e.counts)).collect()));
            }
            (run, calm, all)
        });
        let mut nominal = [[0u32; 2]; 3];
        let mut mean = 0.0; let mut n=0.0; let mut z2=0.0;
        for (run, calm, _) in &sims {
            for day in run.judged.clone() {
                mean += f64::from(run.calm[day]); n += 1.0;
                let r = &calm[day];
                z2 += (f64::from(run.calm[day]) - r.expected).powi(2) / r.variance;
                let hit = u32::from(r.probability.is_some_and(|p| p <= 0.01));
                let k = if run.epidemic[day] {2} else {1};
                if r.probability.is_some() { nominal[0][1] += 1; nominal[k][1] += 1; }
                nominal[0][0] += hit; nominal[k][0] += hit;
            }
        }
        let share = |a: [u32; 2]| 100.0 * f64::from(a[0]) / f64::from(a[1].max(1));
        print!("{:2} | {:.2} / {:.2} / {:.2} | {:.2} z2 {:.2} |", signal.number, share(nominal[0]), share(nominal[1]), share(nominal[2]), mean / n, z2/n);
        for d in 0..5 {
            let stats: Vec<f64> = sims.iter().flat_map(|(run, _, all)| all[d].0[run.judged.clone()].to_vec()).collect();
            let t = threshold(&stats, 0.01);
            let outs: Vec<Outcome> = (0..4).map(|s| { let mut o = Outcome::default(); for (run, _, all) in &sims { o.add(run, &run.eventful[s], |day| all[d].1[s][day] > t); } o }).collect();
            let spec = outs.iter().map(|o| o.specificity()).sum::<f64>() / 4.0;
            if d < 3 || d==4 {
            print!(" {:.3} [{}] [{}] |", spec, outs.iter().map(|o| format!("{:.2}", o.sensitivity())).collect::<Vec<_>>().join(" "), outs.iter().map(|o| format!("{:.2}", o.timeliness())).collect::<Vec<_>>().join(" ")); }
            sums[d][0] += spec;
            for s in 0..4 { sums[d][1+s] += outs[s].sensitivity(); sums[d][5+s] += outs[s].timeliness(); }
        }
        println!();
    }
    for s in sums { println!("{}", s.iter().map(|v| format!("{:.3}", v / 16.0)).collect::<Vec<_>>().join(" ")); }
    progress("x");
    let _ = (board, Table::default(), SIZES);
}

fn stat(r: &[Reading]) -> Vec<f64> {
    let raw = std::env::var("RAW").is_ok();
    r.iter().map(|r| if raw { r.ln_odds } else { r.probability.map_or(0.0, |p| -libm::log(p.max(1e-300))) }).collect()
}

fn ours(signal: &Signal, run: &Run, knows_holidays: bool) -> (Vec<Reading>, Vec<Vec<Reading>>) {
    let rhythm = Rhythm::new(signal.days_per_week as u16, 52).unwrap_or(Rhythm::DAYS);
    let mut watch = Watch::new(rhythm);
    let period = |day: usize| {
        let after = day > 0 && run.holidays[day - 1] && signal.days_per_week == 5;
        let special = match (knows_holidays, run.holidays[day], after) {
            (true, true, _) => Special::new(0),
            (true, _, true) => Special::new(1),
            _ => None,
        };
        Period { special, known_incident: false }
    };
    let before: Vec<Reading> =
        (0..run.judged.start).map(|day| watch.step(run.calm[day], period(day))).collect();
    let through = |counts: &[u32]| {
        let mut watch = watch.clone();
        let judged = run.judged.clone().map(|day| watch.step(counts[day], period(day)));
        before.iter().copied().chain(judged).collect::<Vec<_>>()
    };
    let eventful = run.eventful.iter().map(|eventful| through(&eventful.counts)).collect();
    (through(&run.calm), eventful)
}
