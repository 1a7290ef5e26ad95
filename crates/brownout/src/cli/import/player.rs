//! Plays rows into a data folder on a virtual clock, through the same intake as everybody's.

use std::collections::BTreeMap;
use std::sync::Arc;

use brownout_core::model::{Catalogue, ChannelId, Evidence, Geography, UtcTime, Weight};
use brownout_core::report::PartnerKey;
use brownout_core::snapshot::{IncidentView, Totals};
use brownout_lab::import::{Imported, Row};
use brownout_store::port::{History, IncidentCursor, StoreError};

use super::super::progress::Progress;
use super::super::{Exit, Failure};
use super::Source;
use super::feed::{Feed, STEP_MILLIS, floor, is_far, open};
use crate::config::Config;
use crate::host::CLOCK_DAYS_MAX;
use crate::intake::{BATCH_LINES_MAX, TokenGrant, World, judge};

/// Virtual time after the last row, at least, so that what it is part of can end.
const AFTER_SECONDS: i64 = 2 * 3600;
/// Longest span of time that a table may cover: a wrong time would be played for years.
const SPAN_DAYS_MAX: i64 = 3660;
/// Most incidents that are listed.
const INCIDENTS_MAX: usize = 10_000;

/// What came of an import.
pub(super) struct Outcome {
    /// Rows of the table, whatever became of them.
    rows: u64,
    accepted: u64,
    cities_unknown: u64,
    /// Rows that are in no count, by reason.
    pub(super) refused: BTreeMap<String, u64>,
    /// Counts of the engine: these rows' share.
    totals: Totals,
    pub(super) catalogue: Arc<Catalogue>,
    /// Oldest first.
    pub(super) incidents: Vec<IncidentView>,
}

impl Outcome {
    /// Whether not one row got in.
    pub(super) fn is_nothing(&self) -> bool {
        self.accepted == 0
    }

    /// What is told of the import, in its order.
    pub(super) fn figures(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("rows", self.rows),
            ("accepted", self.accepted),
            ("repeats_collapsed", self.totals.repeats),
            ("beyond_subnet_cap", self.totals.over_subnet_cap),
            ("cities_unknown", self.cities_unknown),
        ]
    }
}

/// Plays the rows and sums up.
pub(super) fn play(
    imported: &Imported,
    source: &Source,
    config: &Config,
    geography: Arc<Geography>,
) -> Result<Outcome, Failure> {
    let (Some(first), Some(last)) = (imported.rows.first(), imported.rows.last()) else {
        return Err(Failure::new("no row can be imported"));
    };
    if last.at.millis_since(first.at) > SPAN_DAYS_MAX * 86_400_000 {
        return Err(Failure::new(format!(
            "the rows go from {} to {}, more than ten years: is one of the times wrong?",
            first.at, last.at
        )));
    }
    let times: Vec<UtcTime> = imported.rows.iter().map(|row| floor(row.at)).collect();
    if let Some([before, after]) = times.array_windows().find(|[before, after]| is_far(*before, *after)) {
        return Err(Failure::new(format!(
            "no row is between {before} and {after}, more than {CLOCK_DAYS_MAX} days: is one of the times wrong?"
        )));
    }
    let folder = source.into.display();
    let failed = |error: StoreError| Failure::new(format!("{folder}: {error}"));
    let begin = floor(first.at);
    let instance = open(&source.into, config, &geography, begin)?;
    let (Some(admin), Some(history)) = (instance.admin.clone(), instance.history.clone()) else {
        return Err(Failure::new(format!("{folder} cannot be written")));
    };
    let sink = instance.sink();
    let (id, _) = admin.channel(&source.channel).map_err(failed)?;
    let before = instance.snapshot.load().totals;
    let refused: BTreeMap<String, u64> =
        imported.rejected.iter().map(|(reason, count)| (reason.to_string(), *count)).collect();
    let mut player = Player {
        feed: Feed::new(&sink),
        world: World::new(instance.catalogue.clone(), geography, &config.policy),
        channel: id,
        accepted: 0,
        refused,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let after = AFTER_SECONDS.max(i64::from(config.policy.quiet_minutes) * 60 + 3600);
    let played = runtime.block_on(player.play(&imported.rows, &source.channel, after));
    let Player { accepted, refused, .. } = player;
    let (snapshot, catalogue) = (instance.snapshot.clone(), instance.catalogue.clone());
    // Everything is on disk and in the history once the threads have ended.
    instance.stop();
    played?;
    let incidents = incidents(history.as_ref(), begin).map_err(failed)?;
    Ok(Outcome {
        rows: imported.rows.len() as u64 + imported.rejected.values().sum::<u64>(),
        accepted,
        cities_unknown: imported.cities_unknown,
        refused,
        totals: since(snapshot.load().totals, before),
        catalogue,
        incidents,
    })
}

/// Incidents since `begin`, oldest first.
fn incidents(history: &dyn History, begin: UtcTime) -> Result<Vec<IncidentView>, StoreError> {
    let mut incidents = history.incidents(IncidentCursor::before(UtcTime::MAX), INCIDENTS_MAX)?;
    incidents.retain(|incident| incident.opened_at >= begin);
    incidents.reverse();
    Ok(incidents)
}

fn since(now: Totals, before: Totals) -> Totals {
    Totals {
        repeats: now.repeats.saturating_sub(before.repeats),
        over_subnet_cap: now.over_subnet_cap.saturating_sub(before.over_subnet_cap),
        ..now
    }
}

struct Player<'a> {
    feed: Feed<'a>,
    world: World,
    channel: ChannelId,
    accepted: u64,
    refused: BTreeMap<String, u64>,
}

impl Player<'_> {
    /// Plays rows that are in the order of their time, a step of the clock after the other, and
    /// then `after` seconds of silence.
    async fn play(&mut self, rows: &[Row], channel: &str, after: i64) -> Result<(), Failure> {
        let Some(first) = rows.first() else { return Ok(()) };
        if !self.any_fits(rows)? {
            return Ok(());
        }
        let mut progress = Progress::new("importing", Some(rows.len() as u64));
        let name = Evidence::Channel { id: self.channel, name: channel.to_owned() };
        self.feed.submit(vec![name], floor(first.at)).await?;
        let mut clock = floor(first.at);
        for step in rows.chunk_by(|a, b| floor(a.at) == floor(b.at)) {
            // Whoever moves the clock says that everything up to then is there.
            clock = UtcTime::from_millis(floor(step[0].at).millis() + STEP_MILLIS);
            for lines in step.chunks(BATCH_LINES_MAX) {
                let evidence = self.judge(lines, clock)?;
                self.feed.submit(evidence, clock).await?;
            }
            progress.advance(step.len() as u64);
        }
        self.feed.submit(Vec::new(), clock.plus_seconds(after)).await?;
        self.feed.finish().await
    }

    /// Whether any row gets in. Where none does, the reasons are counted, and the folder's clock is
    /// not moved: the table can be put right and imported again.
    fn any_fits(&mut self, rows: &[Row]) -> Result<bool, Failure> {
        let before = self.refused.clone();
        let latest = rows.last().map_or(UtcTime::MAX, |row| row.at);
        for lines in rows.chunks(BATCH_LINES_MAX) {
            if !self.judge(lines, latest)?.is_empty() {
                (self.refused, self.accepted) = (before, 0);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Judges lines as the batch intake does.
    fn judge(&mut self, rows: &[Row], clock: UtcTime) -> Result<Vec<Evidence>, Failure> {
        let body = rows.iter().map(|row| row.line.as_str()).collect::<Vec<_>>().join("\n");
        let grant = TokenGrant { channel: self.channel, virtual_clock: true, weight: Weight::FULL };
        let key = PartnerKey::fixed(self.channel);
        let judged = judge(body.as_bytes(), &self.world, grant, &key, clock)
            .map_err(|problem| Failure { exit: Exit::Error, message: problem.detail })?;
        for (reason, count) in judged.refused_by_reason() {
            *self.refused.entry(reason.title().to_owned()).or_default() += count;
        }
        self.accepted += judged.evidence.len() as u64;
        Ok(judged.evidence)
    }
}
