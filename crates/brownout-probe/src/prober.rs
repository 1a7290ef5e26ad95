//! What measures.

use std::fmt;
use std::time::SystemTime;

use brownout_core::model::UtcTime;
use brownout_core::reach::{Control, Measurement, Signs, Target, Vantage};
use hyper::header::{ACCEPT, ACCEPT_LANGUAGE, HeaderName, HeaderValue, USER_AGENT};
use tokio::sync::Semaphore;

use crate::pace::Pace;
use crate::tls::Trust;
use crate::{ControlPoint, Depth, Settings};

/// Measures targets, as many at once as it is let.
pub struct Prober {
    pub(crate) settings: Settings,
    pub(crate) trust: Trust,
    pub(crate) pace: Pace,
    pub(crate) runs: Semaphore,
    page_headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why there is no prober.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// An authority of the operator's own is none.
    Root(String),
    /// What should be said in `User-Agent` cannot be.
    UserAgent,
}

impl fmt::Display for SetupError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupError::Root(error) => write!(out, "an authority that is to be trusted cannot be: {error}"),
            SetupError::UserAgent => out.write_str("the user agent is no text of printable ASCII"),
        }
    }
}

impl std::error::Error for SetupError {}

impl Prober {
    /// Puts a prober together.
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        let agent = HeaderValue::from_str(&settings.user_agent).map_err(|_| SetupError::UserAgent)?;
        let page_headers = vec![
            (USER_AGENT, agent),
            (
                ACCEPT,
                HeaderValue::from_static("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ),
            (ACCEPT_LANGUAGE, HeaderValue::from_static("en-US,en;q=0.9")),
        ];
        Ok(Prober {
            trust: Trust::new(&settings.roots)?,
            pace: Pace::new(settings.connections_per_second_max),
            runs: Semaphore::new(settings.runs_open_max.max(1)),
            page_headers,
            settings,
        })
    }

    /// How it measures.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Measures a target from here, and has a control measure it at the same time. Beyond so many at once, it
    /// waits for its turn.
    pub async fn measure(
        &self,
        target: &Target,
        vantage: Vantage,
        control: Option<&ControlPoint>,
    ) -> Measurement {
        // The semaphore is never closed.
        let _turn = self.runs.acquire().await.ok();
        let started_at = now();
        let (run, found) = self.run(target, &[], control).await;
        let control = found.map_or(Control::Missing, |found| Control::Found(Box::new(found)));
        Measurement { target: target.clone(), started_at, vantage, run, control, signs: Signs::default() }
    }

    /// Whether only the plain way to a page is tried.
    pub(crate) fn is_plain(&self) -> bool {
        self.settings.depth != Depth::Full
    }

    /// The header fields with which pages are asked for.
    pub(crate) fn page_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.page_headers.clone()
    }
}

/// Now, by this machine's clock; to the second, as measurements are compared.
pub(crate) fn now() -> UtcTime {
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UtcTime::from_seconds(age.map_or(0, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX)))
}
