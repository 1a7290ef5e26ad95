//! `brownout comment`.

use brownout_core::model::Seq;
use brownout_store::embedded::{self as store, Admin, CommentState};
use brownout_store::port::StoreError;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Console, Exit, Failure, Settings, Table};
use crate::config::Config;
use crate::host::{catalogue_of, wall_clock};

/// Comments, which are kept apart from the evidence for the operator's eyes; they are on no page.
#[derive(Args, Debug)]
pub struct Comment {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with comments.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List comments, the latest first
    #[command(after_help = "Example:\n  brownout comment ls --service x --output json")]
    Ls(List),
    /// Remove a comment for good
    #[command(after_help = "Example:\n  brownout comment remove 41\n\n\
        Its text is deleted from the disk: at once where no server runs, else by the server.")]
    Remove(One),
}

/// Which comments.
#[derive(Args, Debug)]
pub struct List {
    /// Only on this service, by slug
    #[arg(long)]
    pub service: Option<String>,
    /// At most this many, 1 to 10000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// One comment.
#[derive(Args, Debug)]
pub struct One {
    /// Its number in `brownout comment ls`
    pub number: u64,
}

pub(super) fn run(args: &Comment, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, _) = settings.load(None)?;
    match &args.action {
        Action::Ls(list) => ls(list, &config, console),
        Action::Remove(one) => remove(one, &config, console),
    }
}

fn failed(error: StoreError) -> Failure {
    Failure::new(error.to_string())
}

fn ls(list: &List, config: &Config, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let folder = &config.data.folder;
    let catalogue = catalogue_of(folder).map_err(failed)?;
    let wanted = match &list.service {
        None => None,
        Some(slug) => match catalogue.find(slug) {
            Some(service) => Some(service.id),
            None => return Err(Failure::new(format!("the catalogue has no service {slug:?}"))),
        },
    };
    let admin = Admin::beside(folder).map_err(failed)?;
    let mut table = Table::new(&["number", "received_at", "service", "state", "text"]);
    let comments = store::comments(folder).map_err(failed)?;
    let chosen = comments.iter().rev().filter(|comment| wanted.is_none_or(|id| comment.service == id));
    for comment in chosen.take(list.limit as usize) {
        let service = catalogue.get(comment.service).map(|service| service.slug.as_str());
        let state = match admin.comment_state(comment.report).map_err(failed)? {
            CommentState::Kept => "kept",
            CommentState::Removed => "removed",
        };
        table.rows.push(vec![
            json!(comment.report.0),
            json!(comment.received_at.to_string()),
            json!(service),
            json!(state),
            json!(comment.text),
        ]);
    }
    if table.rows.is_empty() {
        console.say("no such comments");
    }
    console.table(&table)?;
    Ok(Exit::Ok)
}

fn remove(one: &One, config: &Config, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let folder = &config.data.folder;
    let seq = Seq(one.number);
    if !store::comments(folder).map_err(failed)?.iter().any(|comment| comment.report == seq) {
        return Err(Failure::new(format!("there is no comment {}", one.number)));
    }
    let admin = Admin::beside(folder).map_err(failed)?;
    admin.set_comment_state(seq, CommentState::Removed, wall_clock()).map_err(failed)?;
    match store::delete_removed_comments(folder, &admin) {
        Ok(_) => console.say(&format!("comment {} is deleted", one.number)),
        Err(StoreError::Locked(_)) => {
            console.say(&format!(
                "comment {} is removed; the running server deletes its text shortly",
                one.number
            ));
        }
        Err(error) => return Err(failed(error)),
    }
    Ok(Exit::Ok)
}
