//! What a reader is told, and whether it is true.

use brownout_core::model::{City, CityId, Geography, Region};
use brownout_core::report::Counting;
use brownout_core::snapshot::{PlaceView, State};
use brownout_core::verdict::{Confidence, confidence_meaning, confidence_words};

use super::*;
use crate::{FormField, marks};

/// A site whose geography has a city and a region around it of one name, both with reports.
fn islamabad() -> WebState {
    let mut snapshot = snapshot();
    let (id, code) = (CityId::new(1_176_615).expect("a number"), "PK-IS".parse().expect("a region"));
    let place = |facet| PlaceView { facet, state: State::Calm, since: None, observed: 7, expected: 1.0 };
    let x = Arc::make_mut(&mut snapshot.services[0]);
    x.cities.push(place(Facet::City(id)));
    x.regions.push(place(Facet::Region(code)));
    let known = geography();
    let mut regions: Vec<Region> = known.regions().cloned().collect();
    regions.push(Region { code, name: "Islamabad".to_owned() });
    let mut cities: Vec<City> = known.cities().cloned().collect();
    cities.push(City { id, name: "Islamabad".to_owned(), ..cities[0].clone() });
    let geography = Geography::new(known.countries().cloned().collect(), regions, cities, String::new());
    let site = state(SiteOptions::default());
    WebState::new(SiteParts {
        snapshot: Arc::new(arc_swap::ArcSwap::from_pointee(snapshot)),
        geography: Arc::new(geography),
        history: None,
        options: SiteOptions::default(),
        hooks: Hooks::with_clock(now),
        updates: site.updates.clone(),
        more_api: None,
    })
}

#[tokio::test]
async fn a_city_and_the_region_of_its_name_can_be_told_apart() {
    let app = app(islamabad());
    let page = text(&app, "/c/PK").await;
    let part = |from: &str| page.split(from).nth(1).and_then(|rest| rest.split("</section>").next());
    let regions = part(r#"<h2 id="regions">Regions"#).expect("a table of regions");
    let cities = part(r#"<h2 id="cities">Cities"#).expect("a table of cities");
    assert!(regions.contains("Islamabad region, PK") && !regions.contains("Lahore"), "{regions}");
    assert!(cities.contains("Islamabad, PK") && cities.contains("Lahore"), "{cities}");
    assert!(!cities.contains("region"), "{cities}");
    assert_balanced(&page, "/c/PK");
}

#[tokio::test]
async fn every_confidence_that_pages_name_is_explained_as_it_is_given() {
    let about = text(&plain(), "/about").await;
    for one in [Confidence::Weak, Confidence::Moderate, Confidence::Strong] {
        let meaning = confidence_meaning(one);
        let word = marks::capital(confidence_words(one));
        assert!(about.contains(&format!("<b>{word}</b>: {meaning}")), "{word}");
    }
    assert!(!about.contains("several that agree"), "two kinds of evidence are not needed for moderate");
    // A page that names a confidence shows the way to what it means.
    for path in ["/s/x", "/i/x-2025-03-10-0947"] {
        assert!(text(&plain(), path).await.contains(r#"<a href="/about#confidence">"#), "{path}");
    }
}

#[tokio::test]
async fn how_often_a_source_counts_is_said_as_the_policy_has_it() {
    let known = state(SiteOptions::default());
    let mut hooks = Hooks::with_clock(now);
    hooks.counting = Arc::new(|| Counting { repeat_minutes: 90, subnet_sources_max: 7 });
    let site = WebState::new(SiteParts {
        snapshot: Arc::clone(&known.snapshot),
        geography: Arc::clone(&known.geography),
        history: None,
        options: SiteOptions::default(),
        hooks,
        updates: known.updates.clone(),
        more_api: None,
    });
    let app = app(site);
    for path in PAGES {
        let page = text(&app, path).await;
        assert!(page.contains("again only after 90 minutes without a report from it"), "{path}");
        for untrue in ["per hour", "source and hour", "within an hour", "only a few"] {
            assert!(!page.contains(untrue), "{path}: {untrue}");
        }
    }
    let about = text(&app, "/about").await;
    assert!(about.contains("At most 7 sources of one subnet"), "{about}");
}

#[tokio::test]
async fn a_service_is_found_by_what_people_call_it() {
    let app = plain();
    for query in ["twitter", "Twitter", "TWEETS", "twit"] {
        let page = text(&app, &format!("/?q={query}")).await;
        assert!(page.contains(r#"href="/s/x""#) && !page.contains("No service of the"), "{query}");
        assert!(!page.contains(r#"href="/s/netflix""#), "{query}");
        let page = text(&app, &format!("/report?q={query}")).await;
        assert!(page.contains(r#"href="/s/x/report""#) && !page.contains("No service of the"), "{query}");
    }
    // Netflix and Roblox have an x in their names; whoever writes x means X.
    let page = text(&app, "/report?q=x").await;
    let at = |slug: &str| page.find(&format!("/s/{slug}/report\"")).expect("a link");
    assert!(at("x") < at("netflix") && at("x") < at("roblox"));
}

#[test]
fn what_is_missing_in_the_form_is_said_beside_it_and_the_rest_is_kept() {
    let site = state(SiteOptions::default());
    let service = snapshot().catalogue.find("x").cloned().expect("a service");
    let again = |field| {
        let problem = FormProblem {
            message: "Please mend this.".to_owned(),
            field,
            kind: None,
            country: Some("PK".to_owned()),
            city: Some("Lahore".to_owned()),
            comment: Some("since noon".to_owned()),
        };
        let page = render_report_form(&site, &service, Some(&problem), None);
        assert_balanced(&page, "form");
        assert_eq!(page.matches("Please mend this.").count(), 1, "{field:?}");
        assert_eq!(page.matches(r#"id="problem""#).count(), 1, "{field:?}");
        for kept in [r#"value="PK" selected"#, r#"value="Lahore""#, ">since noon</textarea>"] {
            assert!(page.contains(kept), "{kept}");
        }
        page
    };
    let alert = r#"<p class="banner stale" role="alert" id="problem">Please mend this.</p>"#;
    for (field, before) in [
        (None, "</h1>\n"),
        (Some(FormField::Kind), r#"<fieldset aria-describedby="problem"><legend>The problem</legend>"#),
        (Some(FormField::Place), "which is not kept.</p>\n"),
    ] {
        assert!(again(field).contains(&format!("{before}{alert}")), "{field:?}");
    }
    assert!(again(Some(FormField::Comment)).contains(&format!(r#"{alert}<label for="comment">"#)));
}

#[tokio::test]
async fn silence_is_told_and_never_called_calm() {
    // The made-up world hears hardly anything from one country.
    let app = plain();
    let world = text(&app, "/").await;
    assert!(world.contains("Hardly any reports from"), "{world}");
    assert_balanced(&world, "/");
    let silent = snapshot().silences[0];
    let Facet::Country(country) = silent.facet else { panic!("{silent:?}") };
    let path = format!("/c/{country}");
    let page = text(&app, &path).await;
    assert!(page.contains("Not enough data on") && page.contains("people there may be cut off"), "{page}");
    assert!(!page.contains("No problems detected in"), "{page}");
    // Nothing comes in at all.
    let mut deaf = snapshot();
    deaf.incidents.retain(|incident| incident.state == State::Ended);
    deaf.silences = vec![brownout_core::snapshot::Silence { facet: Facet::All, ..silent }];
    let app = super::app(site(deaf, SiteOptions::default(), 0));
    let world = text(&app, "/").await;
    assert!(world.contains("<h1 class=\"lead\">Not enough data: no reports come in</h1>"), "{world}");
    assert!(text(&app, "/c/GB").await.contains("No reports of any service have come in"));
    let status: serde_json::Value = serde_json::from_str(&text(&app, "/api/v1/status").await).expect("JSON");
    assert_eq!(status["silences"][0]["scope"]["type"], "world");
}
