//! Any table with a header, by the names of its columns.

use std::io::Read;

use brownout_core::model::{CityId, CountryCode, ProblemKind, RegionCode, UtcTime};

use super::{CELL_BYTES_MAX, ImportError, Imported, Row, RowReject};

/// Which column holds what. Names are those of the header; a fixed value stands for all rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// RFC 3339, `2025-03-10 10:02:03` (taken as UTC), or seconds or milliseconds since 1970.
    pub time: String,
    /// Columns that together stand for the source; at least one.
    pub source: Vec<String>,
    /// What stands for the source's subnet; without it each source is its own.
    pub subnet: Option<String>,
    /// The service's slug.
    pub service: Option<String>,
    /// The kind of problem, by its slug; what is not one is `other`.
    pub kind: Option<String>,
    /// ISO 3166-1 code.
    pub country: Option<String>,
    /// ISO 3166-2 code, or its second half.
    pub region: Option<String>,
    /// A city's name, or its GeoNames number.
    pub city: Option<String>,
    /// The network's number, with or without `AS`.
    pub network: Option<String>,
    /// The service of all rows.
    pub fixed_service: Option<String>,
    /// The country of all rows.
    pub fixed_country: Option<String>,
}

/// Finds a city by country, region and name. An intake refuses a line with a city that it does not
/// know, and a report is worth keeping without one.
pub type Cities<'a> = &'a dyn Fn(CountryCode, Option<RegionCode>, &str) -> Option<CityId>;

/// The names of a table's columns.
pub fn header(reader: impl Read) -> Result<Vec<String>, ImportError> {
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    table.byte_headers().map(names).map_err(|error| ImportError(error.to_string()))
}

fn names(header: &csv::ByteRecord) -> Vec<String> {
    // A byte order mark may stand before the first name.
    let name = |bytes| String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').trim().to_owned();
    header.iter().map(name).collect()
}

/// Reads any table with a header.
pub fn table(reader: impl Read, columns: &Columns, cities: Cities<'_>) -> Result<Imported, ImportError> {
    read(reader, columns, cities, |slug| ProblemKind::from_slug(slug).unwrap_or(ProblemKind::Other))
}

/// Positions of the columns in the table.
struct Positions {
    time: usize,
    source: Vec<usize>,
    subnet: Option<usize>,
    service: Option<usize>,
    kind: Option<usize>,
    country: Option<usize>,
    region: Option<usize>,
    city: Option<usize>,
    network: Option<usize>,
}

impl Positions {
    fn find(header: &csv::ByteRecord, columns: &Columns) -> Result<Self, ImportError> {
        let names = names(header);
        let find = |wanted: &String| {
            let found = names.iter().position(|name| name == wanted);
            found.ok_or_else(|| {
                let scored = names.iter().map(|name| (strsim::jaro_winkler(name, wanted), name));
                let near = scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0));
                let hint = near.map(|(_, name)| format!("; did you mean `{name}`?")).unwrap_or_default();
                ImportError(format!("the table has no column `{wanted}`{hint}"))
            })
        };
        let maybe = |wanted: &Option<String>| wanted.as_ref().map(&find).transpose();
        if columns.source.is_empty() {
            return Err(ImportError("no column stands for the source".to_owned()));
        }
        if columns.service.is_none() && columns.fixed_service.is_none() {
            return Err(ImportError("neither a column nor a fixed value says which service".to_owned()));
        }
        Ok(Positions {
            time: find(&columns.time)?,
            source: columns.source.iter().map(&find).collect::<Result<_, _>>()?,
            subnet: maybe(&columns.subnet)?,
            service: maybe(&columns.service)?,
            kind: maybe(&columns.kind)?,
            country: maybe(&columns.country)?,
            region: maybe(&columns.region)?,
            city: maybe(&columns.city)?,
            network: maybe(&columns.network)?,
        })
    }
}

pub(super) fn read(
    reader: impl Read,
    columns: &Columns,
    cities: Cities<'_>,
    kind_of: impl Fn(&str) -> ProblemKind,
) -> Result<Imported, ImportError> {
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let header = table.byte_headers().map_err(|error| ImportError(error.to_string()))?.clone();
    let positions = Positions::find(&header, columns)?;
    let mut imported = Imported::default();
    let mut record = csv::ByteRecord::new();
    loop {
        match table.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) if record.len() != header.len() => imported.keep(Err(RowReject::Malformed)),
            Ok(true) => {
                let read = row(&record, &positions, columns, cities, &kind_of);
                imported.cities_unknown += u64::from(matches!(read, Ok((_, true))));
                imported.keep(read.map(|(row, _)| row));
            }
            Err(error) if error.is_io_error() => return Err(ImportError(error.to_string())),
            Err(_) => imported.keep(Err(RowReject::Malformed)),
        }
    }
    imported.rows.sort_by_key(|row| row.at);
    Ok(imported)
}

fn cell(record: &csv::ByteRecord, index: usize) -> Result<String, RowReject> {
    let bytes = record.get(index).ok_or(RowReject::Malformed)?;
    let text = std::str::from_utf8(bytes).map_err(|_| RowReject::Malformed)?.trim();
    if text.len() > CELL_BYTES_MAX {
        return Err(RowReject::Field);
    }
    Ok(text.to_owned())
}

/// A row, and whether its city is not known.
fn row(
    record: &csv::ByteRecord,
    positions: &Positions,
    columns: &Columns,
    cities: Cities<'_>,
    kind_of: &impl Fn(&str) -> ProblemKind,
) -> Result<(Row, bool), RowReject> {
    let at = time(&cell(record, positions.time)?).ok_or(RowReject::Time)?;
    let maybe = |index: Option<usize>| index.map(|index| cell(record, index)).transpose();
    let parts = positions.source.iter().map(|index| cell(record, *index)).collect::<Result<Vec<_>, _>>()?;
    if parts.iter().all(String::is_empty) {
        return Err(RowReject::Source);
    }
    let source = parts.join("|");
    let subnet =
        maybe(positions.subnet)?.filter(|subnet| !subnet.is_empty()).unwrap_or_else(|| source.clone());
    let service = maybe(positions.service)?.or_else(|| columns.fixed_service.clone()).unwrap_or_default();
    if service.is_empty() || source.len() > CELL_BYTES_MAX {
        return Err(RowReject::Field);
    }
    let kind = maybe(positions.kind)?.map_or(ProblemKind::Other, |kind| kind_of(&kind));
    let mut line = serde_json::Map::new();
    let mut put = |key: &str, value: serde_json::Value| drop(line.insert(key.to_owned(), value));
    put("service", service.into());
    put("kind", kind.slug().into());
    put("at", at.to_string().into());
    put("source", source.clone().into());
    put("subnet", subnet.into());
    let country = maybe(positions.country)?.or_else(|| columns.fixed_country.clone());
    let country: Option<CountryCode> = country.and_then(|code| code.parse().ok());
    let mut city_unknown = false;
    if let Some(country) = country {
        put("country", country.to_string().into());
        let region = maybe(positions.region)?.and_then(|text| region(country, &text));
        if let Some(region) = region {
            put("region", region.to_string().into());
        }
        if let Some(name) = maybe(positions.city)?.filter(|name| !name.is_empty()) {
            let number = name.parse::<u32>().ok().and_then(CityId::new);
            match number.or_else(|| cities(country, region, &name)) {
                Some(id) => put("city", id.0.get().into()),
                None => city_unknown = true,
            }
        }
    }
    let network = maybe(positions.network)?;
    let digits = network.as_deref().map(|text| text.trim_start_matches(['A', 'S', 'a', 's']));
    if let Some(asn) = digits.and_then(|digits| digits.parse::<u32>().ok()).filter(|asn| *asn != 0) {
        put("asn", asn.into());
    }
    Ok((Row { at, source, line: serde_json::Value::Object(line).to_string() }, city_unknown))
}

fn region(country: CountryCode, text: &str) -> Option<RegionCode> {
    text.parse()
        .ok()
        .filter(|region: &RegionCode| region.country() == country)
        .or_else(|| RegionCode::new(country, text))
}

/// The time of a row; before 1970 and after 9999 are no times of reports.
fn time(text: &str) -> Option<UtcTime> {
    let number = || {
        let value: i64 = text.parse().ok()?;
        // Seconds have ten digits from 2001 to 2286, milliseconds thirteen.
        Some(if value < 100_000_000_000 { UtcTime::from_seconds(value) } else { UtcTime::from_millis(value) })
    };
    let spaced = || format!("{}Z", text.replacen(' ', "T", 1)).parse::<UtcTime>().ok();
    let at = text.parse::<UtcTime>().ok().or_else(number).or_else(spaced)?;
    (at.millis() >= 0 && at < UtcTime::MAX).then_some(at)
}
