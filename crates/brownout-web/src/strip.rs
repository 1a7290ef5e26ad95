//! The strip: places down, time across, how much of what was measured failed, and at which stage.

use std::fmt::Write;

use brownout_core::model::UtcTime;
use brownout_core::reach::{ReachPlace, SLOT_MINUTES, Slot};

use crate::zone::Zone;

/// Columns of a strip: an hour each, for a day. A phone shows all of them at a size at which letters are read,
/// and the newest with them: what had to be scrolled to would be missed.
const COLUMNS: u32 = 24;
const SLOTS_PER_COLUMN: u32 = 24 * 60 / SLOT_MINUTES / COLUMNS;
/// Sizes in units of the drawing.
const CELL: u32 = 14;
const NAME: u32 = 16;
const ROW: u32 = 20;
const TOP: u32 = 16;
/// Letters of a name that fit above a row.
const NAME_LETTERS_MAX: usize = 50;
/// Columns between two times at the top.
const TIMES: usize = 6;

/// One row.
pub(crate) struct StripRow<'a> {
    /// The name in front of it.
    pub(crate) name: String,
    /// Whether it is a part of the row above.
    pub(crate) is_part: bool,
    /// What was measured there.
    pub(crate) place: &'a ReachPlace,
}

/// Draws rows up to an instant. Where nothing was measured it is hatched, never empty.
pub(crate) fn draw(rows: &[StripRow<'_>], now: UtcTime, zone: &Zone, title: &str) -> String {
    let (width, height) = (COLUMNS * CELL, TOP + rows.len() as u32 * (NAME + ROW));
    let last = now.minute().0 / SLOT_MINUTES / SLOTS_PER_COLUMN;
    let first = (last + 1).saturating_sub(COLUMNS);
    let mut out = format!(
        r#"<svg class="chart strip" viewBox="0 0 {width} {height}" role="img" aria-label="{}">"#,
        escape(title)
    );
    for column in (0..COLUMNS).step_by(TIMES) {
        let at = brownout_core::model::Minute((first + column) * SLOTS_PER_COLUMN * SLOT_MINUTES).start();
        let _ = write!(out, r#"<text x="{}" y="12">{}</text>"#, column * CELL, zone.clock(at));
    }
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + index as u32 * (NAME + ROW) + NAME;
        let _ = write!(
            out,
            r#"<text class="place" x="{}" y="{}">{}</text><rect class="gap" fill="url(#hatch)" x="0" y="{y}" width="{width}" height="{}"/>"#,
            if row.is_part { CELL } else { 0 },
            y - 4,
            escape(&shortened(&row.name, NAME_LETTERS_MAX)),
            ROW - 2
        );
        for (column, slot) in columns(row.place, first, last) {
            cell(&mut out, ((column - first) * CELL, y), &slot);
        }
    }
    out.push_str("</svg>");
    out
}

/// The columns in which anything was measured that told something.
fn columns(place: &ReachPlace, first: u32, last: u32) -> Vec<(u32, Slot)> {
    let mut columns: Vec<(u32, Slot)> = Vec::new();
    for slot in &place.slots {
        let column = slot.number / SLOTS_PER_COLUMN;
        if !(first..=last).contains(&column) || slot.told() == 0 {
            continue;
        }
        match columns.last_mut() {
            Some((known, sum)) if *known == column => sum.add(slot),
            _ => columns.push((column, *slot)),
        }
    }
    columns
}

fn cell(out: &mut String, (x, y): (u32, u32), slot: &Slot) {
    let (failed, told) = (u64::from(slot.failed()), u64::from(slot.told().max(1)));
    let step = (failed * 4).div_ceil(told).min(4);
    let _ =
        write!(out, r#"<rect class="m{step}" x="{x}" y="{y}" width="{}" height="{}"/>"#, CELL - 1, ROW - 2);
    // A letter where at least half fails: a single failure is luck.
    if let Some(layer) = slot.layer().filter(|_| 2 * failed >= told) {
        let ink = if step >= 3 { "ink-light" } else { "ink-dark" };
        let _ = write!(out, r#"<text class="{ink}" x="{}" y="{}">{}</text>"#, x + 2, y + 14, layer.letter());
    }
}

fn shortened(text: &str, letters_max: usize) -> String {
    if text.chars().count() <= letters_max {
        return text.to_owned();
    }
    text.chars().take(letters_max - 1).chain(['\u{2026}']).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use brownout_core::reach::{Layer, Reachability, Spot, Strip};

    use super::*;

    #[test]
    fn the_newest_hour_is_at_the_end_and_only_what_mostly_fails_has_a_letter() {
        let now: UtcTime = "2025-03-10T12:30:00Z".parse().expect("a time");
        let ago = |minutes: i64| now.plus_seconds(-60 * minutes);
        let mut strip = Strip::default();
        (0..9).for_each(|_| strip.count(ago(300), Reachability::Ok, None));
        strip.count(ago(300), Reachability::Blocked, Some(Layer::Dns));
        strip.count(ago(20), Reachability::Blocked, Some(Layer::Tls));
        strip.count(ago(600), Reachability::Insufficient, None);
        let place = ReachPlace {
            place: Spot::World,
            state: Reachability::Ok,
            how: None,
            since: None,
            is_doubted: false,
            is_cut_off: false,
            vantages: 1,
            day: strip.sum(now),
            slots: strip.day(now).copied().collect(),
            networks: Vec::new(),
        };
        let rows = [StripRow { name: "A<B".to_owned(), is_part: false, place: &place }];
        let svg = draw(&rows, now, &Zone::utc(), "A title");
        // What says nothing is hatched like what was not measured.
        assert_eq!(svg.matches(r#"<rect class="m"#).count(), 2, "{svg}");
        let last = format!(r#"<rect class="m4" x="{}""#, (COLUMNS - 1) * CELL);
        assert!(svg.contains(&last) && svg.contains(">S</text>") && !svg.contains(">D</text>"), "{svg}");
        assert!(svg.contains("A&lt;B") && svg.contains(r#"<rect class="m1""#), "{svg}");
    }
}
