//! Kills the program under load, and holds it to what it acknowledged.
//!
//! A round: start, load over HTTP with single reports and batches, `kill -9` at a random moment,
//! read the log. Every line of a batch carries its number as its network, and every single report
//! its name as its comment, so that each can be told again in the log:
//!
//! * every acknowledged report stands where the answer said, as it was sent, and none stands twice;
//! * positions have no gap and times never go back;
//! * roll-ups, incidents and verdicts in the database and the ledger are what an engine of the
//!   lab's own derives from the log up to the same position.
//!
//! Some rounds end by SIGTERM, so that there are checkpoints to start from; some lose the database
//! or all checkpoints before the next start.

mod load;
mod shadow;

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use brownout_core::model::UtcTime;
use brownout_store::embedded::{EmbeddedStore, Options, Token};

use self::load::{Acknowledged, Load};
use self::shadow::Shadow;
use super::program::Plan;
use crate::rng::Rng;

/// What is to be played.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// How many rounds end by SIGKILL. After every fourth comes one that ends by SIGTERM.
    pub rounds: u32,
    /// The same seed gives the same moments; what meets them depends on the machine.
    pub seed: u64,
    /// The executable.
    pub program: PathBuf,
    /// A folder on a real disk; what is in it from another run is removed.
    pub folder: PathBuf,
    /// The load goes on for at least and at most this long.
    pub load: (Duration, Duration),
}

impl Chaos {
    /// Three rounds.
    pub fn new(program: PathBuf, folder: PathBuf) -> Self {
        let load = (Duration::from_millis(100), Duration::from_millis(2500));
        Chaos { rounds: 3, seed: 1, program, folder, load }
    }
}

/// What came of it. A broken promise ends a run before there are figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Rounds that were played.
    pub rounds: u32,
    /// How many of them ended by SIGKILL.
    pub killed: u32,
    /// Starts without a database.
    pub without_database: u32,
    /// Single reports that were acknowledged.
    pub single: u64,
    /// Lines of batches that were acknowledged.
    pub lines: u64,
    /// Acknowledged reports that are not in the log.
    pub lost: u64,
    /// Reports that are in the log twice.
    pub twice: u64,
    /// Reports that are in the log though the kill came before their answer.
    pub unanswered: u64,
    /// Records in the log.
    pub records: u64,
    /// Rows of history that were compared at the end: roll-ups, incidents, verdicts.
    pub rows: [u64; 3],
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [roll_ups, incidents, verdicts] = self.rows;
        write!(
            f,
            "{} rounds, {} killed, {} started without a database: {} single reports and {} lines \
             acknowledged, {} lost, {} twice, {} kept without an answer; {} records; {roll_ups} roll-ups, \
             {incidents} incidents and {verdicts} verdicts equal to a rebuild",
            self.rounds,
            self.killed,
            self.without_database,
            self.single,
            self.lines,
            self.lost,
            self.twice,
            self.unanswered,
            self.records,
        )
    }
}

/// Plays all rounds; `tell` gets a line for each.
///
/// # Errors
/// In words: the first promise that was broken, or what could not be run.
pub fn play(chaos: &Chaos, mut tell: impl FnMut(&str)) -> Result<Figures, String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: &dyn fmt::Display| format!("{what}: {error}")
    };
    if chaos.folder.exists() {
        fs::remove_dir_all(&chaos.folder).map_err(|error| failed("the old folder")(&error))?;
    }
    fs::create_dir_all(&chaos.folder).map_err(|error| failed("the folder")(&error))?;
    let mut plan = Plan::new(&chaos.program, &chaos.folder);
    plan.sections.push_str("\n[log]\nsegment_mib = 1\n");
    let token = admit(&plan)?;
    let mut shadow = Shadow::new(&plan.data, &chaos.folder.join("shadow"))?;
    let mut rng = Rng::new(chaos.seed, 0);
    let mut figures = Figures::default();
    let mut load = Load::new(token);
    let mut round = 0;
    while figures.killed < chaos.rounds {
        let (rounds, seed) = (round + 1, chaos.seed);
        let broken = |what: String| format!("round {rounds}, seed {seed}: {what}");
        figures.without_database += u32::from(lose_something(&plan, round).map_err(broken)?);
        let begun = Instant::now();
        let program = plan.start().map_err(|error| broken(error.to_string()))?;
        let start_millis = begun.elapsed().as_millis();
        load.begin(program.address);
        let (least, most) = chaos.load;
        std::thread::sleep(least + (most - least).mul_f64(rng.unit()));
        let gracefully = round % 5 == 3;
        let said = if gracefully {
            let (status, said) = program.stop().map_err(|error| broken(error.to_string()))?;
            if !status.success() {
                return Err(broken(format!("it stopped with {status}: {said}")));
            }
            said
        } else {
            figures.killed += 1;
            program.kill()
        };
        if said.contains("panicked") {
            return Err(broken(format!("it panicked: {said}")));
        }
        let acknowledged = load.end();
        let compared =
            shadow.check(&acknowledged, &mut figures).map_err(|what| broken(format!("{what}\n{said}")))?;
        figures.rounds = rounds;
        let (single, lines) = count(&acknowledged);
        tell(&format!(
            "round {rounds}: started in {start_millis} ms, {}; {single} single reports and {lines} lines \
             acknowledged, all there once; {} records; database at {compared}",
            if gracefully { "stopped" } else { "killed" },
            figures.records,
        ));
        round += 1;
    }
    Ok(figures)
}

fn count(acknowledged: &[Acknowledged]) -> (u64, u64) {
    acknowledged.iter().fold((0, 0), |(single, lines), one| match one {
        Acknowledged::Single { .. } => (single + 1, lines),
        Acknowledged::Batch { count, .. } => (single, lines + u64::from(*count)),
    })
}

/// Makes the folder with a token in it.
fn admit(plan: &Plan) -> Result<String, String> {
    let token = "lab-chaos-token".to_owned();
    let store = EmbeddedStore::open(&plan.data, Options::default(), UtcTime::default());
    let add = |store: EmbeddedStore| {
        let (channel, _) = store.admin.channel("lab")?;
        store.admin.add_token(&Token {
            hash: *blake3::hash(token.as_bytes()).as_bytes(),
            name: "lab".to_owned(),
            channel,
            created: UtcTime::default(),
            expires: None,
            revoked: None,
            weight: brownout_core::model::Weight::FULL,
            virtual_clock: false,
        })
    };
    store.and_then(add).map_err(|error| format!("the token: {error}"))?;
    Ok(token)
}

/// Before some rounds the database is lost, before some of those the checkpoints too. Says whether
/// the database was.
fn lose_something(plan: &Plan, round: u32) -> Result<bool, String> {
    if round % 7 != 2 {
        return Ok(false);
    }
    for name in ["brownout.sqlite", "brownout.sqlite-wal", "brownout.sqlite-shm"] {
        let _ = fs::remove_file(plan.data.join(name));
    }
    if round.is_multiple_of(2) {
        let folder = plan.data.join("checkpoints");
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(true)
}
