//! What pages have in common: the picture being shown, names, links and times.

use std::sync::Arc;

use brownout_core::model::{ChannelId, CountryCode, Facet, IncidentId, Service, UtcTime};
use brownout_core::report::Counting;
use brownout_core::snapshot::{IncidentView, PlaceView, ScopeView, Snapshot, State};
use brownout_core::verdict::{Names, place_name};

use crate::assets::ASSETS;
use crate::marks;
use crate::site::{Mode, WebState};
use crate::zone::{self, Zone, duration, expected_or_unknown, thousands, usual_words};

/// One reader's look at one snapshot.
pub(crate) struct View {
    pub(crate) site: WebState,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) zone: Zone,
}

impl View {
    pub(crate) fn names(&self) -> Names<'_> {
        Names { catalogue: &self.snapshot.catalogue, geography: &self.site.geography }
    }

    /// The name of a part of the world, for people.
    pub(crate) fn facet_name(&self, facet: Facet) -> String {
        let plain = marks::capital(&place_name(facet, self.names()));
        match facet {
            Facet::Network(asn) => match (self.site.hooks.network_name)(asn) {
                Some(name) => format!("{name} ({asn})"),
                None => asn.to_string(),
            },
            Facet::City(id) => match self.site.geography.city(id) {
                Some(city) => format!("{}, {}", city.name, city.country),
                None => plain,
            },
            Facet::Region(code) => format!("{plain}, {}", code.country()),
            Facet::Channel(ChannelId::WEB) => "This site".to_owned(),
            Facet::Channel(id) => {
                let known = self.snapshot.channels.iter().find(|(one, _)| *one == id);
                known.map_or(plain, |(_, name)| name.clone())
            }
            _ => plain,
        }
    }

    /// The address of a page, with the reader's zone.
    pub(crate) fn link(&self, path: &str) -> String {
        link(&self.site, path, &self.zone)
    }

    pub(crate) fn service_link(&self, service: &Service) -> String {
        self.link(&format!("/s/{}", service.slug))
    }

    /// A place's own page, where it has one.
    pub(crate) fn facet_link(&self, facet: Facet) -> Option<String> {
        match facet {
            Facet::Country(code) => Some(self.link(&format!("/c/{code}"))),
            _ => None,
        }
    }

    /// A `<time>` element.
    pub(crate) fn time(&self, at: UtcTime) -> String {
        self.zone.element(at, self.snapshot.at)
    }

    pub(crate) fn incident_name(&self, id: IncidentId) -> Option<String> {
        self.snapshot.catalogue.get(id.service).map(|service| id.name(&service.slug))
    }

    /// How long ago, seen from the snapshot.
    pub(crate) fn ago(&self, at: UtcTime) -> String {
        duration(self.snapshot.at.millis_since(at) / 1000)
    }

    /// A row of places; `is_guess` while what is usual of the service is still being learned.
    pub(crate) fn place_row(&self, place: &PlaceView, is_guess: bool) -> PlaceRow {
        PlaceRow {
            name: self.facet_name(place.facet),
            href: self.facet_link(place.facet),
            mark: marks::mark(place.state),
            observed: thousands(u64::from(place.observed)),
            expected: expected_or_unknown(place.expected, is_guess),
            since: place.since.map(|at| self.time(at)),
            rate: match place.facet {
                Facet::Country(code) => self.rate(code, place.observed).map(rate_words),
                _ => None,
            },
        }
    }

    /// Sources per million people who use the internet.
    pub(crate) fn rate(&self, country: CountryCode, observed: u32) -> Option<f64> {
        let country = self.site.geography.country(country)?;
        let users = country.internet_users.unwrap_or(country.population);
        (users > 0).then(|| f64::from(observed) / users as f64 * 1e6)
    }

    pub(crate) fn incident_row(&self, incident: &IncidentView) -> Option<IncidentRow> {
        let service = self.snapshot.catalogue.get(incident.id.service)?;
        let whole = incident.scopes.first();
        // While it goes on, where it is over already is not named.
        let is_named = |scope: &&ScopeView| {
            matches!(scope.facet, Facet::Country(_))
                && (incident.ended_at.is_some() || scope.ended_at.is_none())
        };
        let places: Vec<String> =
            incident.scopes.iter().filter(is_named).map(|scope| self.facet_name(scope.facet)).collect();
        let mut affected = places.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        match places.len().saturating_sub(3) {
            0 => {}
            1 => affected.push_str(" and 1 more country"),
            more => affected.push_str(&format!(" and {more} more countries")),
        }
        let end = incident.ended_at.unwrap_or(self.snapshot.at);
        Some(IncidentRow {
            href: self.link(&format!("/i/{}", incident.id.name(&service.slug))),
            service: service.name.clone(),
            state: incident.state,
            class: marks::class(incident.state),
            mark: marks::mark(incident.state),
            opened: self.time(incident.opened_at),
            lasted: duration(end.millis_since(incident.opened_at) / 1000),
            affected,
            observed: whole
                .map_or_else(String::new, |scope| thousands(self.observed_now(incident, scope).into())),
            usual: match whole {
                Some(_) if is_learning(incident) => "; what is usual is still being learned".to_owned(),
                Some(scope) => format!(", where {}", usual_words(scope.expected)),
                None => String::new(),
            },
            peak: whole.map_or_else(String::new, |scope| thousands(u64::from(scope.peak))),
            peak_at: whole.map_or_else(String::new, |scope| self.time(scope.peak_at.start())),
        })
    }

    /// Sources of an incident as a whole, by the same clock as the other figures of a page: an incident that
    /// goes on is told by the minute, its service with every snapshot.
    fn observed_now(&self, incident: &IncidentView, scope: &ScopeView) -> u32 {
        if incident.ended_at.is_some() || scope.facet != Facet::All {
            return scope.observed;
        }
        let live = self.site.status(&self.snapshot, incident.id.service);
        live.map_or(scope.observed, |service| service.observed)
    }

    pub(crate) fn scope_row(&self, scope: &ScopeView, is_guess: bool) -> ScopeRow {
        ScopeRow {
            name: self.facet_name(scope.facet),
            href: self.facet_link(scope.facet),
            mark: marks::mark(scope.state),
            since: self.time(scope.since),
            ended: scope.ended_at.map(|at| self.time(at)),
            observed: thousands(u64::from(scope.observed)),
            expected: expected_or_unknown(scope.expected, is_guess),
            peak: thousands(u64::from(scope.peak)),
            peak_at: self.time(scope.peak_at.start()),
        }
    }

    /// The address of a page of the report form. A replay takes no reports: its readers are sent to
    /// the live site beside it.
    pub(crate) fn report_link(&self, path: &str) -> String {
        match self.site.options.live_base() {
            Some(base) => format!("{base}{path}"),
            None => self.link(path),
        }
    }

    /// How often a source counts.
    pub(crate) fn counting(&self) -> Counting {
        (self.site.hooks.counting)()
    }

    /// What surrounds a page's own content. `subject` is the slug or name whose changes matter to it.
    pub(crate) fn shell(&self, title: &str, subject: &str) -> Shell {
        let options = &self.site.options;
        let replay = match &options.mode {
            Mode::Live | Mode::History => None,
            Mode::Scenario { title, speed, live_path, .. } => Some(Replay {
                title: title.clone(),
                speed: if speed.fract() == 0.0 { format!("{speed:.0}") } else { format!("{speed:.1}") },
                at: format!(
                    "{}, {} UTC",
                    Zone::utc().date(self.snapshot.at),
                    Zone::utc().clock(self.snapshot.at)
                ),
                live: live_path.clone(),
            }),
        };
        Shell {
            base: options.base_path.clone(),
            site: options.title.clone(),
            title: title.to_owned(),
            style: format!("{}/assets/{}", options.base_path, ASSETS.style.name),
            script: format!("{}/assets/{}", options.base_path, ASSETS.script.name),
            icon: format!("{}/assets/{}", options.base_path, ASSETS.icon.name),
            serial: self.snapshot.serial,
            subject: subject.to_owned(),
            home: self.link("/"),
            incidents: self.link("/incidents"),
            report: self.report_link("/report"),
            about: self.link("/about"),
            replay,
            notice: options.banner.clone(),
            stale: self.site.stale_seconds(&self.snapshot).map(duration),
            zone: self.zone.label().to_owned(),
            silence: self.counting().silence(),
            as_of: format!(
                "{}, {}",
                self.zone.date(self.snapshot.at),
                self.zone.element(self.snapshot.at, self.snapshot.at)
            ),
        }
    }
}

/// Whether what is usual of the incident's service was still a guess when it was judged last.
pub(crate) fn is_learning(incident: &IncidentView) -> bool {
    incident.verdicts.last().is_some_and(|verdict| verdict.is_learning())
}

/// The address of a page, with the reader's zone.
pub(crate) fn link(site: &WebState, path: &str, zone: &Zone) -> String {
    let query = zone.key().map_or(String::new(), |name| format!("?tz={name}"));
    format!("{}{path}{query}", site.options.base_path)
}

/// What surrounds every page.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) base: String,
    pub(crate) site: String,
    pub(crate) title: String,
    pub(crate) style: String,
    pub(crate) script: String,
    pub(crate) icon: String,
    /// Serial of the snapshot that the page was drawn from.
    pub(crate) serial: u64,
    pub(crate) subject: String,
    pub(crate) home: String,
    pub(crate) incidents: String,
    pub(crate) report: String,
    pub(crate) about: String,
    pub(crate) replay: Option<Replay>,
    pub(crate) notice: Option<String>,
    pub(crate) stale: Option<String>,
    pub(crate) zone: String,
    /// Time without a report after which a source counts again.
    pub(crate) silence: String,
    /// A `<time>` element.
    pub(crate) as_of: String,
}

/// What a replay's banner says.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) title: String,
    pub(crate) speed: String,
    pub(crate) at: String,
    pub(crate) live: Option<String>,
}

/// One place or network in a table. Marks and times are markup, names are text.
#[derive(Debug)]
pub(crate) struct PlaceRow {
    pub(crate) name: String,
    pub(crate) href: Option<String>,
    pub(crate) mark: String,
    pub(crate) observed: String,
    pub(crate) expected: String,
    pub(crate) since: Option<String>,
    pub(crate) rate: Option<String>,
}

/// Places or networks of one kind: the first are shown, the others folded away.
#[derive(Debug)]
pub(crate) struct PlaceTable {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// Rows are countries, whose people on the internet are known.
    pub(crate) rates: bool,
    pub(crate) rows: Vec<PlaceRow>,
    pub(crate) rest: Vec<PlaceRow>,
}

/// One incident in a list.
#[derive(Debug)]
pub(crate) struct IncidentRow {
    pub(crate) href: String,
    pub(crate) service: String,
    pub(crate) state: State,
    pub(crate) class: &'static str,
    pub(crate) mark: String,
    pub(crate) opened: String,
    pub(crate) lasted: String,
    pub(crate) affected: String,
    pub(crate) observed: String,
    /// What follows the count: `, where about 25 are usual`.
    pub(crate) usual: String,
    pub(crate) peak: String,
    pub(crate) peak_at: String,
}

/// Parts of an incident of one kind.
#[derive(Debug)]
pub(crate) struct ScopeTable {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<ScopeRow>,
}

/// One part of an incident in its table.
#[derive(Debug)]
pub(crate) struct ScopeRow {
    pub(crate) name: String,
    pub(crate) href: Option<String>,
    pub(crate) mark: String,
    pub(crate) since: String,
    pub(crate) ended: Option<String>,
    pub(crate) observed: String,
    pub(crate) expected: String,
    pub(crate) peak: String,
    pub(crate) peak_at: String,
}

/// A rate per million, in as many digits as mean something.
pub(crate) fn rate_words(rate: f64) -> String {
    if rate <= 0.0 {
        "0".to_owned()
    } else if rate < 0.01 {
        "< 0.01".to_owned()
    } else if rate < 10.0 {
        format!("{rate:.2}")
    } else {
        zone::thousands(rate.round() as u64)
    }
}
