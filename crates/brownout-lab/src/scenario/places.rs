//! Countries, regions and cities of a scenario: only those that the geography knows, for reports from
//! anywhere else would be refused line by line.

use brownout_core::model::{CityId, CountryCode, Geography, RegionCode};

use super::text::{Cursor, ScenarioError};

/// Codes that people write and ISO 3166 does not have, with the one that is meant.
const ALIASES: [(&str, &str); 2] = [("UK", "GB"), ("EL", "GR")];
/// How much a word must resemble a country's name, by Jaro and Winkler, to be taken for it.
const RESEMBLES: f64 = 0.9;

pub(super) fn country(cursor: &mut Cursor<'_>) -> Result<CountryCode, ScenarioError> {
    let word = cursor.word("a country such as PK")?;
    let geography = Geography::embedded();
    if let Some(code) = word.parse().ok().filter(|code| geography.country(*code).is_some()) {
        return Ok(code);
    }
    let alias = || ALIASES.iter().find(|(alias, _)| *alias == word).map(|(_, meant)| (*meant).to_owned());
    let named = || {
        let name = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &word.to_lowercase());
        let scored = geography.countries().map(|country| (name(&country.name), country.code));
        let best = scored.max_by(|left, right| left.0.total_cmp(&right.0));
        best.filter(|(score, _)| *score >= RESEMBLES).map(|(_, code)| code.to_string())
    };
    let shown: String = word.chars().take(40).collect();
    let error = cursor.error_before(format!("`{shown}` is not the two-letter code of a country, such as PK"));
    Err(ScenarioError { did_you_mean: alias().or_else(named), ..error })
}

pub(super) fn region(cursor: &mut Cursor<'_>) -> Result<RegionCode, ScenarioError> {
    let word = cursor.word("a region such as PK-PB")?;
    let region = word.parse().ok().filter(|code| Geography::embedded().region(*code).is_some());
    region.ok_or_else(|| {
        let shown: String = word.chars().take(40).collect();
        cursor.error_before(format!("`{shown}` is not the code of a region, such as PK-PB"))
    })
}

/// A city by its GeoNames number; where that is of no city of the country, the name says which.
pub(super) fn city(
    cursor: &mut Cursor<'_>,
    country: CountryCode,
    name: &str,
) -> Result<CityId, ScenarioError> {
    let number = cursor.whole("the city's GeoNames number", (1, u64::from(u32::MAX)))? as u32;
    let geography = Geography::embedded();
    let id = CityId::new(number);
    let found = id.and_then(|id| geography.city(id)).filter(|city| city.country == country);
    found.map(|city| city.id).ok_or_else(|| {
        let meant = geography.find_city(country, None, name).map(|city| city.id.0.to_string());
        let error =
            cursor.error_before(format!("`{number}` is not the GeoNames number of a city of {country}"));
        ScenarioError { did_you_mean: meant, ..error }
    })
}
