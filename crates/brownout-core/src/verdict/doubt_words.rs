//! Plain sentences for what is doubted.

use super::phrases::{counted, reports};
use super::words::{Names, place_name, with_article};
use crate::incident::{Cause, Doubt};
use crate::model::{ChannelId, Facet};

/// A doubt with its figures, without "held at possible" and without a full stop: "480 of 500 sources ..."
pub fn doubt_words(doubt: &Doubt, names: Names<'_>) -> String {
    let Doubt { cause, doubtful, sources } = doubt;
    let some = format!("{} of {}", super::grouped(*doubtful), counted(*sources, "source", "sources"));
    match cause {
        Cause::FewSubnets { subnets, refused } => {
            let beyond = match refused {
                0 => String::new(),
                _ => format!(
                    "; {} more, beyond what one subnet may contribute, are not counted",
                    reports(*refused)
                ),
            };
            let subnets = counted(*subnets, "subnet", "subnets");
            format!("{some} come from subnets that had sent several already ({subnets} in all{beyond})")
        }
        Cause::StrangeNetworks { networks: 1, most: Some(one) } => {
            format!(
                "{some} come from {}, a network that hardly ever reported it before",
                place_name(*one, names)
            )
        }
        Cause::StrangeCountries { countries: 1, most: Some(one) } => {
            format!("{some} come from {}, where hardly anybody ever reported it", with_article(*one, names))
        }
        Cause::StrangeNetworks { networks, most } => {
            let networks = counted(*networks, "network", "networks");
            let named =
                most.map_or_else(String::new, |most| format!(", above all {}", place_name(most, names)));
            format!("{some} come from {networks} that hardly ever reported it before{named}")
        }
        Cause::StrangeCountries { countries, most } => {
            let countries = counted(*countries, "country", "countries");
            let named =
                most.map_or_else(String::new, |most| format!(", above all {}", with_article(most, names)));
            format!("{some} come from {countries} where hardly anybody ever reported it{named}")
        }
        Cause::OneKind { kind } => format!(
            "{some} name one kind of problem, “{}”, and next to nobody any other",
            place_name(Facet::Kind(*kind), names)
        ),
        Cause::FrozenKinds { varies_percent } => format!(
            "the mix of problems hardly changes from minute to minute: it varies by {varies_percent} % of \
             what chance does with people"
        ),
        Cause::OneChannel { channel } => {
            format!("{some} come by one partner, {}, while the others see nothing", channel_words(*channel))
        }
        Cause::NoPageViews { views } => format!(
            "the page of the service was opened {} in 15 minutes, while {} came by its form",
            match views {
                0 => "not once".to_owned(),
                _ => counted(*views, "time", "times"),
            },
            reports(*sources)
        ),
        Cause::Replayed { at } => format!(
            "the reports follow those of an earlier rise, which began at {}, minute for minute",
            at.start()
        ),
    }
}

/// What the doubt is called in interfaces.
pub fn doubt_name(cause: &Cause) -> &'static str {
    match cause {
        Cause::FewSubnets { .. } => "few_subnets",
        Cause::StrangeNetworks { .. } => "strange_networks",
        Cause::StrangeCountries { .. } => "strange_countries",
        Cause::OneKind { .. } => "one_kind",
        Cause::FrozenKinds { .. } => "frozen_kinds",
        Cause::OneChannel { .. } => "one_channel",
        Cause::NoPageViews { .. } => "no_page_views",
        Cause::Replayed { .. } => "replayed",
    }
}

fn channel_words(channel: ChannelId) -> String {
    format!("channel {}", channel.0)
}
