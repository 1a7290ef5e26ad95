//! The page that comes out: a table of figures and their bars, then how they came about.

use std::fmt;
use std::fs;
use std::io;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use brownout_core::model::UtcTime;

use super::Settings;

/// One line of the table.
struct Figure {
    name: String,
    value: String,
    bar: String,
    met: Option<bool>,
}

/// Figures as they come in.
pub(super) struct Paper {
    machine: Vec<String>,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Paper {
    pub(super) fn new(settings: &Settings) -> io::Result<Self> {
        let machine = vec![
            format!("- date: {}", &now().to_string()[..10]),
            format!("- processor: {}", processor()),
            format!(
                "- memory: {}",
                first_number("/proc/meminfo", "MemTotal:").map_or("unknown".into(), bytes)
            ),
            format!("- system: {}, folder on {}", read("/proc/sys/kernel/osrelease"), file_system(settings)),
            format!("- program: {}", words(Command::new(&settings.program).arg("--version"))),
            format!("- compiler: {}", words(Command::new("rustc").arg("--version"))),
            format!("- {} rounds of {:?} per measurement; medians", settings.rounds, settings.time),
        ];
        Ok(Paper { machine, figures: Vec::new(), notes: Vec::new() })
    }

    /// A figure that has no bar.
    pub(super) fn note(&mut self, name: &str, value: impl Into<String>) {
        self.figure(name, value, "", None);
    }

    /// A figure that has to reach something.
    pub(super) fn bar(&mut self, name: &str, value: impl Into<String>, bar: impl Into<String>, met: bool) {
        self.figure(name, value, bar, Some(met));
    }

    fn figure(&mut self, name: &str, value: impl Into<String>, bar: impl Into<String>, met: Option<bool>) {
        let figure = Figure { name: name.to_owned(), value: value.into(), bar: bar.into(), met };
        self.figures.push(figure);
    }

    /// How something was measured.
    pub(super) fn explain(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

impl fmt::Display for Paper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Benchmarks\n")?;
        writeln!(f, "Made by one command, with nothing else running that matters:\n")?;
        writeln!(
            f,
            "```\ncargo build --release && cargo run --release -p brownout-lab --features lab -- bench\n```\n"
        )?;
        writeln!(f, "| figure | measured | bar | met |\n|---|---|---|---|")?;
        for figure in &self.figures {
            let met = figure.met.map_or("", |met| if met { "yes" } else { "**no**" });
            writeln!(f, "| {} | {} | {} | {met} |", figure.name, figure.value, figure.bar)?;
        }
        writeln!(f, "\n## Where\n\n{}\n", self.machine.join("\n"))?;
        writeln!(f, "## How\n\n{}", self.notes.join("\n\n"))
    }
}

/// The machine's clock.
pub(super) fn now() -> UtcTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// `1234567.8` as `1,234,568`.
pub(super) fn count(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in MB, as operators count.
pub(super) fn bytes(figure: u64) -> String {
    format!("{:.1} MB", figure as f64 / 1e6)
}

/// All rounds of a figure, in their order.
pub(super) fn rounds(figures: &[f64]) -> String {
    figures.iter().map(|figure| count(*figure)).collect::<Vec<_>>().join(" ")
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores", model.map_or("unknown", |(_, name)| name))
}

fn file_system(settings: &Settings) -> String {
    words(Command::new("stat").args(["-f", "-c", "%T"]).arg(&settings.folder))
}

fn first_number(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn read(file: &str) -> String {
    fs::read_to_string(file).map_or("unknown".to_owned(), |text| text.trim().to_owned())
}

fn words(command: &mut Command) -> String {
    let said = command.output().ok().filter(|output| output.status.success());
    said.map_or("unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
