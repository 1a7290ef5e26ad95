//! The strip: places down, time across, how much of what was measured failed, and at which stage.

use std::fmt::Write;

use brownout_core::model::UtcTime;
use brownout_core::reach::{ReachPlace, SLOT_MINUTES, Slot};

use crate::zone::Zone;

/// Columns of a strip: half an hour each, for a day. Ten minutes are too narrow for a letter on a phone.
const COLUMNS: u32 = 48;
const SLOTS_PER_COLUMN: u32 = 24 * 60 / SLOT_MINUTES / COLUMNS;
/// Sizes in units of the drawing.
const CELL: u32 = 14;
const ROW: u32 = 20;
const NAMES: u32 = 190;
const TOP: u32 = 18;

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
    let (width, height) = (NAMES + COLUMNS * CELL, TOP + rows.len() as u32 * ROW);
    let last = now.minute().0 / SLOT_MINUTES / SLOTS_PER_COLUMN;
    let first = (last + 1).saturating_sub(COLUMNS);
    let mut out = format!(
        r#"<svg class="chart strip" viewBox="0 0 {width} {height}" role="img" aria-label="{}">"#,
        escape(title)
    );
    for column in (0..COLUMNS).step_by(8) {
        let at = brownout_core::model::Minute((first + column) * SLOTS_PER_COLUMN * SLOT_MINUTES).start();
        let _ = write!(out, r#"<text x="{}" y="12">{}</text>"#, NAMES + column * CELL, zone.clock(at));
    }
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + index as u32 * ROW;
        let indent = if row.is_part { 10 } else { 0 };
        let _ = write!(
            out,
            r#"<text x="{indent}" y="{}">{}</text><rect class="gap" fill="url(#hatch)" x="{NAMES}" y="{y}" width="{}" height="{}"/>"#,
            y + 14,
            escape(&shortened(&row.name, if row.is_part { 27 } else { 29 })),
            COLUMNS * CELL,
            ROW - 2
        );
        for (column, slot) in columns(row.place, first, last) {
            cell(&mut out, (NAMES + (column - first) * CELL, y), &slot);
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
