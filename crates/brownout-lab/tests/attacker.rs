//! What the attacker cannot do, and what people can.

use std::sync::OnceLock;

use brownout_core::model::Policy;
use brownout_lab::attacker::{Act, Honest, Outcome, Size, Stage, Strategy};

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| Stage::new(Size::Middle, 11, &Policy::default()))
}

fn attack(strategy: Strategy, sources: u32) -> Outcome {
    stage().play(Act::Attack(strategy), sources, 0)
}

#[test]
fn attacks_that_show_are_held_with_the_reason() {
    for (strategy, sources, reason) in [
        (Strategy::Hosting, 1000, "few_subnets"),
        (Strategy::Hosting, 1000, "strange_networks"),
        (Strategy::Paced, 1000, "strange_networks"),
        (Strategy::ManySites, 1000, "strange_networks"),
        (Strategy::BotnetWorld, 1000, "strange_countries"),
        (Strategy::BotnetElsewhere, 1000, "strange_countries"),
        (Strategy::OneKind, 3000, "one_kind"),
        (Strategy::FrozenMix, 1000, "frozen_kinds"),
        (Strategy::Replay, 400, "replayed"),
        (Strategy::Partner, 1000, "one_channel"),
        (Strategy::NoViews, 3000, "no_page_views"),
    ] {
        let outcome = attack(strategy, sources);
        assert!(outcome.possible && !outcome.detected, "{strategy:?}: {outcome:?}");
        assert!(outcome.held.contains(reason), "{strategy:?}: {outcome:?}");
    }
}

#[test]
fn one_place_alone_is_never_detected() {
    for strategy in [Strategy::OneHost, Strategy::OneSubnet, Strategy::OneSite] {
        for sources in [50, 500, 20_000] {
            let outcome = attack(strategy, sources);
            assert!(!outcome.detected, "{strategy:?} {sources}: {outcome:?}");
        }
    }
    // One address is one source, however often it reports.
    assert_eq!(attack(Strategy::OneHost, 20_000), Outcome::default());
}

#[test]
fn people_are_detected_and_never_held() {
    for honest in Honest::ALL {
        // 200 within four hours of a service of 10 an hour are called one time in three.
        for sources in [300, 2000] {
            let outcome = stage().play(Act::Honest(honest), sources, 3);
            assert!(outcome.detected && outcome.held.is_empty(), "{honest:?} {sources}: {outcome:?}");
        }
    }
}

#[test]
fn who_imitates_people_perfectly_is_a_crowd() {
    // The limit of what reports can tell: it is written down, and shall not be forgotten.
    assert!(attack(Strategy::Imitation, 1000).detected);
}

#[test]
fn a_policy_that_holds_nothing_detects_what_is_held() {
    let stage = Stage::new(Size::Middle, 11, &Policy { honest_held_one_in: 0, ..Policy::default() });
    let outcome = stage.play(Act::Attack(Strategy::Hosting), 1000, 0);
    assert!(outcome.detected && outcome.held.is_empty(), "{outcome:?}");
}

#[test]
fn the_same_seed_gives_the_same_outcome() {
    let act = Act::Attack(Strategy::Riding);
    assert_eq!(stage().play(act, 500, 2), stage().play(act, 500, 2));
}
