//! Data on standard output, messages on standard error.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::exit::Failure;

/// The form of the data on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// RFC 4180 with a header line.
    Csv,
}

/// Where a command writes.
pub struct Console<'a> {
    /// Data.
    pub out: &'a mut dyn Write,
    /// Messages.
    pub err: &'a mut dyn Write,
    /// The form of the data.
    pub format: Format,
}

impl Console<'_> {
    /// Writes rows in the chosen form.
    pub fn table(&mut self, table: &Table) -> Result<(), Failure> {
        let written = match self.format {
            Format::Table => table.write_aligned(self.out),
            Format::Json => write_json(self.out, &Value::Array(table.objects().collect())),
            Format::Ndjson => table.objects().try_for_each(|object| writeln!(self.out, "{object}")),
            Format::Csv => table.write_csv(self.out),
        };
        Ok(written?)
    }

    /// Writes a JSON document as it is, indented.
    pub fn json(&mut self, value: &Value) -> Result<(), Failure> {
        Ok(write_json(self.out, value)?)
    }

    /// Writes a line of data.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Tells the person something that is not data. A closed standard error is nobody's loss.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }
}

fn write_json(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    writeln!(out, "{value:#}")
}

/// Rows under named columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Names of the columns, also the keys of the JSON forms.
    pub columns: Vec<String>,
    /// One value per column.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &[&str]) -> Self {
        Table { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// The rows as JSON objects.
    fn objects(&self) -> impl Iterator<Item = Value> + '_ {
        self.rows.iter().map(|row| {
            let pairs = self.columns.iter().cloned().zip(row.iter().cloned());
            Value::Object(pairs.collect::<Map<_, _>>())
        })
    }

    fn write_aligned(&self, out: &mut dyn Write) -> io::Result<()> {
        let heads = self.columns.iter().map(|name| name.to_uppercase().replace('_', " "));
        let mut lines = vec![heads.collect::<Vec<_>>()];
        lines.extend(self.rows.iter().map(|row| row.iter().map(shown).collect()));
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        let is_number: Vec<bool> = (0..self.columns.len())
            .map(|column| {
                let mut cells = self.rows.iter().map(|row| &row[column]).filter(|cell| !cell.is_null());
                cells.next().is_some_and(Value::is_number) && cells.all(Value::is_number)
            })
            .collect();
        for line in &lines {
            let mut text = String::new();
            for (column, cell) in line.iter().enumerate() {
                let width = widths[column];
                match is_number[column] {
                    true => text.push_str(&format!("{cell:>width$}  ")),
                    false => text.push_str(&format!("{cell:<width$}  ")),
                }
            }
            writeln!(out, "{}", text.trim_end())?;
        }
        Ok(())
    }

    fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let heads = self.columns.iter().map(|name| quoted(name)).collect::<Vec<_>>();
        write!(out, "{}\r\n", heads.join(","))?;
        for row in &self.rows {
            let cells: Vec<String> = row
                .iter()
                .map(|cell| match cell {
                    Value::Null => String::new(),
                    Value::String(text) => quoted(text),
                    other => quoted(&other.to_string()),
                })
                .collect();
            write!(out, "{}\r\n", cells.join(","))?;
        }
        Ok(())
    }
}

/// A value for a person. Control characters could drive the terminal, so they are not passed on.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float:.1}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(format: Format) -> String {
        let table = Table {
            columns: vec!["service".into(), "observed".into(), "since".into()],
            rows: vec![
                vec![json!("x"), json!(65), json!("10:02")],
                vec![json!("a \"b\", \u{1b}[31mc"), json!(7.25), Value::Null],
            ],
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console { out: &mut out, err: &mut err, format };
        console.table(&table).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_four_forms_say_the_same() {
        assert_eq!(
            written(Format::Table),
            "SERVICE        OBSERVED  SINCE\nx                    65  10:02\na \"b\", \u{fffd}[31mc       7.2  -\n"
        );
        assert_eq!(
            written(Format::Ndjson),
            "{\"observed\":65,\"service\":\"x\",\"since\":\"10:02\"}\n{\"observed\":7.25,\"service\":\"a \\\"b\\\", \\u001b[31mc\",\"since\":null}\n"
        );
        assert_eq!(
            written(Format::Csv),
            "service,observed,since\r\nx,65,10:02\r\n\"a \"\"b\"\", \u{1b}[31mc\",7.25,\r\n"
        );
        let json: Value = serde_json::from_str(&written(Format::Json)).expect("JSON");
        assert_eq!(json[0]["observed"], 65);
    }
}
