//! How often a source counts, in the two figures of the policy that decide it.

use crate::model::Policy;

/// How often one source and one subnet count for one service.
///
/// A source counts when it has not reported the service for [`Counting::repeat_minutes`]; each of
/// its reports begins that time anew, so that who keeps on reporting counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counting {
    /// Minutes without a report after which a source counts again.
    pub repeat_minutes: u32,
    /// Most sources of one subnet that count within these minutes.
    pub subnet_sources_max: u32,
}

impl From<&Policy> for Counting {
    fn from(policy: &Policy) -> Self {
        Counting { repeat_minutes: policy.repeat_minutes, subnet_sources_max: policy.subnet_sources_max }
    }
}

impl Default for Counting {
    fn default() -> Self {
        Counting::from(&Policy::default())
    }
}

impl Counting {
    /// The time without a report after which a source counts again, in words: `an hour`.
    pub fn silence(&self) -> String {
        match (self.repeat_minutes, self.repeat_minutes / 60, self.repeat_minutes % 60) {
            (1, ..) => "a minute".to_owned(),
            (_, 1, 0) => "an hour".to_owned(),
            (_, hours @ 2.., 0) => format!("{hours} hours"),
            (minutes, ..) => format!("{minutes} minutes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_said_in_words() {
        let said = |repeat_minutes| Counting { repeat_minutes, ..Counting::default() }.silence();
        assert_eq!(
            [1, 45, 60, 90, 120].map(said),
            ["a minute", "45 minutes", "an hour", "90 minutes", "2 hours"]
        );
        assert_eq!(Counting::default(), Counting { repeat_minutes: 60, subnet_sources_max: 16 });
    }
}
