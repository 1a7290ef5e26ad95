//! Sealed segments: Parquet, sorted by key, that any analysis tool reads.
//!
//! The form loses nothing: every record can be made again from its row. A sum over all rows, which
//! does not depend on their order, stands in the file's metadata and is checked at every reading.
//! Texts that only analysis tools read are not read for it; a sum over the bytes of all columns,
//! which [`check`] looks at, covers them too.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use brownout_core::model::{Catalogue, Evidence, Seq, ServiceId, UtcTime};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use crate::port::StoreError;

use super::file::At;
use super::rows::{Codes, Columns, Row, kind_of};
use super::sealed_rows::SealedRows;
use super::wire;

/// Rows of one row group. Fixed, so that sealing and reading hold a bounded number of columns.
/// Small in tests, so that they meet files of several groups.
const GROUP_ROWS: usize = if cfg!(test) { 16 } else { 131_072 };

const SCHEMA: &str = "message brownout {
    required int64 seq (INTEGER(64,false));
    required int64 received_at (TIMESTAMP(MILLIS,true));
    required binary kind (STRING);
    optional binary service (STRING);
    optional int32 service_id (INTEGER(32,false));
    optional binary problem (STRING);
    optional int32 channel (INTEGER(32,false));
    optional int64 occurred_at (TIMESTAMP(MILLIS,true));
    optional binary country (STRING);
    optional binary region (STRING);
    optional int64 codes (INTEGER(64,false));
    optional int32 city (INTEGER(32,false));
    optional int32 asn (INTEGER(32,false));
    optional int64 source_generation (INTEGER(64,false));
    optional int64 source_key (INTEGER(64,false));
    optional int64 subnet_key (INTEGER(64,false));
    optional int64 previous_source_key (INTEGER(64,false));
    optional int64 previous_subnet_key (INTEGER(64,false));
    optional int32 weight (INTEGER(32,false));
    optional int64 views (INTEGER(64,false));
    optional binary payload (STRING);
}";

/// What a sealed file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) count: u64,
    pub(crate) last_received_at: UtcTime,
    /// Sum of a checksum of every row, whatever their order.
    pub(crate) sum: u64,
}

impl Summary {
    /// Of rows in any order. `None` when there are none.
    pub(crate) fn of(rows: &[Row]) -> Result<Option<Self>, StoreError> {
        let mut summary = None;
        let mut bytes = Vec::new();
        for row in rows {
            encode(row, None, &mut bytes)?;
            Summary::add(&mut summary, row, &bytes);
        }
        Ok(summary)
    }

    /// Takes in one more row, encoded in `bytes`.
    fn add(summary: &mut Option<Self>, row: &Row, bytes: &[u8]) {
        let so_far = summary.get_or_insert(Summary {
            first: row.seq,
            last: row.seq,
            count: 0,
            last_received_at: row.received_at,
            sum: 0,
        });
        so_far.first = so_far.first.min(row.seq);
        so_far.last = so_far.last.max(row.seq);
        so_far.count += 1;
        so_far.last_received_at = so_far.last_received_at.max(row.received_at);
        so_far.sum = so_far.sum.wrapping_add(u64::from(crc32c::crc32c(bytes)));
    }

    fn fields(&self) -> [(&'static str, i128); 5] {
        [
            ("brownout.first_seq", i128::from(self.first.0)),
            ("brownout.last_seq", i128::from(self.last.0)),
            ("brownout.count", i128::from(self.count)),
            ("brownout.last_received_at", i128::from(self.last_received_at.millis())),
            ("brownout.sum", i128::from(self.sum)),
        ]
    }

    fn read(reader: &SerializedFileReader<File>) -> Option<Self> {
        let pairs = reader.metadata().file_metadata().key_value_metadata()?;
        let value = |name: &str| pairs.iter().find(|pair| pair.key == name)?.value.as_ref();
        let number = |name: &str| value(name)?.parse::<u64>().ok();
        Some(Summary {
            first: Seq(number("brownout.first_seq")?),
            last: Seq(number("brownout.last_seq")?),
            count: number("brownout.count")?,
            last_received_at: UtcTime::from_millis(value("brownout.last_received_at")?.parse().ok()?),
            sum: number("brownout.sum")?,
        })
    }
}

/// Name of the sum over the bytes of all columns in the metadata.
const BODY: &str = "brownout.body";

/// The bytes of all columns: how many, and their CRC-32C.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Body {
    bytes: u64,
    sum: u32,
}

impl Body {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.sum = crc32c::crc32c_append(self.sum, bytes);
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:08x}", self.bytes, self.sum)
    }
}

impl FromStr for Body {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (bytes, sum) = text.split_once(' ').ok_or(())?;
        let sum = u32::from_str_radix(sum, 16).map_err(|_| ())?;
        Ok(Body { bytes: bytes.parse().map_err(|_| ())?, sum })
    }
}

/// A file that is summed while it is written.
struct Summed {
    inner: File,
    body: Body,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.body.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes rows to a new file and flushes it. They are sorted by service, country, time and `seq`;
/// `catalogue` is the one in force before the first row.
pub(crate) fn write(
    path: &Path,
    rows: &mut [Row],
    summary: &Summary,
    catalogue: &Catalogue,
) -> Result<(), StoreError> {
    let slugs = slugs_of(rows, catalogue);
    let slug = |row: &Row| row.service().and_then(|id| slugs.get(&id)).map(String::as_str);
    rows.sort_by(|a, b| {
        (slug(a), a.country(), a.received_at, a.seq).cmp(&(slug(b), b.country(), b.received_at, b.seq))
    });
    let file = File::create(path).at(path)?;
    let write = || -> Result<File, ParquetError> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let summed = Summed { inner: file, body: Body::default() };
        let mut writer = SerializedFileWriter::new(summed, schema, Arc::new(properties(summary)?))?;
        for rows in rows.chunks(GROUP_ROWS) {
            let mut group = writer.next_row_group()?;
            write_group(&mut group, rows, &slug)?;
            group.close()?;
        }
        writer.flush()?;
        let body = writer.inner().body;
        writer.append_key_value_metadata(KeyValue::new(BODY.to_owned(), body.to_string()));
        Ok(writer.into_inner()?.inner)
    };
    let file = write().map_err(|error| parquet_error(path, &error))?;
    file.sync_all().at(path)
}

fn properties(summary: &Summary) -> Result<WriterProperties, ParquetError> {
    let pairs = summary.fields().map(|(name, value)| KeyValue::new(name.to_owned(), value.to_string()));
    let mut properties = WriterProperties::builder()
        .set_created_by("brownout".to_owned())
        .set_key_value_metadata(Some(pairs.to_vec()))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?));
    for name in ["seq", "received_at", "occurred_at"] {
        let column = ColumnPath::from(name);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    // Keyed hashes hardly repeat: a dictionary of them is larger than they are.
    for name in ["source_key", "subnet_key", "previous_source_key", "previous_subnet_key"] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    Ok(properties.build())
}

/// The slug of every service that is named, from the last catalogue that has it.
fn slugs_of(rows: &[Row], catalogue: &Catalogue) -> BTreeMap<ServiceId, String> {
    let later = rows.iter().filter_map(|row| match &row.evidence {
        Evidence::Catalogue(catalogue) => Some(&**catalogue),
        _ => None,
    });
    let all = std::iter::once(catalogue).chain(later);
    all.flat_map(Catalogue::iter).map(|service| (service.id, service.slug.clone())).collect()
}

fn write_group<'a>(
    group: &mut SerializedRowGroupWriter<'_, Summed>,
    rows: &'a [Row],
    slug: &impl Fn(&'a Row) -> Option<&'a str>,
) -> Result<(), ParquetError> {
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    let mut payloads = Vec::with_capacity(rows.len());
    for row in rows {
        payloads.push(row.payload()?);
    }
    required::<Int64Type>(group, rows.iter().map(|row| row.seq.0 as i64).collect())?;
    required::<Int64Type>(group, rows.iter().map(|row| row.received_at.millis()).collect())?;
    required::<ByteArrayType>(group, rows.iter().map(|row| text(kind_of(&row.evidence))).collect())?;
    let each = rows.iter();
    optional::<ByteArrayType>(group, each.clone().map(|row| slug(row).map(text)))?;
    optional::<Int32Type>(group, each.clone().map(|row| row.service().map(|id| id.0 as i32)))?;
    optional::<ByteArrayType>(group, each.clone().map(|row| row.report().map(|it| text(it.kind.slug()))))?;
    optional::<Int32Type>(group, each.clone().map(|row| row.report().map(|it| i32::from(it.channel.0))))?;
    optional::<Int64Type>(group, each.clone().map(|row| row.report().map(|it| it.occurred_at.millis())))?;
    optional::<ByteArrayType>(group, each.clone().map(|row| row.country().map(|it| text(it.as_str()))))?;
    let region = |row: &Row| row.report()?.place.region.map(|it| text(&it.to_string()));
    optional::<ByteArrayType>(group, each.clone().map(region))?;
    optional::<Int64Type>(group, each.clone().map(|row| row.codes().map(Codes::packed)))?;
    let city = |row: &Row| row.report()?.place.city.map(|it| it.0.get() as i32);
    optional::<Int32Type>(group, each.clone().map(city))?;
    let network = |row: &Row| row.report()?.network.map(|it| it.0.get() as i32);
    optional::<Int32Type>(group, each.clone().map(network))?;
    optional::<Int64Type>(
        group,
        each.clone().map(|row| row.report().map(|it| i64::from(it.source.generation))),
    )?;
    optional::<Int64Type>(group, each.clone().map(|row| row.report().map(|it| it.source.source as i64)))?;
    optional::<Int64Type>(group, each.clone().map(|row| row.report().map(|it| it.source.subnet as i64)))?;
    let previous = |row: &Row| row.report()?.source.previous;
    optional::<Int64Type>(group, each.clone().map(|row| previous(row).map(|it| it.source as i64)))?;
    optional::<Int64Type>(group, each.clone().map(|row| previous(row).map(|it| it.subnet as i64)))?;
    optional::<Int32Type>(
        group,
        each.clone().map(|row| row.report().map(|it| i32::from(it.weight.percent()))),
    )?;
    optional::<Int64Type>(group, each.map(|row| row.views().map(i64::from)))?;
    optional::<ByteArrayType>(group, payloads.into_iter().map(|json| json.map(ByteArray::from)))
}

fn required<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Summed>,
    values: Vec<T::T>,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("no column".to_owned()))?;
    column.typed::<T>().write_batch(&values, None, None)?;
    column.close()
}

fn optional<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Summed>,
    cells: impl Iterator<Item = Option<T::T>>,
) -> Result<(), ParquetError> {
    let mut values = Vec::new();
    let mut levels = Vec::new();
    for cell in cells {
        levels.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("no column".to_owned()))?;
    column.typed::<T>().write_batch(&values, Some(&levels), None)?;
    column.close()
}

/// A row as it is summed: position, time, and the record as it lies in a frame. The JSON of a record
/// that was read stays as it was written, for a later version of the program may have more to say of
/// the same record.
fn encode(row: &Row, json: Option<&[u8]>, bytes: &mut Vec<u8>) -> Result<(), StoreError> {
    bytes.clear();
    bytes.extend_from_slice(&row.seq.0.to_le_bytes());
    bytes.extend_from_slice(&row.received_at.millis().to_le_bytes());
    match json {
        None => wire::encode(&row.evidence, bytes),
        Some(json) => wire::encode_json(json, bytes),
    }
    .map_err(|error| StoreError::Io(error.to_string()))
}

/// Reads a sealed file and checks it against what it says of itself.
pub(crate) fn read(path: &Path) -> Result<SealedRows, StoreError> {
    let stated = summary(path)?;
    let mut rows = SealedRows::with_room(&stated)
        .ok_or_else(|| StoreError::Corrupt(format!("{}: it states too many records", path.display())))?;
    let mut fits = Some(());
    walk(path, |row, bytes| fits = fits.and(rows.put(row, bytes)))?;
    rows.settle();
    fits.map(|()| rows).ok_or_else(|| StoreError::Corrupt(format!("{}: it is too long", path.display())))
}

/// Reads and checks all of a sealed file without holding more than a part of it.
pub(crate) fn check(path: &Path) -> Result<Summary, StoreError> {
    check_body(path)?;
    walk(path, |_, _| {})
}

/// Checks the bytes of all columns, also of those that reading has no need of; says how many they are.
pub(crate) fn check_body(path: &Path) -> Result<u64, StoreError> {
    let stated = guarded(path, || {
        let reader = open(path)?;
        let pairs = reader.metadata().file_metadata().key_value_metadata();
        let value = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == BODY)?.value.clone());
        value
            .and_then(|value| value.parse::<Body>().ok())
            .ok_or_else(|| StoreError::Corrupt(format!("{}: no sum of its bytes", path.display())))
    })?;
    let mut file = File::open(path).at(path)?.take(stated.bytes);
    let (mut found, mut part) = (Body::default(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut part) {
            Ok(0) => break,
            Ok(length) => found.add(&part[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(super::file::store_error(path, &error)),
        }
    }
    if found == stated {
        return Ok(stated.bytes);
    }
    Err(StoreError::Corrupt(format!("{}: its bytes are not those that were sealed", path.display())))
}

/// Shows every row to `see`, with its bytes as [`encode`] makes them, in the order of the file; fails
/// when they are not those that were sealed.
fn walk(path: &Path, mut see: impl FnMut(&Row, &[u8])) -> Result<Summary, StoreError> {
    guarded(path, || {
        let reader = open(path)?;
        let corrupt = |what: &str| StoreError::Corrupt(format!("{}: {what}", path.display()));
        let summary = Summary::read(&reader).ok_or_else(|| corrupt("no summary in the metadata"))?;
        let (mut bytes, mut found, mut failed) = (Vec::new(), None, None);
        for index in 0..reader.num_row_groups() {
            let group = reader.get_row_group(index).map_err(|error| parquet_error(path, &error))?;
            let columns = Columns::open(&*group).map_err(|error| parquet_error(path, &error))?;
            let each = |row: Row, json: Option<&[u8]>| match encode(&row, json, &mut bytes) {
                Ok(()) => {
                    Summary::add(&mut found, &row, &bytes);
                    see(&row, &bytes);
                }
                Err(error) => failed = Some(error),
            };
            columns.rebuild(each).map_err(|error| parquet_error(path, &error))?;
        }
        match (failed, found) {
            (Some(error), _) => Err(error),
            (None, Some(found)) if found == summary => Ok(summary),
            _ => Err(corrupt("the rows are not those that were sealed")),
        }
    })
}

/// What a sealed file says of itself, without reading its rows.
pub(crate) fn summary(path: &Path) -> Result<Summary, StoreError> {
    guarded(path, || {
        Summary::read(&open(path)?)
            .ok_or_else(|| StoreError::Corrupt(format!("{}: no summary", path.display())))
    })
}

/// The time of the last record, without reading the rows.
pub(crate) fn last_received_at(path: &Path) -> Result<UtcTime, StoreError> {
    summary(path).map(|summary| summary.last_received_at)
}

fn open(path: &Path) -> Result<SerializedFileReader<File>, StoreError> {
    let file = File::open(path).at(path)?;
    SerializedFileReader::new(file).map_err(|error| parquet_error(path, &error))
}

/// Damaged files must never end the program, whatever a decoder makes of them.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(StoreError::Corrupt(format!("{}: its bytes cannot be decoded", path.display())))
    })
}

fn parquet_error(path: &Path, error: &ParquetError) -> StoreError {
    if let ParquetError::External(inner) = error
        && let Some(io) = inner.downcast_ref::<std::io::Error>()
    {
        return super::file::store_error(path, io);
    }
    StoreError::Corrupt(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use brownout_core::model::Evidence;

    use super::*;

    #[test]
    fn what_was_written_in_another_shape_keeps_its_sum() {
        // As a version might have written it that puts fields elsewhere, or has fewer of them.
        let json = br#"{ "channel": { "name": "old", "id": 17 } }"#;
        let evidence: Evidence = serde_json::from_slice(json).expect("evidence");
        let row = Row { seq: Seq(1), received_at: UtcTime::default(), evidence };
        let (mut then, mut now) = (Vec::new(), Vec::new());
        encode(&row, Some(json), &mut then).expect("encodes");
        encode(&row, None, &mut now).expect("encodes");
        assert!(then.ends_with(json) && then != now);
        assert_eq!(wire::decode_first(&then[16..]).expect("decodes"), row.evidence);
    }
}
