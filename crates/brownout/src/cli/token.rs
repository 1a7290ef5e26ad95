//! `brownout token`.

use std::path::Path;

use brownout_core::model::{UtcTime, Weight};
use brownout_store::embedded::{Admin, Token as Kept};
use brownout_store::port::StoreError;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Console, Exit, Failure, Format, Settings, Table};
use crate::host::{channels_of, wall_clock};
use crate::intake::system_random;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Channels that are not a partner's.
const OWN_CHANNELS: [&str; 2] = ["web", "page-views"];

/// Tokens of the batch intake.
#[derive(Args, Debug)]
pub struct Token {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a token for a channel and print it, once
    #[command(
        after_help = "Examples:\n  brownout token add --name helpdesk-2026 --channel helpdesk --days 365\n  \
        brownout token add --name lab --virtual\n\n\
        Works beside the server, which knows the token at once. Only its hash is kept."
    )]
    Add(Add),
    /// List tokens with their channels, never the token itself
    #[command(after_help = "Example:\n  brownout token ls --output json")]
    Ls,
    /// Revoke a token by its name, at once; the channel's reports stay
    #[command(after_help = "Example:\n  brownout token revoke helpdesk-2026")]
    Revoke(Revoke),
}

/// A token to make.
#[derive(Args, Debug)]
pub struct Add {
    /// What to call the token: 1 to 32 of a-z, 0-9 and inner hyphens; never given twice
    #[arg(long, value_parser = parse_name)]
    pub name: String,
    /// Name of the channel whose reports it may send, likewise; without it, the token's own
    #[arg(long, value_parser = parse_name)]
    pub channel: Option<String>,
    /// Days until it expires, 1 to 3650; without it, never
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: Option<u32>,
    /// What its reports weigh at most, in percent of a person's own report
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub weight: u8,
    /// Let it move the clock of a folder with a virtual one (scenarios, imports)
    #[arg(long = "virtual")]
    pub virtual_clock: bool,
}

/// A token to revoke.
#[derive(Args, Debug)]
pub struct Revoke {
    /// Its name in `brownout token ls`
    pub name: String,
}

/// A name for a token or channel: 1 to 32 of a-z, 0-9 and inner hyphens.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let letters = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let fine = (1..=32).contains(&text.len()) && letters && !text.starts_with('-') && !text.ends_with('-');
    match fine {
        true if OWN_CHANNELS.contains(&text) => Err(format!("{text} is this observatory's own")),
        true => Ok(text.to_owned()),
        false => Err("1 to 32 of a-z, 0-9 and inner hyphens".to_owned()),
    }
}

pub(super) fn run(args: &Token, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, _) = settings.load(None)?;
    let folder = &config.data.folder;
    // A token may be made before the first start; to ask about others there must be a folder.
    if !matches!(args.action, Action::Add(_)) && !folder.is_dir() {
        return Err(Failure::new(format!("{} is not a data folder", folder.display())));
    }
    let admin = Admin::beside(folder).map_err(failed)?;
    match &args.action {
        Action::Add(add) => {
            know_channels(add.channel.as_deref().unwrap_or(&add.name), &admin, folder)?;
            make(add, &admin, wall_clock(), console)
        }
        Action::Ls => ls(&admin, wall_clock(), console),
        Action::Revoke(revoke) => {
            if !admin.revoke_token(&revoke.name, wall_clock()).map_err(failed)? {
                return Err(Failure::new(format!("no token in force is called {:?}", revoke.name)));
            }
            console.say(&format!("{} is revoked", revoke.name));
            Ok(Exit::Ok)
        }
    }
}

fn failed(error: StoreError) -> Failure {
    Failure::new(error.to_string())
}

/// Before a channel gets a new number, the log is asked which are taken: the database of tokens may
/// be lost, or an older copy.
fn know_channels(name: &str, admin: &Admin, folder: &Path) -> Result<(), Failure> {
    if admin.channels().map_err(failed)?.iter().any(|(_, known)| known == name) {
        return Ok(());
    }
    let known = channels_of(folder).map_err(failed)?;
    admin.keep_channels(known.iter().map(|(id, name)| (*id, name.as_str()))).map_err(failed)?;
    Ok(())
}

fn make(add: &Add, admin: &Admin, now: UtcTime, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut bytes = [0; TOKEN_BYTES];
    system_random(&mut bytes).map_err(|error| Failure::new(format!("no randomness to be had: {error}")))?;
    let secret = format!("bo_{}", blake3::Hash::from_bytes(bytes).to_hex());
    let channel = add.channel.as_deref().unwrap_or(&add.name);
    let taken =
        || Failure::new(format!("there is or was a token called {:?}; choose another name", add.name));
    if admin.tokens().map_err(failed)?.iter().any(|token| token.name == add.name) {
        return Err(taken());
    }
    let (id, _) = admin.channel(channel).map_err(failed)?;
    let token = Kept {
        hash: *blake3::hash(secret.as_bytes()).as_bytes(),
        name: add.name.clone(),
        channel: id,
        created: now,
        expires: add.days.map(|days| now.plus_seconds(i64::from(days) * 86_400)),
        revoked: None,
        weight: Weight::from_percent(add.weight),
        virtual_clock: add.virtual_clock,
    };
    if !admin.add_token(&token).map_err(failed)? {
        return Err(taken());
    }
    match console.format {
        Format::Table => console.line(&secret)?,
        _ => {
            let mut table = Table::new(&["name", "channel", "token"]);
            table.rows.push(vec![json!(add.name), json!(channel), json!(secret)]);
            console.table(&table)?;
        }
    }
    console.say("keep it: it is not shown again");
    Ok(Exit::Ok)
}

fn ls(admin: &Admin, now: UtcTime, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let channels = admin.channels().map_err(failed)?;
    let mut table = Table::new(&["name", "channel", "state", "created", "expires", "weight", "virtual"]);
    for token in admin.tokens().map_err(failed)? {
        let channel = channels.iter().find(|(id, _)| *id == token.channel).map(|(_, name)| name);
        let state = match (token.revoked, token.expires) {
            (Some(_), _) => "revoked",
            (None, Some(expires)) if expires <= now => "expired",
            _ => "in force",
        };
        table.rows.push(vec![
            json!(token.name),
            json!(channel),
            json!(state),
            json!(token.created.to_string()),
            json!(token.expires.map(|at| at.to_string())),
            json!(token.weight.percent()),
            json!(token.virtual_clock),
        ]);
    }
    if table.rows.is_empty() {
        console.say("no tokens");
    }
    console.table(&table)?;
    Ok(Exit::Ok)
}
