//! Moves an engine along a virtual clock: ticks come exactly when the engine asks for them.

use brownout_core::engine::Engine;
use brownout_core::model::{Evidence, UtcTime};

/// Brings the engine to `at` and gives it `evidence` there. `each` sees every batch right after the
/// engine has taken it, in order, with its time; the evidence itself is `None`.
///
/// Whoever moves the clock to `at` says that everything up to then is in the evidence, so a tick
/// that is due at `at` comes after it.
pub fn advance(
    engine: &mut Engine,
    at: UtcTime,
    evidence: &[Evidence],
    mut each: impl FnMut(&mut Engine, UtcTime, Option<&'static [Evidence]>),
) {
    while let Some(due) = tick_before(engine, at) {
        each(engine, due, Some(TICK));
    }
    let is_due = arrive(engine, at, evidence);
    each(engine, at, None);
    if is_due {
        feed(engine, at, TICK);
        each(engine, at, Some(TICK));
    }
}

/// Gives an engine that has come to `at` the evidence there. Whether a tick is due after it.
pub fn arrive(engine: &mut Engine, at: UtcTime, evidence: &[Evidence]) -> bool {
    let is_due = engine.poll_timeout() == Some(at);
    feed(engine, at, evidence);
    is_due
}

/// Gives the engine the next tick that is due before `at`, and tells its time; `None` when there is
/// none left. For whoever must do something between two ticks of a long way.
pub fn tick_before(engine: &mut Engine, at: UtcTime) -> Option<UtcTime> {
    let due = engine.poll_timeout().filter(|due| *due < at)?;
    feed(engine, due, TICK);
    Some(due)
}

/// Gives the engine evidence at its next positions.
pub fn feed(engine: &mut Engine, at: UtcTime, evidence: &[Evidence]) {
    engine.handle_batch(engine.seq().next(), at, evidence);
}

/// What a tick is in the log.
pub const TICK: &[Evidence] = &[Evidence::Tick];
