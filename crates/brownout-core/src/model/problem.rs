//! What is wrong, in the reporter's words: a closed list that every channel shares.

use serde::{Deserialize, Serialize};

macro_rules! problem_kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $slug:literal, $label:literal;)*) => {
        /// The kind of problem that a person reports.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum ProblemKind { $($(#[$doc])* $name = $number),* }

        impl ProblemKind {
            /// All kinds, in the order in which forms show them.
            pub const ALL: [ProblemKind; 11] = [$(ProblemKind::$name),*];

            /// The name used in interfaces and in the log.
            pub const fn slug(self) -> &'static str {
                match self { $(ProblemKind::$name => $slug),* }
            }

            /// The words shown to a person.
            pub const fn label(self) -> &'static str {
                match self { $(ProblemKind::$name => $label),* }
            }

            /// The kind with this slug.
            pub fn from_slug(slug: &str) -> Option<Self> {
                match slug { $($slug => Some(ProblemKind::$name),)* _ => None }
            }

            /// The kind with this number in the log.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(ProblemKind::$name),)* _ => None }
            }
        }
    };
}

problem_kinds! {
    /// The site or app does not open at all.
    Unreachable = 0, "unreachable", "Does not open";
    /// Signing in fails.
    Login = 1, "login", "Signing in";
    /// Pages or feeds load slowly or not fully.
    Slow = 2, "slow", "Slow or not loading";
    /// The app crashes or misbehaves.
    App = 3, "app", "App crashes";
    /// Posts or messages are not sent or received.
    Messages = 4, "messages", "Sending or receiving";
    /// Pictures, video, audio or streams fail.
    Media = 5, "media", "Video, audio or pictures";
    /// Paying, ordering or transferring money fails.
    Payments = 6, "payments", "Payments or orders";
    /// No internet connection (fixed line, Wi-Fi or mobile data).
    Connection = 7, "connection", "No internet connection";
    /// No mobile signal, or calls fail.
    Calls = 8, "calls", "No signal or calls fail";
    /// People or services on another network cannot be reached.
    OtherNetwork = 9, "other_network", "Cannot reach others";
    /// Anything else.
    Other = 10, "other", "Something else";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_slugs_are_one_to_one() {
        for (index, kind) in ProblemKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(ProblemKind::from_number(kind as u8), Some(kind));
            assert_eq!(ProblemKind::from_slug(kind.slug()), Some(kind));
        }
        assert_eq!(ProblemKind::from_number(11), None);
        assert_eq!(ProblemKind::from_slug("Login"), None);
    }
}
