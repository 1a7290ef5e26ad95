//! `brownout status`.

use clap::Args;
use serde_json::Value;

use super::client::{Client, ServerArg, rows};
use super::{Console, Exit, Failure, Format};

/// How services stand.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout status\n  brownout status x whatsapp --output json\n  \
    brownout status x --exit-code || echo \"x is not calm\"")]
pub struct Status {
    /// Services to look at, by slug; without any, all that are not calm
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// List calm services too
    #[arg(long)]
    pub all: bool,
    /// End with 4 when a listed service has detected problems
    #[arg(long)]
    pub exit_code: bool,
    /// With --exit-code, take possible problems as an outage too
    #[arg(long, requires = "exit_code")]
    pub possible: bool,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArg,
}

/// Columns of a service, in the words of the interface.
const COLUMNS: &[&str] = &["service=slug", "name", "state", "since", "observed", "expected", "incident"];

pub(super) fn run(args: &Status, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let client = Client::new(&args.server.server)?;
    let document = client.json("/api/v1/services", &[])?;
    let list = document.get("services").unwrap_or(&document).as_array().cloned();
    let mut services = list.ok_or_else(|| Failure::new("the answer holds no list of services"))?;
    if let Some(unknown) = args.services.iter().find(|slug| !services.iter().any(|s| s["slug"] == **slug)) {
        return Err(Failure::new(format!("{unknown}: the catalogue of that server has no such service")));
    }
    services.retain(|service| match args.services.is_empty() {
        true => args.all || is_troubled(service, true),
        false => args.services.iter().any(|slug| service["slug"] == **slug),
    });
    let outage = services.iter().any(|service| is_troubled(service, args.possible));
    let quiet = services.is_empty();
    let services = Value::Array(services);
    if console.format == Format::Json {
        console.json(&services)?;
    } else if quiet && console.format == Format::Table {
        console.say("no service has possible or detected problems");
    } else {
        console.table(&rows(&services, "", COLUMNS))?;
    }
    Ok(if args.exit_code && outage { Exit::Outage } else { Exit::Ok })
}

/// Whether a service has detected problems, or (with `possible`) possible ones.
fn is_troubled(service: &Value, possible: bool) -> bool {
    match service["state"].as_str() {
        Some("confirmed") => true,
        Some("possible") => possible,
        _ => false,
    }
}
