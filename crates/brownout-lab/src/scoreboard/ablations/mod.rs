//! What each part contributes: the same simulations with it and without.

mod extents;
mod series;

use super::Settings;
use super::board::{Board, Table};

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    progress("ablations: what is usual, and floors");
    board.tables.push(series::table(settings));
    progress("ablations: the extent");
    let (table, bar) = extents::table(settings);
    board.tables.push(table);
    let (right, all) = bar;
    board.bar(
        "scripted outages of a city, a network, a country and several: named exactly at the end",
        format!("{:.0}% of {all}", 100.0 * f64::from(right) / f64::from(all.max(1))),
        "95%",
        f64::from(right) >= (0.95 - 0.2 * settings.slack) * f64::from(all),
    );
}

fn table(title: &str, text: Vec<String>, rows: Vec<Vec<String>>) -> Table {
    Table { title: title.to_owned(), text, rows }
}
