//! Between records and the rows of a sealed segment.

use brownout_core::model::{
    Asn, ChannelId, CityId, CountryCode, Evidence, PageViews, Place, ProblemKind, Report, Seq, ServiceId,
    SourceKeys, UtcTime, Weight,
};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::RowGroupReader;

/// One record, on its way into a sealed segment or out of one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) seq: Seq,
    pub(crate) received_at: UtcTime,
    pub(crate) evidence: Evidence,
}

impl Row {
    pub(crate) fn report(&self) -> Option<&Report> {
        match &self.evidence {
            Evidence::Report(report) => Some(report),
            _ => None,
        }
    }

    pub(crate) fn service(&self) -> Option<ServiceId> {
        match &self.evidence {
            Evidence::Report(report) => Some(report.service),
            Evidence::PageViews(views) => Some(views.service),
            _ => None,
        }
    }

    pub(crate) fn country(&self) -> Option<CountryCode> {
        match &self.evidence {
            Evidence::Report(report) => report.place.country,
            Evidence::PageViews(views) => views.country,
            _ => None,
        }
    }

    pub(crate) fn views(&self) -> Option<u32> {
        match &self.evidence {
            Evidence::PageViews(views) => Some(views.count),
            _ => None,
        }
    }

    /// The whole record as JSON, for kinds without columns of their own.
    pub(crate) fn payload(&self) -> Result<Option<Vec<u8>>, ParquetError> {
        match &self.evidence {
            Evidence::Report(_) | Evidence::PageViews(_) | Evidence::Tick => Ok(None),
            rare => serde_json::to_vec(rare)
                .map(Some)
                .map_err(|error| ParquetError::General(format!("a record has no JSON form: {error}"))),
        }
    }
}

/// The name of a record's kind in the `kind` column.
pub(crate) fn kind_of(evidence: &Evidence) -> &'static str {
    match evidence {
        Evidence::Report(_) => "report",
        Evidence::PageViews(_) => "page_views",
        Evidence::Tick => "tick",
        Evidence::Catalogue(_) => "catalogue",
        Evidence::Policy(_) => "policy",
        Evidence::Geography { .. } => "geography",
        Evidence::Channel { .. } => "channel",
        Evidence::Engine { .. } => "engine",
        Evidence::Operator(_) => "operator",
    }
}

/// The columns of one row group that a record is made from. The slug is not among them: the number
/// says the same.
pub(crate) struct Columns {
    seq: Vec<i64>,
    received_at: Vec<i64>,
    kind: Vec<ByteArray>,
    service_id: Vec<Option<i32>>,
    problem: Vec<Option<ByteArray>>,
    channel: Vec<Option<i32>>,
    occurred_at: Vec<Option<i64>>,
    country: Vec<Option<ByteArray>>,
    region: Vec<Option<ByteArray>>,
    city: Vec<Option<i32>>,
    asn: Vec<Option<i32>>,
    source_generation: Vec<Option<i64>>,
    source_key: Vec<Option<i64>>,
    subnet_key: Vec<Option<i64>>,
    previous_source_key: Vec<Option<i64>>,
    weight: Vec<Option<i32>>,
    views: Vec<Option<i64>>,
    payload: Vec<Option<ByteArray>>,
}

impl Columns {
    pub(crate) fn read(group: &dyn RowGroupReader) -> Result<Self, ParquetError> {
        Ok(Columns {
            seq: required::<Int64Type>(group, "seq")?,
            received_at: required::<Int64Type>(group, "received_at")?,
            kind: required::<ByteArrayType>(group, "kind")?,
            service_id: optional::<Int32Type>(group, "service_id")?,
            problem: optional::<ByteArrayType>(group, "problem")?,
            channel: optional::<Int32Type>(group, "channel")?,
            occurred_at: optional::<Int64Type>(group, "occurred_at")?,
            country: optional::<ByteArrayType>(group, "country")?,
            region: optional::<ByteArrayType>(group, "region")?,
            city: optional::<Int32Type>(group, "city")?,
            asn: optional::<Int32Type>(group, "asn")?,
            source_generation: optional::<Int64Type>(group, "source_generation")?,
            source_key: optional::<Int64Type>(group, "source_key")?,
            subnet_key: optional::<Int64Type>(group, "subnet_key")?,
            previous_source_key: optional::<Int64Type>(group, "previous_source_key")?,
            weight: optional::<Int32Type>(group, "weight")?,
            views: optional::<Int64Type>(group, "views")?,
            payload: optional::<ByteArrayType>(group, "payload")?,
        })
    }

    fn report(&self, row: usize) -> Option<Report> {
        let text = |column: &[Option<ByteArray>]| -> Option<String> {
            column[row].as_ref().and_then(|bytes| bytes.as_utf8().ok()).map(str::to_owned)
        };
        let region = match text(&self.region) {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        Some(Report {
            service: ServiceId(self.service_id[row]? as u32),
            kind: ProblemKind::from_slug(self.problem[row].as_ref()?.as_utf8().ok()?)?,
            channel: ChannelId(u16::try_from(self.channel[row]?).ok()?),
            occurred_at: UtcTime::from_millis(self.occurred_at[row]?),
            place: Place {
                country: self.country(row)?,
                region,
                city: self.city[row].and_then(|id| CityId::new(id as u32)),
            },
            network: self.asn[row].and_then(|number| Asn::new(number as u32)),
            source: SourceKeys {
                generation: u32::try_from(self.source_generation[row]?).ok()?,
                source: self.source_key[row]? as u64,
                subnet: self.subnet_key[row]? as u64,
                previous_source: self.previous_source_key[row].map(|key| key as u64),
            },
            weight: Weight::from_percent(u8::try_from(self.weight[row]?).ok()?),
        })
    }

    fn page_views(&self, row: usize) -> Option<PageViews> {
        Some(PageViews {
            service: ServiceId(self.service_id[row]? as u32),
            country: self.country(row)?,
            count: u32::try_from(self.views[row]?).ok()?,
        })
    }

    /// Outer `None`: there is one, but it is no country.
    fn country(&self, row: usize) -> Option<Option<CountryCode>> {
        match &self.country[row] {
            None => Some(None),
            Some(letters) => Some(Some(CountryCode::new(<[u8; 2]>::try_from(letters.data()).ok()?)?)),
        }
    }
}

/// Makes the records again and adds them to `rows`.
pub(crate) fn rebuild(columns: Columns, rows: &mut Vec<Row>) -> Result<(), &'static str> {
    rows.reserve(columns.seq.len());
    for row in 0..columns.seq.len() {
        let evidence = match columns.kind[row].data() {
            b"report" => columns.report(row).map(Evidence::Report).ok_or("a report lacks a part")?,
            b"page_views" => {
                columns.page_views(row).map(Evidence::PageViews).ok_or("page views lack a part")?
            }
            b"tick" => Evidence::Tick,
            _ => {
                let json = columns.payload[row].as_ref().ok_or("a record has no payload")?;
                serde_json::from_slice(json.data()).map_err(|_| "a payload is of no known kind")?
            }
        };
        rows.push(Row {
            seq: Seq(columns.seq[row] as u64),
            received_at: UtcTime::from_millis(columns.received_at[row]),
            evidence,
        });
    }
    Ok(())
}

fn required<T: DataType>(group: &dyn RowGroupReader, name: &str) -> Result<Vec<T::T>, ParquetError> {
    Ok(column::<T>(group, name)?.0)
}

fn optional<T: DataType>(group: &dyn RowGroupReader, name: &str) -> Result<Vec<Option<T::T>>, ParquetError> {
    let (values, levels) = column::<T>(group, name)?;
    let mut values = values.into_iter();
    Ok(levels.into_iter().map(|level| if level > 0 { values.next() } else { None }).collect())
}

/// All cells of a column: values that are there, and a level per row where a cell may lack.
fn column<T: DataType>(
    group: &dyn RowGroupReader,
    name: &str,
) -> Result<(Vec<T::T>, Vec<i16>), ParquetError> {
    let metadata = group.metadata();
    let rows = usize::try_from(metadata.num_rows())
        .map_err(|_| ParquetError::General("a negative number of rows".to_owned()))?;
    let index = metadata
        .columns()
        .iter()
        .position(|column| column.column_path().string() == name)
        .ok_or_else(|| ParquetError::General(format!("no column {name}")))?;
    let may_lack = metadata.column(index).column_descr().max_def_level() > 0;
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(index)?);
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, _, _) =
            reader.read_records(rows - read, may_lack.then_some(&mut levels), None, &mut values)?;
        if records == 0 {
            break;
        }
        read += records;
    }
    let cells = if may_lack { levels.len() } else { values.len() };
    if cells == rows {
        Ok((values, levels))
    } else {
        Err(ParquetError::General(format!("column {name} has {cells} of {rows} rows")))
    }
}
