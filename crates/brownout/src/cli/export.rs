//! `brownout export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::client::{Client, ServerArg, segment};
use super::{Console, Exit, Failure};

/// Exports an incident.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout export x-2025-03-10-0947 > incident.md\n  \
    brownout export x-2025-03-10-0947 --as csv --to incident.csv")]
pub struct Export {
    /// The incident's name, such as x-2025-03-10-0947
    pub name: String,
    /// The form of the export
    #[arg(long = "as", value_enum, default_value_t)]
    pub form: Form,
    /// File to write, instead of standard output
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArg,
}

/// What an incident can be exported as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Markdown, for people.
    #[default]
    Md,
    /// The counts as CSV.
    Csv,
    /// Everything as JSON.
    Json,
}

pub(super) fn run(args: &Export, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let client = Client::new(&args.server.server)?;
    let ending = match args.form {
        Form::Md => "md",
        Form::Csv => "csv",
        Form::Json => "json",
    };
    let text = client.text(&format!("/i/{}.{ending}", segment(&args.name)), &[])?;
    match &args.to {
        None => console.out.write_all(text.as_bytes())?,
        Some(file) => {
            let name = file.display();
            std::fs::write(file, &text).map_err(|error| Failure::new(format!("{name}: {error}")))?;
            console.say(&format!("wrote {name}"));
        }
    }
    Ok(Exit::Ok)
}
