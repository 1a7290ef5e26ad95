//! `brownout probe enrol` and `brownout probe rotate`.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

use brownout_core::model::UtcTime;
use brownout_probe::{Guard, Identity, Settings, parse_target};
use clap::Args;

use super::how::{authorities, prober, token_in};
use crate::cli::serve::runtime;
use crate::cli::{Console, Exit, Failure};
use crate::host::wall_clock;
use crate::vantage::{Client, Enrolment, State, Trouble};

/// What a volunteer agrees to. The guide for volunteers says more.
const CONSENT: &str = "\
What this machine will do as a vantage point, until you stop it or delete its folder:

  * Every few minutes it tries to reach the sites on the observatory's list as a browser would: it looks their
    names up, connects, and asks for their first page. Nobody can have it reach anything else, and never an
    address of a private network.
  * Whoever watches your line (your provider, your employer, a government) can see that you try these sites,
    among them sites that may be blocked where you are. In some places that is not safe. If you are not sure,
    do not go on.
  * It sends what it found to the observatory. The observatory sees your address while it takes it, keeps your
    country and your provider's network number, and no address. What it finds is published, added up by
    country and network.
  * It uses some megabytes a day.
";

/// Where a probe keeps itself.
#[derive(Args, Clone, Debug)]
pub struct Folder {
    /// Folder in which the probe keeps its key, its schedule and what waits to be sent
    #[arg(long, value_name = "DIR", env = "BROWNOUT_PROBE_STATE", default_value = "brownout-probe")]
    pub state: PathBuf,
    /// Authorities to trust beside the usual ones, as a PEM file
    #[arg(long, value_name = "FILE")]
    pub roots: Option<PathBuf>,
}

impl Folder {
    /// Opens the folder.
    pub(super) fn open(&self) -> Result<State, Failure> {
        State::open(&self.state).map_err(|error| Failure::new(format!("{}: {error}", self.state.display())))
    }

    /// Who the probe is.
    pub(super) fn enrolment(&self, state: &State) -> Result<Enrolment, Failure> {
        let found = state.enrolment().map_err(|error| Failure::new(error.to_string()))?;
        found.ok_or_else(|| {
            let folder = self.state.display();
            Failure::new(format!("{folder} holds no probe; brownout probe enrol makes it one"))
        })
    }

    /// Settings for talking to the observatory.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let roots = self.roots.as_deref().map_or(Ok(Vec::new()), authorities)?;
        Ok(Settings { roots, ..Settings::default() })
    }
}

/// A probe to enrol.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  brownout probe enrol https://observatory.example --token-file token\n  \
    brownout probe enrol https://observatory.example --token-file token --state /var/lib/brownout-probe --yes\n\n\
    Says what the machine will do and asks whether you agree; --yes agrees for scripts. Makes a key that\n\
    never leaves the folder. The token, from the observatory's operator, is good once."
)]
pub struct Enrol {
    /// The observatory's URL
    pub observatory: String,
    /// File with the token
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// Agree to what is said without being asked
    #[arg(long)]
    pub yes: bool,
    /// The folder.
    #[command(flatten)]
    pub folder: Folder,
}

/// A probe whose key is to be changed.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  brownout probe rotate --state /var/lib/brownout-probe\n\n\
    The new key is written before it is sent: whatever happens between, one of the two is in force and\n\
    the next run finds out which.")]
pub struct Rotate {
    /// The folder.
    #[command(flatten)]
    pub folder: Folder,
}

pub(super) fn enrol(args: &Enrol, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let observatory = args.observatory.trim_end_matches('/');
    let target = parse_target(observatory, Guard::Any)
        .map_err(|error| Failure::usage(format!("{observatory}: {error}")))?;
    if !target.is_tls && !target.address().is_some_and(|address| address.is_loopback()) {
        return Err(Failure::usage(
            "the token would go over the network in the clear; give an https: address",
        ));
    }
    let state = args.folder.open()?;
    let failed = |error: std::io::Error| Failure::new(error.to_string());
    if let Some(known) = state.enrolment().map_err(failed)? {
        let detail = format!("{} is a probe of {} already", args.folder.state.display(), known.observatory);
        return Err(Failure::new(detail));
    }
    let token = token_in(&args.token_file)?;
    console.say(CONSENT);
    if !args.yes && !agrees(console)? {
        return Err(Failure::new("nothing was done"));
    }
    let consented_at: UtcTime = wall_clock();
    // A key that was sent before, if its answer was lost, is sent again: the token knows it.
    let sent = state.coming().map_err(failed)?.filter(|coming| coming.observatory == observatory);
    let key = match sent {
        Some(coming) => coming.identity().map_err(failed)?,
        None => new_key()?,
    };
    // The key is on disk before the token is used up.
    let coming = Enrolment::new(observatory, String::new(), (0, String::new()), consented_at, &key);
    state.keep_coming(Some(&coming)).map_err(failed)?;
    let settings = args.folder.settings()?;
    let enrolled = runtime()?.block_on(async {
        let prober = prober(settings)?;
        Client::new(&prober, observatory).enrol(&token, &key).await.map_err(told)
    })?;
    let name = enrolled.name.clone();
    let who = Enrolment::new(
        observatory,
        enrolled.observatory_key,
        (enrolled.probe, enrolled.name),
        consented_at,
        &key,
    );
    state.keep_enrolment(&who).map_err(failed)?;
    state.keep_coming(None).map_err(failed)?;
    console.say(&format!("this is the probe {name} now; brownout probe run starts it"));
    Ok(Exit::Ok)
}

fn new_key() -> Result<Identity, Failure> {
    Identity::generate().map_err(|error| Failure::new(error.to_string()))
}

/// Finds out which key is in force where a new one was sent and its answer was lost.
///
/// # Errors
/// The observatory cannot be asked, or the folder cannot be written.
pub(super) async fn settle(state: &State, who: Enrolment, client: &Client<'_>) -> Result<Enrolment, Failure> {
    let failed = |error: std::io::Error| Failure::new(error.to_string());
    let coming = state.coming().map_err(failed)?.filter(|coming| coming.probe == who.probe);
    let Some(coming) = coming else { return Ok(who) };
    let key = coming.identity().map_err(failed)?;
    let who = match client.schedule(&coming, &key, wall_clock()).await {
        Ok(_) => {
            state.keep_enrolment(&coming).map_err(failed)?;
            coming
        }
        Err(Trouble::Refused(reason, _)) if reason == "bad_signature" => who,
        Err(trouble) => return Err(told(trouble)),
    };
    state.keep_coming(None).map_err(failed)?;
    Ok(who)
}

fn agrees(console: &mut Console<'_>) -> Result<bool, Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Failure::usage("nobody can be asked here; --yes agrees"));
    }
    console.say("Do you agree? Type yes:");
    let mut line = String::new();
    input.lock().read_line(&mut line)?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}

pub(super) fn rotate(args: &Rotate, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let state = args.folder.open()?;
    let who = args.folder.enrolment(&state)?;
    let failed = |error: std::io::Error| Failure::new(error.to_string());
    let settings = args.folder.settings()?;
    let who = runtime()?.block_on(async {
        let prober = prober(settings)?;
        let client = Client::new(&prober, &who.observatory);
        let who = settle(&state, who.clone(), &client).await?;
        let (old, new) = (who.identity().map_err(failed)?, new_key()?);
        let coming = who.with_key(&new);
        state.keep_coming(Some(&coming)).map_err(failed)?;
        client.rotate(&who, &old, &new).await.map_err(told)?;
        state.keep_enrolment(&coming).map_err(failed)?;
        Ok::<_, Failure>(coming)
    })?;
    state.keep_coming(None).map_err(failed)?;
    console.say(&format!("{} has a new key; the old one is no longer taken", who.name));
    Ok(Exit::Ok)
}

pub(super) fn told(trouble: Trouble) -> Failure {
    Failure::new(trouble.to_string())
}
