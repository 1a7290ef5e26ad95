//! Between records and the rows of a sealed segment.

use brownout_core::model::{
    Asn, ChannelId, CityId, CountryCode, Evidence, PageViews, Place, PreviousKeys, ProblemKind, RegionCode,
    Report, Seq, ServiceId, SourceKeys, UtcTime, Weight,
};
use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::RowGroupReader;
use parquet::file::statistics::Statistics;

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

    /// What the texts of kind of problem, country and region say, for records with columns.
    pub(crate) fn codes(&self) -> Option<Codes> {
        let of_report = |report: &Report| Codes {
            kind: Some(report.kind),
            country: report.place.country,
            region: report.place.region,
        };
        match &self.evidence {
            Evidence::Report(report) => Some(of_report(report)),
            Evidence::PageViews(views) => Some(Codes { kind: None, country: views.country, region: None }),
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
        Evidence::Measurement(_) => "measurement",
        Evidence::Tick => "tick",
        Evidence::Catalogue(_) => "catalogue",
        Evidence::Policy(_) => "policy",
        Evidence::Geography { .. } => "geography",
        Evidence::Channel { .. } => "channel",
        Evidence::Engine { .. } => "engine",
        Evidence::Operator(_) => "operator",
    }
}

/// Kind of problem, country and region in one number. They stand as texts beside it, for people; to
/// read texts back would cost more than all the rest of a record.
///
/// From the lowest byte: the kind's number plus one; two letters of the country; two letters of the
/// region's country; the region's part, padded with zero bytes. Zero bytes stand for what is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Codes {
    /// `None` for page views.
    pub(crate) kind: Option<ProblemKind>,
    pub(crate) country: Option<CountryCode>,
    pub(crate) region: Option<RegionCode>,
}

impl Codes {
    pub(crate) fn packed(self) -> i64 {
        let [a, b] = self.country.map_or([0; 2], CountryCode::bytes);
        let [c, d] = self.region.map_or([0; 2], |region| region.country().bytes());
        let [e, f, g] = self.region.map_or([0; 3], RegionCode::part);
        i64::from_le_bytes([self.kind.map_or(0, |kind| kind as u8 + 1), a, b, c, d, e, f, g])
    }

    #[inline]
    fn unpacked(packed: i64) -> Option<Self> {
        let [kind, a, b, c, d, e, f, g] = packed.to_le_bytes();
        let country = |letters: [u8; 2]| match letters {
            [0, 0] => Some(None),
            _ => CountryCode::new(letters).map(Some),
        };
        let region = match country([c, d])? {
            Some(country) => Some(RegionCode::from_padded(country, [e, f, g])?),
            None => None,
        };
        let kind = match kind.checked_sub(1) {
            Some(number) => Some(ProblemKind::from_number(number)?),
            None => None,
        };
        Some(Codes { kind, country: country([a, b])?, region })
    }
}

/// Rows that are read together: few enough for their columns to stay in the processor's cache. Small
/// in tests, so that they meet groups of several slices.
const SLICE_ROWS: usize = if cfg!(test) { 5 } else { 4096 };

/// The columns of one row group that a record is made from, read side by side from the first row to
/// the last. The slug is not among them, nor the kind: the number and what is there say the same.
pub(crate) struct Columns {
    rows: usize,
    seq: Column<Int64Type>,
    received_at: Column<Int64Type>,
    service_id: Column<Int32Type>,
    codes: Column<Int64Type>,
    channel: Column<Int32Type>,
    occurred_at: Column<Int64Type>,
    city: Column<Int32Type>,
    asn: Column<Int32Type>,
    source_generation: Column<Int64Type>,
    source_key: Column<Int64Type>,
    subnet_key: Column<Int64Type>,
    previous_source_key: Column<Int64Type>,
    previous_subnet_key: Column<Int64Type>,
    weight: Column<Int32Type>,
    views: Column<Int64Type>,
    payload: Column<ByteArrayType>,
}

impl Columns {
    pub(crate) fn open(group: &dyn RowGroupReader) -> Result<Self, ParquetError> {
        let rows =
            usize::try_from(group.metadata().num_rows()).map_err(|_| broken("a negative number of rows"))?;
        let long = |name| Column::open(group, name);
        let short = |name| Column::open(group, name);
        Ok(Columns {
            rows,
            seq: long("seq")?,
            received_at: long("received_at")?,
            service_id: short("service_id")?,
            codes: long("codes")?,
            channel: short("channel")?,
            occurred_at: long("occurred_at")?,
            city: short("city")?,
            asn: short("asn")?,
            source_generation: long("source_generation")?,
            source_key: long("source_key")?,
            subnet_key: long("subnet_key")?,
            previous_source_key: long("previous_source_key")?,
            previous_subnet_key: long("previous_subnet_key")?,
            weight: short("weight")?,
            views: long("views")?,
            payload: Column::open(group, "payload")?,
        })
    }

    /// Makes the records again and shows them to `see`, in the order of the file, with the JSON of
    /// those that have one, as it was written.
    pub(crate) fn rebuild(mut self, mut see: impl FnMut(Row, Option<&[u8]>)) -> Result<(), ParquetError> {
        let mut left = self.rows;
        while left > 0 {
            let rows = left.min(SLICE_ROWS);
            self.fill(rows)?;
            for row in 0..rows {
                let seq = self.seq.cell(row).ok_or_else(|| broken("a record has no position"))?;
                let received_at = self.received_at.cell(row).ok_or_else(|| broken("a record has no time"))?;
                let (seq, received_at) = (Seq(*seq as u64), UtcTime::from_millis(*received_at));
                let evidence = self.evidence(row).map_err(broken)?;
                let payload = self.payload.cell(row).map(ByteArray::data);
                match (evidence, payload) {
                    (Some(evidence), _) => see(Row { seq, received_at, evidence }, None),
                    (None, None) => see(Row { seq, received_at, evidence: Evidence::Tick }, None),
                    (None, Some(json)) => {
                        let evidence = serde_json::from_slice(json)
                            .map_err(|_| broken("a payload is of no known kind"))?;
                        see(Row { seq, received_at, evidence }, Some(json));
                    }
                }
            }
            left -= rows;
        }
        Ok(())
    }

    fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        let long = [
            &mut self.seq,
            &mut self.received_at,
            &mut self.codes,
            &mut self.occurred_at,
            &mut self.source_generation,
            &mut self.source_key,
            &mut self.subnet_key,
            &mut self.previous_source_key,
            &mut self.previous_subnet_key,
            &mut self.views,
        ];
        let short =
            [&mut self.service_id, &mut self.channel, &mut self.city, &mut self.asn, &mut self.weight];
        long.into_iter().try_for_each(|column| column.fill(rows))?;
        short.into_iter().try_for_each(|column| column.fill(rows))?;
        self.payload.fill(rows)
    }

    /// The report or page views of the next row, if it is such. The error says what it lacks.
    fn evidence(&mut self, row: usize) -> Result<Option<Evidence>, &'static str> {
        // Every column is asked at every row, so that all of them go on by one.
        let (codes, views) = (self.codes.cell(row).copied(), self.views.cell(row).copied());
        let service = self.service_id.cell(row).map(|id| ServiceId(*id as u32));
        let city = self.city.cell(row).and_then(|id| CityId::new(*id as u32));
        let network = self.asn.cell(row).and_then(|number| Asn::new(*number as u32));
        let (channel, occurred_at) = (self.channel.cell(row), self.occurred_at.cell(row));
        let (generation, source) = (self.source_generation.cell(row), self.source_key.cell(row));
        let subnet = self.subnet_key.cell(row);
        let previous = (self.previous_source_key.cell(row), self.previous_subnet_key.cell(row));
        let weight = self.weight.cell(row);
        let Some(codes) = codes else { return Ok(None) };
        let codes = Codes::unpacked(codes).ok_or("codes of nothing known")?;
        if let Some(kind) = codes.kind {
            let report = || {
                Some(Report {
                    service: service?,
                    kind,
                    channel: ChannelId(u16::try_from(*channel?).ok()?),
                    occurred_at: UtcTime::from_millis(*occurred_at?),
                    place: Place { country: codes.country, region: codes.region, city },
                    network,
                    source: SourceKeys {
                        generation: u32::try_from(*generation?).ok()?,
                        source: *source? as u64,
                        subnet: *subnet? as u64,
                        previous: match previous {
                            (Some(source), Some(subnet)) => {
                                Some(PreviousKeys { source: *source as u64, subnet: *subnet as u64 })
                            }
                            _ => None,
                        },
                    },
                    weight: Weight::from_percent(u8::try_from(*weight?).ok()?),
                })
            };
            return report().map(|report| Some(Evidence::Report(report))).ok_or("a report lacks a part");
        }
        let count = views.and_then(|views| u32::try_from(views).ok()).ok_or("page views without a number")?;
        let service = service.ok_or("page views without a service")?;
        Ok(Some(Evidence::PageViews(PageViews { service, country: codes.country, count })))
    }
}

fn broken(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

/// The cells of one column, read slice by slice and each slice from its first row to its last.
struct Column<T: DataType> {
    name: &'static str,
    reader: ColumnReaderImpl<T>,
    may_lack: bool,
    /// Whether the file says that no row has a cell here. If that is not true, the sum over the rows
    /// will not be either.
    is_empty: bool,
    /// Those of the slice that are there.
    values: Vec<T::T>,
    /// Per row of the slice, whether there is one; empty where none lacks.
    levels: Vec<i16>,
    next: usize,
}

impl<T: DataType> Column<T> {
    fn open(group: &dyn RowGroupReader, name: &'static str) -> Result<Self, ParquetError> {
        let metadata = group.metadata();
        let index = metadata
            .columns()
            .iter()
            .position(|column| column.column_path().string() == name)
            .ok_or_else(|| broken(&format!("no column {name}")))?;
        let column = metadata.column(index);
        let may_lack = column.column_descr().max_def_level() > 0;
        let nulls = column.statistics().and_then(Statistics::null_count_opt);
        let is_empty = may_lack && nulls.is_some() && nulls == u64::try_from(metadata.num_rows()).ok();
        let reader = get_typed_column_reader::<T>(group.get_column_reader(index)?);
        Ok(Column { name, reader, may_lack, is_empty, values: Vec::new(), levels: Vec::new(), next: 0 })
    }

    /// Reads the next slice.
    fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.values.clear();
        self.next = 0;
        if self.is_empty {
            self.levels.resize(rows, 0);
            return Ok(());
        }
        self.levels.clear();
        let mut read = 0;
        while read < rows {
            let levels = self.may_lack.then_some(&mut self.levels);
            let (records, _, _) = self.reader.read_records(rows - read, levels, None, &mut self.values)?;
            if records == 0 {
                break;
            }
            read += records;
        }
        let cells = if self.may_lack { self.levels.len() } else { self.values.len() };
        if cells != rows {
            return Err(broken(&format!("column {} ends {} rows too soon", self.name, rows.abs_diff(cells))));
        }
        if self.values.len() == rows {
            self.levels.clear();
        }
        Ok(())
    }

    /// Where the value of the next row is, which is `row`.
    #[inline]
    fn place(&mut self, row: usize) -> Option<usize> {
        if self.levels.is_empty() {
            return Some(row);
        }
        if self.levels[row] == 0 {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// The cell of the next row, which is `row`.
    #[inline]
    fn cell(&mut self, row: usize) -> Option<&T::T> {
        self.place(row).and_then(|place| self.values.get(place))
    }
}
