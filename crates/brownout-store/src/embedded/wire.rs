//! How records lie in a frame: fixed layouts for what is frequent, JSON for what is rare.
//!
//! This is a disk type, apart from the domain type on purpose: a change of the model must not
//! change what old logs mean. All numbers are little-endian. A record begins with its tag.
//!
//! | tag | record | bytes |
//! |---|---|---|
//! | 1 | report | 52 |
//! | 2 | tick | 1 |
//! | 3 | page views | 11 |
//! | 4 | anything else | 5 + JSON |
//! | 5 | report with the keys of the generation before | 68 |

use std::fmt;

use brownout_core::model::{
    Asn, ChannelId, CityId, CountryCode, Evidence, PageViews, Place, PreviousKeys, ProblemKind, RegionCode,
    Report, ServiceId, SourceKeys, UtcTime, Weight,
};

const TAG_REPORT: u8 = 1;
const TAG_TICK: u8 = 2;
const TAG_PAGE_VIEWS: u8 = 3;
const TAG_JSON: u8 = 4;
const TAG_REPORT_PREVIOUS: u8 = 5;

/// Bytes of one report, as nearly all are.
pub const REPORT_BYTES: usize = 52;
/// Bytes of the keys of the generation before.
const PREVIOUS_BYTES: usize = 16;
const PAGE_VIEWS_BYTES: usize = 11;

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError(pub(crate) &'static str);

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a record: {}", self.0)
    }
}

impl std::error::Error for WireError {}

/// Appends one record. Fails only for a rare kind that cannot be written as JSON.
pub fn encode(evidence: &Evidence, out: &mut Vec<u8>) -> Result<(), WireError> {
    match evidence {
        Evidence::Report(report) => encode_report(report, out),
        Evidence::Tick => out.push(TAG_TICK),
        Evidence::PageViews(views) => {
            let mut bytes = [0; PAGE_VIEWS_BYTES];
            bytes[0] = TAG_PAGE_VIEWS;
            bytes[1..5].copy_from_slice(&views.service.0.to_le_bytes());
            bytes[5..7].copy_from_slice(&views.country.map_or([0; 2], CountryCode::bytes));
            bytes[7..11].copy_from_slice(&views.count.to_le_bytes());
            out.extend_from_slice(&bytes);
        }
        rare => {
            let json = serde_json::to_vec(rare).map_err(|_| WireError("it has no JSON form"))?;
            encode_json(&json, out)?;
        }
    }
    Ok(())
}

/// Appends a record of a rare kind, whose JSON that is.
pub(super) fn encode_json(json: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let length = u32::try_from(json.len()).map_err(|_| WireError("it is longer than 4 GiB"))?;
    out.push(TAG_JSON);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(json);
    Ok(())
}

/// Appends one report.
pub fn encode_report(report: &Report, out: &mut Vec<u8>) {
    let mut bytes = [0; REPORT_BYTES];
    bytes[0] = if report.source.previous.is_some() { TAG_REPORT_PREVIOUS } else { TAG_REPORT };
    bytes[1] = report.kind as u8;
    bytes[2..4].copy_from_slice(&report.channel.0.to_le_bytes());
    bytes[4..8].copy_from_slice(&report.service.0.to_le_bytes());
    bytes[8..16].copy_from_slice(&report.occurred_at.millis().to_le_bytes());
    bytes[16..24].copy_from_slice(&report.source.source.to_le_bytes());
    bytes[24..32].copy_from_slice(&report.source.subnet.to_le_bytes());
    bytes[32..36].copy_from_slice(&report.source.generation.to_le_bytes());
    bytes[36..40].copy_from_slice(&report.place.city.map_or(0, |city| city.0.get()).to_le_bytes());
    bytes[40..44].copy_from_slice(&report.network.map_or(0, |asn| asn.0.get()).to_le_bytes());
    bytes[44..46].copy_from_slice(&report.place.country.map_or([0; 2], CountryCode::bytes));
    if let Some(region) = report.place.region {
        bytes[46..48].copy_from_slice(&region.country().bytes());
        bytes[48..51].copy_from_slice(&region.part());
    }
    bytes[51] = report.weight.percent();
    out.extend_from_slice(&bytes);
    if let Some(previous) = report.source.previous {
        out.extend_from_slice(&previous.source.to_le_bytes());
        out.extend_from_slice(&previous.subnet.to_le_bytes());
    }
}

/// Reads `count` records that fill `payload` exactly and appends them to `out`.
pub fn decode(payload: &[u8], count: u32, out: &mut Vec<Evidence>) -> Result<(), WireError> {
    // A record has at least one byte, so a count beyond that is a lie and reserves nothing.
    if count as usize > payload.len() {
        return Err(WireError("more records than bytes"));
    }
    out.reserve(count as usize);
    let mut rest = payload;
    for _ in 0..count {
        // Nearly all are reports.
        if let Some((report, after)) = rest.split_first_chunk::<REPORT_BYTES>()
            && report[0] == TAG_REPORT
        {
            out.push(Evidence::Report(decode_report(report)?));
            rest = after;
        } else {
            let (evidence, after) = decode_one(rest)?;
            out.push(evidence);
            rest = after;
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(WireError("bytes are left over")) }
}

/// The record that `bytes` begin with.
pub(super) fn decode_first(bytes: &[u8]) -> Result<Evidence, WireError> {
    decode_one(bytes).map(|(evidence, _)| evidence)
}

#[inline]
fn decode_one(bytes: &[u8]) -> Result<(Evidence, &[u8]), WireError> {
    const SHORT: WireError = WireError("cut short");
    match *bytes.first().ok_or(SHORT)? {
        TAG_REPORT => {
            let (report, rest) = bytes.split_first_chunk::<REPORT_BYTES>().ok_or(SHORT)?;
            Ok((Evidence::Report(decode_report(report)?), rest))
        }
        TAG_REPORT_PREVIOUS => {
            let (report, rest) = bytes.split_first_chunk::<REPORT_BYTES>().ok_or(SHORT)?;
            let (previous, rest) = rest.split_first_chunk::<PREVIOUS_BYTES>().ok_or(SHORT)?;
            let mut report = decode_report(report)?;
            report.source.previous =
                Some(PreviousKeys { source: u64_at(previous, 0), subnet: u64_at(previous, 8) });
            Ok((Evidence::Report(report), rest))
        }
        TAG_TICK => Ok((Evidence::Tick, &bytes[1..])),
        TAG_PAGE_VIEWS => {
            let (views, rest) = bytes.split_first_chunk::<PAGE_VIEWS_BYTES>().ok_or(SHORT)?;
            let views = PageViews {
                service: ServiceId(u32_at(views, 1)),
                country: country([views[5], views[6]])?,
                count: u32_at(views, 7),
            };
            Ok((Evidence::PageViews(views), rest))
        }
        TAG_JSON => {
            let (head, rest) = bytes.split_first_chunk::<5>().ok_or(SHORT)?;
            let (json, rest) = rest.split_at_checked(u32_at(head, 1) as usize).ok_or(SHORT)?;
            let evidence = serde_json::from_slice(json).map_err(|_| WireError("JSON of no known kind"))?;
            Ok((evidence, rest))
        }
        _ => Err(WireError("unknown tag")),
    }
}

#[inline]
fn decode_report(bytes: &[u8; REPORT_BYTES]) -> Result<Report, WireError> {
    let region = match country([bytes[46], bytes[47]])? {
        Some(country) => {
            let part = [bytes[48], bytes[49], bytes[50]];
            Some(RegionCode::from_padded(country, part).ok_or(WireError("not a region code"))?)
        }
        None => None,
    };
    Ok(Report {
        service: ServiceId(u32_at(bytes, 4)),
        kind: ProblemKind::from_number(bytes[1]).ok_or(WireError("unknown kind of problem"))?,
        channel: ChannelId(u16::from_le_bytes([bytes[2], bytes[3]])),
        occurred_at: UtcTime::from_millis(u64_at(bytes, 8) as i64),
        place: Place {
            country: country([bytes[44], bytes[45]])?,
            region,
            city: CityId::new(u32_at(bytes, 36)),
        },
        network: Asn::new(u32_at(bytes, 40)),
        source: SourceKeys {
            generation: u32_at(bytes, 32),
            source: u64_at(bytes, 16),
            subnet: u64_at(bytes, 24),
            previous: None,
        },
        weight: Weight::from_percent(bytes[51]),
    })
}

fn country(letters: [u8; 2]) -> Result<Option<CountryCode>, WireError> {
    match letters {
        [0, 0] => Ok(None),
        _ => CountryCode::new(letters).map(Some).ok_or(WireError("not a country code")),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}
