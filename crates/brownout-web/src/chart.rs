//! Charts as inline SVG: exact at every width, readable without script, scaled from zero.
//!
//! Shapes stretch with the page while words keep their size: an outer drawing places words at
//! percentages, an inner one without a fixed ratio holds the bars.

use std::fmt::Write;

use brownout_core::model::{Minute, UtcTime};
use brownout_core::snapshot::{Bar, Chart, Wave};

use crate::zone::{Zone, expected, thousands};

/// Height of the plot in the inner drawing's own units.
const PLOT: f64 = 1000.0;

/// What a chart shows beside its bars.
#[derive(Debug, Default)]
pub(crate) struct Marks<'a> {
    /// First and last minute of the incident; an open end reaches the edge.
    pub(crate) shade: Option<(Minute, Option<Minute>)>,
    /// Waves to be numbered at their peaks.
    pub(crate) waves: &'a [Wave],
    /// What is usual is still a guess, which is not drawn.
    pub(crate) is_guess: bool,
}

/// The highest value a chart must hold, rounded up to a number that reads well. Counts always fit; a
/// band that is far above them runs off the top.
fn ceiling(chart: &Chart, is_guess: bool) -> f64 {
    let most = chart.bars.iter().fold(0.0f64, |most, bar| most.max(f64::from(bar.count.unwrap_or(0))));
    if is_guess {
        return nice(most);
    }
    let room = most.max(20.0) * 1.5;
    nice(
        chart.bars.iter().fold(most, |top, bar| {
            top.max(finite(bar.usual.p90).min(room)).max(finite(bar.threshold).min(room))
        }),
    )
}

fn finite(value: f32) -> f64 {
    if value.is_finite() && value > 0.0 { f64::from(value) } else { 0.0 }
}

/// The smallest of 1, 2, 4, 5, 10 times a power of ten that is not below `top`; at least 4.
fn nice(top: f64) -> f64 {
    let mut power = 1.0;
    loop {
        for step in [1.0, 2.0, 4.0, 6.0, 8.0] {
            let candidate = step * power;
            if candidate >= top && candidate >= 4.0 {
                return candidate;
            }
        }
        power *= 10.0;
        if power > 1e12 {
            return power;
        }
    }
}

/// The whole chart. `title` is read out in its place and must be plain text.
pub(crate) fn draw(chart: &Chart, marks: &Marks<'_>, zone: &Zone, title: &str) -> String {
    if chart.bars.is_empty() || chart.step_minutes == 0 {
        return String::new();
    }
    let top = ceiling(chart, marks.is_guess);
    let mut out = String::with_capacity(12_000);
    let _ = write!(
        out,
        r#"<svg class="chart" role="img" aria-label="{}" width="100%" height="260">"#,
        escape(title)
    );
    shade(&mut out, chart, marks);
    grid(&mut out, top);
    plot(&mut out, chart, top, marks.is_guess);
    hatches(&mut out, chart);
    waves(&mut out, chart, marks);
    hours(&mut out, chart, zone);
    out.push_str("</svg>");
    out
}

/// Share of the chart's width at which a minute stands, in percent.
fn percent(chart: &Chart, minute: Minute) -> f64 {
    let span = f64::from(chart.step_minutes) * chart.bars.len() as f64;
    (f64::from(minute.since(chart.start)) / span * 100.0).clamp(0.0, 100.0)
}

/// Height of the words below the plot, and of the plot, in pixels.
const PLOT_PX: u32 = 224;

fn shade(out: &mut String, chart: &Chart, marks: &Marks<'_>) {
    let Some((from, to)) = marks.shade else { return };
    let left = percent(chart, from);
    let right = to.map_or(100.0, |to| percent(chart, to.plus(1)));
    if right > left {
        let width = right - left;
        let _ = write!(
            out,
            r#"<rect class="shade" x="{left:.2}%" y="0" width="{width:.2}%" height="{PLOT_PX}"/><line class="onset" x1="{left:.2}%" x2="{left:.2}%" y1="0" y2="{PLOT_PX}"/>"#
        );
    }
}

fn grid(out: &mut String, top: f64) {
    for share in [0.0, 0.5, 1.0] {
        let y = f64::from(PLOT_PX) * (1.0 - share);
        let value = top * share;
        let label = if value.fract() == 0.0 { thousands(value as u64) } else { format!("{value:.1}") };
        let class = if share == 0.0 { "axis" } else { "grid" };
        let _ = write!(out, r#"<line class="{class}" x1="0" x2="100%" y1="{y}" y2="{y}"/>"#);
        if share > 0.0 {
            let _ = write!(out, r#"<text class="y" x="4" y="{}">{label}</text>"#, y + 14.0);
        }
    }
}

fn plot(out: &mut String, chart: &Chart, top: f64, is_guess: bool) {
    let bars = &chart.bars;
    let _ = write!(
        out,
        r#"<svg x="0" y="0" width="100%" height="{PLOT_PX}" viewBox="0 0 {} 1000" preserveAspectRatio="none">"#,
        bars.len()
    );
    if !is_guess {
        out.push_str(&band(bars, top));
    }
    let mut columns = String::new();
    for (index, bar) in bars.iter().enumerate() {
        let Some(count) = bar.count.filter(|count| *count > 0) else { continue };
        // A single report must be seen, however high the peak is.
        let height = (f64::from(count) / top * PLOT).round().max(4.0) as i64;
        let _ = write!(columns, "M{index}.1 1000v-{height}h.8v{height}z");
    }
    let _ = write!(out, r#"<path class="bars" d="{columns}"/>"#);
    if !is_guess {
        out.push_str(&lines(bars, top));
    }
    out.push_str("</svg>");
}

/// Where a value stands, from the top.
fn level(value: f64, top: f64) -> i64 {
    (PLOT - (value / top * PLOT).min(PLOT)).round() as i64
}

/// The band of what is usual.
fn band(bars: &[Bar], top: f64) -> String {
    let y = |value: f64| level(value, top);
    let mut band = String::new();
    for (index, bar) in bars.iter().enumerate() {
        step(
            &mut band,
            index,
            y(finite(bar.usual.p90)),
            index.checked_sub(1).map(|i| y(finite(bars[i].usual.p90))),
        );
    }
    let _ = write!(band, "H{}", bars.len());
    for (index, bar) in bars.iter().enumerate().rev() {
        let low = y(finite(bar.usual.p10));
        if bars.get(index + 1).is_none_or(|next| y(finite(next.usual.p10)) != low) {
            let _ = write!(band, "V{low}");
        }
        if index == 0 || y(finite(bars[index - 1].usual.p10)) != low {
            let _ = write!(band, "H{index}");
        }
    }
    format!(r#"<path class="band" d="{band}z"/>"#)
}

/// The median, and from where an interval alone would be a departure.
fn lines(bars: &[Bar], top: f64) -> String {
    let y = |value: f64| level(value, top);
    let line = |value: &dyn Fn(&Bar) -> f64| {
        let mut path = String::new();
        for (index, bar) in bars.iter().enumerate() {
            step(&mut path, index, y(value(bar)), index.checked_sub(1).map(|i| y(value(&bars[i]))));
        }
        let _ = write!(path, "H{}", bars.len());
        path
    };
    let mut out = format!(r#"<path class="median" d="{}"/>"#, line(&|bar| finite(bar.usual.median)));
    if bars.iter().any(|bar| finite(bar.threshold) > 0.0) {
        let _ = write!(out, r#"<path class="threshold" d="{}"/>"#, line(&|bar| finite(bar.threshold)));
    }
    out
}

/// Adds one step of a line; a level that goes on adds nothing.
fn step(path: &mut String, index: usize, level: i64, before: Option<i64>) {
    match before {
        None => {
            let _ = write!(path, "M0 {level}");
        }
        Some(before) if before != level => {
            let _ = write!(path, "H{index}V{level}");
        }
        Some(_) => {}
    }
}

/// Gaps and the interval that has not ended are hatched: neither is a low count.
fn hatches(out: &mut String, chart: &Chart) {
    let count = chart.bars.len();
    let mut start = None;
    for index in 0..=count {
        let gap = chart.bars.get(index).is_some_and(|bar| bar.count.is_none());
        match (gap, start) {
            (true, None) => start = Some(index),
            (false, Some(from)) => {
                hatch(out, from, index, count, "gap");
                start = None;
            }
            _ => {}
        }
    }
    if chart.incomplete && chart.bars.last().is_some_and(|bar| bar.count.is_some()) {
        hatch(out, count - 1, count, count, "unfinished");
    }
}

fn hatch(out: &mut String, from: usize, to: usize, count: usize, class: &str) {
    let percent = |index: usize| index as f64 / count as f64 * 100.0;
    let _ = write!(
        out,
        r#"<rect class="{class}" fill="url(#hatch)" x="{:.2}%" y="0" width="{:.2}%" height="{PLOT_PX}"/>"#,
        percent(from),
        percent(to) - percent(from)
    );
}

fn waves(out: &mut String, chart: &Chart, marks: &Marks<'_>) {
    for (index, wave) in marks.waves.iter().enumerate() {
        if wave.peak_at < chart.start {
            continue;
        }
        let x = percent(chart, wave.peak_at);
        let _ = write!(
            out,
            r#"<line class="wave" x1="{x:.2}%" x2="{x:.2}%" y1="20" y2="{PLOT_PX}"/><circle class="wave" cx="{x:.2}%" cy="11" r="9"/><text class="wave" x="{x:.2}%" y="15">{}</text>"#,
            index + 1
        );
    }
}

/// Words at whole hours: about five, never over each other on a narrow page.
fn hours(out: &mut String, chart: &Chart, zone: &Zone) {
    let span = chart.step_minutes * chart.bars.len() as u32;
    let every = [15, 30, 60, 120, 180, 360, 720, 1440, 2880]
        .into_iter()
        .find(|every| span / every <= 5)
        .unwrap_or(10_080);
    let y = PLOT_PX + 18;
    let mut minute = chart.start;
    let end = chart.start.plus(span);
    while minute < end {
        let of_day = zone.minute_of_day(minute.start());
        let wait = (every - of_day % every) % every;
        // A zone's clock may jump; half-hours are fine steps for every zone in use.
        if wait > 0 {
            minute = minute.plus(if wait.is_multiple_of(15) { wait.min(15) } else { 1 });
            continue;
        }
        let x = percent(chart, minute);
        if x < 96.0 {
            let anchor = if x < 4.0 { "start" } else { "middle" };
            let _ = write!(
                out,
                r#"<line class="tick" x1="{x:.2}%" x2="{x:.2}%" y1="{PLOT_PX}" y2="{}"/><text class="x" text-anchor="{anchor}" x="{x:.2}%" y="{y}">{}</text>"#,
                PLOT_PX + 5,
                zone.clock(minute.start())
            );
        }
        minute = minute.plus(15);
    }
    let _ = write!(
        out,
        r#"<text class="x" text-anchor="end" x="100%" y="{}">{}</text>"#,
        y + 15,
        escape(zone.label())
    );
}

/// A line of the last 24 hours for a list, on one logarithmic scale for all services: 0 to 100,000.
pub(crate) fn sparkline(chart: &Chart) -> String {
    const POINTS: usize = 48;
    let bars = &chart.bars;
    if bars.is_empty() {
        return r#"<svg class="spark" viewBox="0 0 96 24" preserveAspectRatio="none" aria-hidden="true"><rect fill="url(#hatch)" width="96" height="24"/></svg>"#
            .to_owned();
    }
    let group = bars.len().div_ceil(POINTS);
    // The picture is as wide as its columns, however many the bars come to, and is stretched to fit.
    let wide = bars.len().div_ceil(group) * 2;
    let mut path = String::new();
    let mut gaps = String::new();
    for (index, chunk) in bars.chunks(group).enumerate() {
        let x = index * 2;
        if chunk.iter().all(|bar| bar.count.is_none()) {
            let _ = write!(gaps, "M{x} 0h2v24h-2z");
            continue;
        }
        let peak = chunk.iter().filter_map(|bar| bar.count).max().unwrap_or(0);
        if peak > 0 {
            let height = ((f64::from(peak) + 1.0).log10() / 5.0 * 24.0).clamp(1.0, 24.0).round() as u32;
            let _ = write!(path, "M{x} 24v-{height}h1.6v{height}z");
        }
    }
    let gaps = if gaps.is_empty() { gaps } else { format!(r#"<path fill="url(#hatch)" d="{gaps}"/>"#) };
    let bars = if path.is_empty() { path } else { format!(r#"<path class="bars" d="{path}"/>"#) };
    format!(
        r#"<svg class="spark" viewBox="0 0 {wide} 24" preserveAspectRatio="none" aria-hidden="true"><path class="axis" d="M0 23.5H{wide}"/>{gaps}{bars}</svg>"#
    )
}

/// One row of a chart's table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) time: String,
    pub(crate) count: String,
    pub(crate) usual: String,
    pub(crate) note: &'static str,
}

/// The chart's numbers, newest first. What is usual is left out where it `is_guess`.
pub(crate) fn rows(chart: &Chart, zone: &Zone, is_guess: bool) -> Vec<Row> {
    let last = chart.bars.len().saturating_sub(1);
    let row = |(index, bar): (usize, &Bar)| Row {
        time: zone.clock(bar_start(chart, index)),
        count: bar.count.map_or_else(|| "no data".to_owned(), |count| thousands(u64::from(count))),
        usual: if is_guess {
            "unknown".to_owned()
        } else {
            let [p10, median, p90] = [bar.usual.p10, bar.usual.median, bar.usual.p90].map(expected);
            format!("{median} ({p10}-{p90})")
        },
        note: if index == last && chart.incomplete { "not over yet" } else { "" },
    };
    chart.bars.iter().enumerate().rev().map(row).collect()
}

/// When a bar's interval begins.
pub(crate) fn bar_start(chart: &Chart, index: usize) -> UtcTime {
    chart.start.plus(chart.step_minutes.saturating_mul(index as u32)).start()
}

/// The highest bar: its count, when it begins, and what is usual then.
pub(crate) fn peak(chart: &Chart) -> Option<(u32, UtcTime, f32)> {
    let (index, bar) = chart
        .bars
        .iter()
        .enumerate()
        .filter(|(_, bar)| bar.count.is_some_and(|count| count > 0))
        .max_by_key(|(index, bar)| (bar.count, std::cmp::Reverse(*index)))?;
    Some((bar.count?, bar_start(chart, index), bar.usual.mean))
}

/// Whether nothing was collected in the newest interval.
pub(crate) fn silent(chart: &Chart) -> bool {
    chart.bars.last().is_none_or(|bar| bar.count.is_none())
}

/// Text for the inside of an element or a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use brownout_core::snapshot::Band;

    fn chart(counts: &[Option<u32>]) -> Chart {
        let usual = Band { p10: 1.0, median: 2.0, p90: 4.0, mean: 2.0 };
        let bars = counts.iter().map(|count| Bar { count: *count, usual, threshold: 9.0 }).collect();
        Chart { start: Minute(29_000_000), step_minutes: 5, bars, incomplete: true }
    }

    #[test]
    fn a_gap_is_hatched_and_never_a_bar() {
        let drawn =
            draw(&chart(&[Some(3), None, None, Some(0), Some(2)]), &Marks::default(), &Zone::utc(), "t");
        assert_eq!(drawn.matches(r#"class="gap""#).count(), 1, "two intervals, one gap");
        assert_eq!(drawn.matches(r#"class="unfinished""#).count(), 1);
        assert!(drawn.contains("M0.1 1000v") && drawn.contains("M4.1 1000v"));
        assert!(!drawn.contains("M1.1 1000v") && !drawn.contains("M3.1 1000v"));
    }

    #[test]
    fn a_guess_at_what_is_usual_is_not_drawn() {
        let chart = chart(&[Some(1), Some(2)]);
        let draw = |is_guess| draw(&chart, &Marks { is_guess, ..Marks::default() }, &Zone::utc(), "t");
        for part in [r#"class="band""#, r#"class="median""#, r#"class="threshold""#] {
            assert!(draw(false).contains(part) && !draw(true).contains(part), "{part}");
        }
        assert_eq!(rows(&chart, &Zone::utc(), true)[0].usual, "unknown");
    }

    #[test]
    fn a_sparkline_is_filled_to_its_right_end() {
        for (bars, columns) in [(288, 48), (125, 42), (1, 1)] {
            let drawn = sparkline(&chart(&vec![Some(5); bars]));
            assert!(drawn.contains(&format!(r#"viewBox="0 0 {} 24""#, columns * 2)), "{drawn}");
            assert!(drawn.contains(&format!("M{} 24v-", columns * 2 - 2)), "{drawn}");
        }
    }

    #[test]
    fn the_scale_starts_at_zero_and_ends_at_a_number_that_reads_well() {
        for (top, expected) in [(0.0, 4.0), (3.0, 4.0), (5.0, 6.0), (11.0, 20.0), (26_579.0, 40_000.0)] {
            assert_eq!(nice(top), expected, "{top}");
        }
    }

    #[test]
    fn figures_that_are_no_numbers_do_not_break_a_chart() {
        let mut broken = chart(&[Some(u32::MAX), Some(1)]);
        broken.bars[1].threshold = f32::NAN;
        broken.bars[1].usual.p90 = f32::INFINITY;
        broken.bars[0].usual.p10 = -4.0;
        let drawn = draw(&broken, &Marks::default(), &Zone::utc(), "<b>");
        assert!(!drawn.contains("NaN") && !drawn.contains("inf") && !drawn.contains("<b>"));
        assert_eq!(draw(&Chart::default(), &Marks::default(), &Zone::utc(), "t"), "");
    }
}
