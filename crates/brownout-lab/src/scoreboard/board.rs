//! What comes out of a section.

use std::fmt;

/// One figure that has to reach something.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What was measured.
    pub name: String,
    /// The figure.
    pub value: String,
    /// What it has to reach.
    pub bar: String,
    /// Whether it does.
    pub met: bool,
}

/// A part of the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub(super) title: String,
    /// Paragraphs before the table.
    pub(super) text: Vec<String>,
    /// The first row names the columns.
    pub(super) rows: Vec<Vec<String>>,
}

/// All figures of a section: what has to be reached, and the tables that it is read from.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// What has to be reached, in the order in which it was measured.
    pub bars: Vec<Bar>,
    pub(super) tables: Vec<Table>,
}

impl Board {
    pub(super) fn bar(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
        bar: impl Into<String>,
        met: bool,
    ) {
        self.bars.push(Bar { name: name.into(), value: value.into(), bar: bar.into(), met });
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.bars.is_empty() {
            writeln!(f, "| figure | measured | bar | met |\n|---|---|---|---|")?;
        }
        for Bar { name, value, bar, met } in &self.bars {
            let met = if *met { "yes" } else { "**no**" };
            writeln!(f, "| {name} | {value} | {bar} | {met} |")?;
        }
        for table in &self.tables {
            writeln!(f, "\n### {}\n", table.title)?;
            for paragraph in &table.text {
                writeln!(f, "{paragraph}\n")?;
            }
            for (index, row) in table.rows.iter().enumerate() {
                writeln!(f, "| {} |", row.join(" | "))?;
                if index == 0 {
                    writeln!(f, "|{}", "---|".repeat(row.len()))?;
                }
            }
        }
        Ok(())
    }
}
