//! That a service departs from being reached, somewhere: one for a country, however many of its networks.

use serde::{Deserialize, Serialize};

use super::{Bracket, Mechanism, Reachability, Spot};
use crate::model::{Asn, Seq, UtcTime};

/// A departure of reachability, with its extent and its two ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Blocked, likely blocked, down or impaired.
    pub state: Reachability,
    /// How it fails, where most failures are alike.
    pub how: Option<Mechanism>,
    /// The world or a country; never a network, for those of a country are one signal.
    pub place: Spot,
    /// Whether that is or was so in the place as a whole, and not in some of its networks alone.
    pub is_whole: bool,
    /// The networks in which it is so by themselves, or in which it was; in order.
    pub networks: Vec<Asn>,
    /// Targets that fail, by their hosts.
    pub hosts: Vec<String>,
    /// When it began.
    pub began: Bracket,
    /// When that was told.
    pub told_at: UtcTime,
    /// When it ended, and when that was told; nothing while it goes on.
    pub ended: Option<(Bracket, UtcTime)>,
    /// Looks since it began, when it was told, ...
    pub looks: u32,
    /// ... those that failed, ...
    pub hits: u32,
    /// ... and vantage points that looked: networks for a country, countries for the world.
    pub vantages: u32,
    /// The measurement that told it.
    pub witness: Seq,
    /// A state of things rather than something that happened: nobody saw it begin, or it has lasted long.
    pub is_standing: bool,
}

/// What lasts longer than so many days is a state of things.
const STANDING_DAYS: i64 = 14;

impl Signal {
    /// Whether it goes on.
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether it is a state of things by a time, rather than something that happened.
    pub fn is_standing_at(&self, at: UtcTime) -> bool {
        let until = self.ended.map_or(at, |(bracket, _)| bracket.likeliest);
        self.is_standing || until.seconds() - self.began.likeliest.seconds() > STANDING_DAYS * 86_400
    }
}
