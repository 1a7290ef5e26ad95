//! An engine of the lab's own beside the program's: what the log says must have come of it.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use brownout_core::effect::{Derived, Effect};
use brownout_core::engine::Engine;
use brownout_core::model::{ChannelId, Evidence, Report, Seq, ServiceId, UtcTime};
use brownout_store::embedded::{EmbeddedStore, LogReader, Options, SqliteDerived, read_comments};
use brownout_store::port::{DerivedStore, StoreError};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::Figures;
use super::load::{Acknowledged, comment_of, kind_of, service_of};

/// Tables of the derived database with their rows in a fixed order, up to a position.
const TABLES: [&str; 3] = [
    "SELECT * FROM roll_ups WHERE ?1 >= 0 ORDER BY service, facet, start",
    "SELECT * FROM incidents WHERE ?1 >= 0 ORDER BY service, opened",
    "SELECT * FROM verdicts WHERE seq <= ?1 ORDER BY service, opened, revision",
];

/// Follows a data folder from outside.
pub(super) struct Shadow {
    data: PathBuf,
    scratch: PathBuf,
    engine: Engine,
    /// What was derived and is not yet compared.
    pending: VecDeque<(Seq, Box<Derived>)>,
    derived: SqliteDerived,
    received_at: UtcTime,
    services: BTreeMap<ServiceId, String>,
    /// Where the line with each number stands; 0 is nowhere.
    lines: Vec<u64>,
    /// Single reports.
    single: BTreeMap<u64, Report>,
    /// Lines and single reports that were acknowledged.
    acknowledged: u64,
}

impl Shadow {
    pub(super) fn new(data: &Path, scratch: &Path) -> Result<Self, String> {
        let store = EmbeddedStore::open(&scratch.join("derived"), Options::default(), UtcTime::default())
            .map_err(|error| error.to_string())?;
        Ok(Shadow {
            data: data.to_owned(),
            scratch: scratch.to_owned(),
            engine: Engine::new(),
            pending: VecDeque::new(),
            derived: store.derived,
            received_at: UtcTime::from_millis(i64::MIN),
            services: BTreeMap::new(),
            lines: Vec::new(),
            single: BTreeMap::new(),
            acknowledged: 0,
        })
    }

    /// Reads what is new in the log and holds everything to it. Gives the position up to which the
    /// database was compared.
    pub(super) fn check(
        &mut self,
        acknowledged: &[Acknowledged],
        figures: &mut Figures,
    ) -> Result<u64, String> {
        self.read_log(figures)?;
        let texts: BTreeMap<u64, String> = read_comments(&self.data)
            .map_err(|error| error.to_string())?
            .into_iter()
            .map(|comment| (comment.report.0, comment.text))
            .collect();
        for one in acknowledged {
            let missing = self.missing(one, &texts);
            figures.lost += missing;
            if missing > 0 {
                return Err(format!("{missing} acknowledged reports are not in the log: {one:?}"));
            }
        }
        let (single, lines) = super::count(acknowledged);
        figures.single += single;
        figures.lines += lines;
        self.acknowledged += single + lines;
        let kept = self.lines.iter().filter(|seq| **seq > 0).count() + self.single.len();
        figures.unanswered = kept as u64 - self.acknowledged;
        figures.records = self.engine.seq().0;
        self.compare_derived(figures)
    }

    fn read_log(&mut self, figures: &mut Figures) -> Result<(), String> {
        let reader = LogReader::open(&self.data);
        let next = self.engine.seq().next();
        let mut batches = reader.batches(next).map_err(|error| error.to_string())?;
        let mut evidence = Vec::new();
        while let Some(head) = batches.next_into(&mut evidence) {
            let head = head.map_err(|error| format!("the log: {error}"))?;
            if head.first_seq != self.engine.seq().next() {
                return Err(format!("{} follows {}", head.first_seq, self.engine.seq()));
            }
            if head.received_at < self.received_at {
                return Err(format!("time goes back at {}", head.first_seq));
            }
            self.received_at = head.received_at;
            for (seq, evidence) in (head.first_seq.0..).zip(&evidence) {
                match evidence {
                    Evidence::Report(report) => self.meet(seq, report, figures)?,
                    Evidence::Catalogue(catalogue) => {
                        let names = catalogue.iter().map(|it| (it.id, it.slug.to_string()));
                        self.services.extend(names);
                    }
                    _ => {}
                }
                self.engine.handle_evidence(Seq(seq), head.received_at, evidence);
                while let Some(effect) = self.engine.poll_effect() {
                    if let Effect::Persist(seq, derived) = effect {
                        self.pending.push_back((seq, derived));
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes note of a report in the log.
    fn meet(&mut self, seq: u64, report: &Report, figures: &mut Figures) -> Result<(), String> {
        if report.channel == ChannelId::WEB {
            self.single.insert(seq, *report);
            return Ok(());
        }
        let number = report.network.map_or(0, |network| network.0.get());
        let at = number as usize;
        if self.lines.len() <= at {
            self.lines.resize(at + 1, 0);
        }
        if self.lines[at] > 0 {
            figures.twice += 1;
            return Err(format!("line {number} stands at {} and at {seq}", self.lines[at]));
        }
        if !self.is_of(report, number) {
            return Err(format!("line {number} is not as it was sent: {report:?}"));
        }
        self.lines[at] = seq;
        Ok(())
    }

    fn is_of(&self, report: &Report, number: u32) -> bool {
        let service = self.services.get(&report.service).map(String::as_str);
        service == Some(service_of(number)) && report.kind == kind_of(number)
    }

    /// How many reports of an acknowledgement are not where it says.
    fn missing(&self, acknowledged: &Acknowledged, texts: &BTreeMap<u64, String>) -> u64 {
        match *acknowledged {
            Acknowledged::Single { seq, number } => {
                let report = self.single.get(&seq);
                let sound = report.is_some_and(|report| self.is_of(report, number))
                    && texts.get(&seq) == Some(&comment_of(number));
                u64::from(!sound)
            }
            Acknowledged::Batch { seq, first, count } => {
                let stands = |it: u32| self.lines.get((first + it) as usize) == Some(&(seq + u64::from(it)));
                (0..count).filter(|it| !stands(*it)).count() as u64
            }
        }
    }

    /// Derives up to where the database is, and compares it and the ledger.
    fn compare_derived(&mut self, figures: &mut Figures) -> Result<u64, String> {
        let theirs = self.copy_database()?;
        let words = |error: rusqlite::Error| format!("the database: {error}");
        let applied: i64 =
            theirs.query_row("SELECT seq FROM applied", [], |row| row.get(0)).map_err(words)?;
        while self.pending.front().is_some_and(|(seq, _)| seq.0 <= applied as u64) {
            let Some((seq, derived)) = self.pending.pop_front() else { break };
            self.derived.apply(seq, &derived).map_err(|error: StoreError| error.to_string())?;
        }
        let ours = Connection::open(self.scratch.join("derived/brownout.sqlite")).map_err(words)?;
        for (table, count) in TABLES.iter().zip(&mut figures.rows) {
            let (ours, theirs) =
                (rows(&ours, table, applied).map_err(words)?, rows(&theirs, table, applied).map_err(words)?);
            *count = ours.len() as u64;
            if let Some(at) = (0..ours.len().max(theirs.len())).find(|at| ours.get(*at) != theirs.get(*at)) {
                return Err(format!(
                    "{table}, up to {applied}: derived {:?}, found {:?}",
                    ours.get(at),
                    theirs.get(at)
                ));
            }
        }
        let ledger = |folder: &Path| fs::read(folder.join("ledger/verdicts.led")).unwrap_or_default();
        if !ledger(&self.data).starts_with(&ledger(&self.scratch.join("derived"))) {
            return Err("the ledger is not what the log gives".to_owned());
        }
        Ok(applied as u64)
    }

    /// Opens a copy of the program's database with what its journal holds.
    fn copy_database(&self) -> Result<Connection, String> {
        let copy = self.scratch.join("copy.sqlite");
        for suffix in ["", "-wal"] {
            let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
            let (from, to) = (name(&self.data.join("brownout.sqlite")), name(&copy));
            let _ = fs::remove_file(&to);
            if from.exists() {
                fs::copy(&from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
            }
        }
        let _ = fs::remove_file(self.scratch.join("copy.sqlite-shm"));
        Connection::open(&copy).map_err(|error| error.to_string())
    }
}

fn rows(connection: &Connection, ask: &str, applied: i64) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut ask = connection.prepare(ask)?;
    let columns = ask.column_count();
    ask.query_map([applied], |row| (0..columns).map(|column| row.get(column)).collect())?.collect()
}
