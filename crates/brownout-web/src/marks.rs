//! Marks of a state: glyph, word and colour together, so that none is needed alone.

use brownout_core::reach::Reachability;
use brownout_core::snapshot::State;
use brownout_core::verdict::{reach_state_words, state_words};

/// The class that carries a state's colour.
pub(crate) const fn class(state: State) -> &'static str {
    match state {
        State::Insufficient => "insufficient",
        State::Calm => "calm",
        State::Possible => "possible",
        State::Confirmed => "confirmed",
        State::Ended => "ended",
    }
}

/// The glyph alone: beside a word that says the same.
pub(crate) const fn glyph(state: State) -> &'static str {
    match state {
        State::Insufficient => {
            r#"<svg class="g" viewBox="0 0 16 16" aria-hidden="true"><path fill="url(#hatch-small)" stroke="currentColor" stroke-width="1.5" d="M8 1l7 7-7 7-7-7z"/></svg>"#
        }
        State::Calm => {
            r#"<svg class="g" viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6" fill="none" class="g-calm" stroke-width="2"/></svg>"#
        }
        State::Possible => {
            r#"<svg class="g" viewBox="0 0 16 16" aria-hidden="true"><path class="g-possible" d="M8 1.5a6.5 6.5 0 0 0 0 13z"/><circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>"#
        }
        State::Confirmed => {
            r#"<svg class="g" viewBox="0 0 16 16" aria-hidden="true"><rect class="g-confirmed" x="1.5" y="1.5" width="13" height="13" rx="1"/></svg>"#
        }
        State::Ended => {
            r#"<svg class="g" viewBox="0 0 16 16" aria-hidden="true"><path class="g-ended" fill="none" stroke-width="2.6" d="M2 8.5l4 4 8-9"/></svg>"#
        }
    }
}

/// Glyph and word.
pub(crate) fn mark(state: State) -> String {
    format!(r#"<span class="mark {}">{}{}</span>"#, class(state), glyph(state), capital(state_words(state)))
}

/// Glyph and word of a state of reachability.
pub(crate) fn reach_mark(state: Reachability) -> String {
    let like = match state {
        Reachability::Ok => State::Calm,
        Reachability::Impaired | Reachability::LikelyBlocked => State::Possible,
        Reachability::Blocked | Reachability::Down => State::Confirmed,
        Reachability::Insufficient => State::Insufficient,
    };
    format!(
        r#"<span class="mark {}">{}{}</span>"#,
        class(like),
        glyph(like),
        capital(reach_state_words(state))
    )
}

/// The text with its first letter large.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
