//! The nouns of Brownout: time, places, services, reports, evidence.

mod calendar;
mod catalogue;
mod evidence;
mod geography;
mod ids;
mod place;
mod policy;
mod problem;
mod report;
mod scope;
mod time;

pub use calendar::{Holiday, HolidayError, is_holiday, minutes_ahead, week_ahead};
pub use catalogue::{Catalogue, CatalogueError, Category, Service, bare_host};
pub use evidence::{Evidence, OperatorAction, PageViews, Record};
pub use geography::{City, Country, Geography, GeographyError, Region};
pub use ids::{ChannelId, IncidentId, IncidentIdError, Seq, ServiceId};
pub use place::{Asn, CityId, CountryCode, Place, PlaceError, RegionCode};
pub use policy::{Policy, PolicyError};
pub use problem::ProblemKind;
pub use report::{PreviousKeys, Report, SourceKeys, Weight};
pub use scope::{Facet, Scope, SeriesKey};
pub use time::{Minute, TimeError, UtcTime};
