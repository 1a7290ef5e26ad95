//! `brownout export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::client::{Client, ServerArg, segment};
use super::{Console, Exit, Failure, Format};

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

/// The option of every command means nothing here, and leaving it aside would hand over Markdown to
/// who asked for something else.
fn refuse_output(format: Format) -> Result<(), Failure> {
    let instead = match format {
        Format::Table => return Ok(()),
        Format::Csv => "--as csv",
        Format::Json => "--as json",
        Format::Ndjson => "--as md, --as csv or --as json",
    };
    let message = format!("an export has forms of its own: use {instead} instead of --output");
    Err(Failure { exit: Exit::Usage, message })
}

pub(super) fn run(args: &Export, console: &mut Console<'_>) -> Result<Exit, Failure> {
    refuse_output(console.format)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_option_is_refused_with_what_to_use_instead() {
        assert!(refuse_output(Format::Table).is_ok());
        for (format, instead) in
            [(Format::Csv, "use --as csv"), (Format::Json, "use --as json"), (Format::Ndjson, "use --as md")]
        {
            let failure = refuse_output(format).expect_err("refused");
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.contains(instead), "{}", failure.message);
        }
    }
}
