//! `brownout probe invite`, `ls` and `revoke`: what the operator of an observatory does.

use brownout_core::model::{Asn, CountryCode};
use brownout_store::embedded::{Admin, Invitation, Probe};
use brownout_store::port::StoreError;
use clap::Args;
use serde_json::json;

use crate::cli::token::parse_name;
use crate::cli::{Console, Exit, Failure, Format, Settings, Table};
use crate::host::wall_clock;
use crate::intake::system_random;

/// A probe to invite.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout probe invite karachi-1 --country PK --network 17557\n  \
    brownout probe invite desk-7 --operator newsroom --days 3\n\n\
    Prints a token, once, that enrols one probe, once; only its hash is kept. Without --country and\n\
    --network a probe is where the address that it sends from is. All probes of one operator count as\n\
    one vantage point, however many they are. Works beside the server.")]
pub struct Invite {
    /// What to call the probe: 1 to 32 of a-z, 0-9 and inner hyphens; never given twice
    #[arg(value_parser = parse_name)]
    pub name: String,
    /// Who runs it; without it, the probe's own name
    #[arg(long, value_parser = parse_name)]
    pub operator: Option<String>,
    /// The country that it is in, whatever its address says
    #[arg(long, value_name = "CODE")]
    pub country: Option<CountryCode>,
    /// The number of the network that it is in, likewise
    #[arg(long, value_name = "ASN", value_parser = super::measure::parse_network)]
    pub network: Option<Asn>,
    /// Days until the token is no longer taken
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=365))]
    pub days: u32,
}

/// Probes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  brownout probe ls --output json")]
pub struct Ls;

/// A probe to refuse.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  brownout probe revoke karachi-1\n\n\
    It is refused at once, and so is its invitation if it is not enrolled. What it measured stays.")]
pub struct Revoke {
    /// Its name in `brownout probe ls`
    pub name: String,
}

fn failed(error: StoreError) -> Failure {
    Failure::new(error.to_string())
}

fn admin(settings: &Settings, must_exist: bool) -> Result<Admin, Failure> {
    let (config, _) = settings.load(None)?;
    let folder = &config.data.folder;
    if must_exist && !folder.is_dir() {
        return Err(Failure::new(format!("{} is not a data folder", folder.display())));
    }
    Admin::beside(folder).map_err(failed)
}

pub(super) fn invite(args: &Invite, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, _) = settings.load(None)?;
    let admin = admin(settings, false)?;
    let mut bytes = [0; 32];
    system_random(&mut bytes).map_err(|error| Failure::new(format!("no randomness to be had: {error}")))?;
    let secret = format!("bp_{}", blake3::Hash::from_bytes(bytes).to_hex());
    let now = wall_clock();
    let invitation = Invitation {
        name: args.name.clone(),
        operator: args.operator.clone().unwrap_or_else(|| args.name.clone()),
        token_hash: *blake3::hash(secret.as_bytes()).as_bytes(),
        country: args.country,
        network: args.network,
        invited: now,
        expires: now.plus_seconds(i64::from(args.days) * 86_400),
    };
    if !admin.invite_probe(&invitation).map_err(failed)? {
        let detail = format!("there is or was a probe called {:?}; choose another name", args.name);
        return Err(Failure::new(detail));
    }
    match console.format {
        Format::Table => console.line(&secret)?,
        _ => {
            let mut table = Table::new(&["name", "operator", "expires", "token"]);
            let expires = invitation.expires.to_string();
            table.rows.push(vec![
                json!(args.name),
                json!(invitation.operator),
                json!(expires),
                json!(secret),
            ]);
            console.table(&table)?;
        }
    }
    console.say("hand it over safely: it is not shown again");
    if !config.probes.enabled {
        console.say("probes are not let in yet: [probes] enabled = true");
    }
    Ok(Exit::Ok)
}

pub(super) fn ls(settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let columns = [
        "name",
        "operator",
        "state",
        "country",
        "network",
        "invited",
        "enrolled",
        "last_sent",
        "batches",
        "key",
    ];
    let mut table = Table::new(&columns);
    let now = wall_clock();
    for probe in admin(settings, true)?.probes().map_err(failed)? {
        let state = match &probe {
            Probe { revoked: Some(_), .. } => "revoked",
            Probe { enrolled: Some(_), .. } => "in force",
            Probe { expires, .. } if *expires <= now => "expired",
            _ => "invited",
        };
        table.rows.push(vec![
            json!(probe.name),
            json!(probe.operator),
            json!(state),
            json!(probe.country.map(|country| country.to_string())),
            json!(probe.network.map(|network| network.to_string())),
            json!(probe.invited.to_string()),
            json!(probe.enrolled.map(|at| at.to_string())),
            json!(probe.seen.map(|at| at.to_string())),
            json!(probe.sequence),
            // Enough to compare with, too little for a table to be wide.
            json!(probe.key.map(|key| brownout_probe::wire::to_hex(&key[..6]))),
        ]);
    }
    if table.rows.is_empty() {
        console.say("no probes");
    }
    console.table(&table)?;
    Ok(Exit::Ok)
}

pub(super) fn revoke(args: &Revoke, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    if !admin(settings, true)?.revoke_probe(&args.name, wall_clock()).map_err(failed)? {
        return Err(Failure::new(format!("no probe in force is called {:?}", args.name)));
    }
    console.say(&format!("{} is revoked", args.name));
    Ok(Exit::Ok)
}
