//! Between records and the rows of a sealed segment.

use brownout_core::model::{
    Asn, ChannelId, CityId, CountryCode, Evidence, PageViews, Place, PreviousKeys, ProblemKind, RegionCode,
    Report, Seq, ServiceId, SourceKeys, UtcTime, Weight,
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

/// The columns of one row group that a record is made from, read side by side from the first row to
/// the last. The slug is not among them, nor the kind: the number and what is there say the same.
pub(crate) struct Columns {
    rows: usize,
    seq: Column<i64>,
    received_at: Column<i64>,
    service_id: Column<i32>,
    problem: Column<ProblemKind>,
    channel: Column<i32>,
    occurred_at: Column<i64>,
    country: Column<CountryCode>,
    region: Column<RegionCode>,
    city: Column<i32>,
    asn: Column<i32>,
    source_generation: Column<i64>,
    source_key: Column<i64>,
    subnet_key: Column<i64>,
    previous_source_key: Column<i64>,
    previous_subnet_key: Column<i64>,
    weight: Column<i32>,
    views: Column<i64>,
    payload: Column<ByteArray>,
}

impl Columns {
    pub(crate) fn read(group: &dyn RowGroupReader) -> Result<Self, ParquetError> {
        let rows = usize::try_from(group.metadata().num_rows())
            .map_err(|_| ParquetError::General("a negative number of rows".to_owned()))?;
        let long = |name| Column::read::<Int64Type>(group, rows, name);
        let short = |name| Column::read::<Int32Type>(group, rows, name);
        let problem = |text: &str| ProblemKind::from_slug(text);
        let country = |text: &str| text.parse().ok();
        let region = |text: &str| text.parse().ok();
        Ok(Columns {
            rows,
            seq: long("seq")?,
            received_at: long("received_at")?,
            service_id: short("service_id")?,
            problem: Column::read_names(group, rows, "problem", problem)?,
            channel: short("channel")?,
            occurred_at: long("occurred_at")?,
            country: Column::read_names(group, rows, "country", country)?,
            region: Column::read_names(group, rows, "region", region)?,
            city: short("city")?,
            asn: short("asn")?,
            source_generation: long("source_generation")?,
            source_key: long("source_key")?,
            subnet_key: long("subnet_key")?,
            previous_source_key: long("previous_source_key")?,
            previous_subnet_key: long("previous_subnet_key")?,
            weight: short("weight")?,
            views: long("views")?,
            payload: Column::read::<ByteArrayType>(group, rows, "payload")?,
        })
    }

    /// Makes the records again and shows them to `see`, in the order of the file. The error says
    /// what a row lacks.
    pub(crate) fn rebuild(mut self, mut see: impl FnMut(Row)) -> Result<(), &'static str> {
        for row in 0..self.rows {
            let seq = self.seq.cell(row).ok_or("a record has no position")?;
            let received_at = self.received_at.cell(row).ok_or("a record has no time")?;
            let (seq, received_at) = (Seq(*seq as u64), UtcTime::from_millis(*received_at));
            see(Row { seq, received_at, evidence: self.evidence(row)? });
        }
        Ok(())
    }

    fn evidence(&mut self, row: usize) -> Result<Evidence, &'static str> {
        // Every column is asked at every row, so that all of them go on by one.
        let (problem, views) = (self.problem.cell(row), self.views.cell(row));
        let service = self.service_id.cell(row).map(|id| ServiceId(*id as u32));
        let (country, region) = (self.country.cell(row).copied(), self.region.cell(row).copied());
        let city = self.city.cell(row).and_then(|id| CityId::new(*id as u32));
        let network = self.asn.cell(row).and_then(|number| Asn::new(*number as u32));
        let (channel, occurred_at) = (self.channel.cell(row), self.occurred_at.cell(row));
        let (generation, source) = (self.source_generation.cell(row), self.source_key.cell(row));
        let subnet = self.subnet_key.cell(row);
        let previous = (self.previous_source_key.cell(row), self.previous_subnet_key.cell(row));
        let (weight, payload) = (self.weight.cell(row), self.payload.cell(row));
        if let Some(&kind) = problem {
            let report = || {
                Some(Report {
                    service: service?,
                    kind,
                    channel: ChannelId(u16::try_from(*channel?).ok()?),
                    occurred_at: UtcTime::from_millis(*occurred_at?),
                    place: Place { country, region, city },
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
            return report().map(Evidence::Report).ok_or("a report lacks a part");
        }
        if let Some(views) = views {
            let count = u32::try_from(*views).map_err(|_| "page views without a number")?;
            let service = service.ok_or("page views without a service")?;
            return Ok(Evidence::PageViews(PageViews { service, country, count }));
        }
        match payload {
            Some(json) => serde_json::from_slice(json.data()).map_err(|_| "a payload is of no known kind"),
            None => Ok(Evidence::Tick),
        }
    }
}

/// The cells of one column, read from the first row to the last.
struct Column<V> {
    /// Those that are there.
    values: Vec<V>,
    /// Per row, whether there is one; empty where none may lack.
    levels: Vec<i16>,
    next: usize,
}

impl<V> Column<V> {
    fn read<T: DataType<T = V>>(
        group: &dyn RowGroupReader,
        rows: usize,
        name: &str,
    ) -> Result<Self, ParquetError> {
        let metadata = group.metadata();
        let index = metadata
            .columns()
            .iter()
            .position(|column| column.column_path().string() == name)
            .ok_or_else(|| ParquetError::General(format!("no column {name}")))?;
        let may_lack = metadata.column(index).column_descr().max_def_level() > 0;
        let mut reader = get_typed_column_reader::<T>(group.get_column_reader(index)?);
        let mut values = Vec::with_capacity(rows);
        let mut levels = Vec::with_capacity(if may_lack { rows } else { 0 });
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
        if cells != rows {
            return Err(ParquetError::General(format!("column {name} has {cells} of {rows} rows")));
        }
        if values.len() == rows {
            levels = Vec::new();
        }
        Ok(Column { values, levels, next: 0 })
    }

    /// The cell of the next row, which is `row`.
    #[inline]
    fn cell(&mut self, row: usize) -> Option<&V> {
        if self.levels.is_empty() {
            return self.values.get(row);
        }
        if self.levels[row] == 0 {
            return None;
        }
        self.next += 1;
        self.values.get(self.next - 1)
    }
}

impl<V: Copy> Column<V> {
    /// Reads a column of names, of which there are few.
    fn read_names(
        group: &dyn RowGroupReader,
        rows: usize,
        name: &str,
        parse: impl Fn(&str) -> Option<V>,
    ) -> Result<Self, ParquetError> {
        let texts = Column::<ByteArray>::read::<ByteArrayType>(group, rows, name)?;
        let mut known = Known::new();
        let value = |text: &ByteArray| known.value(text.data(), &parse);
        let values: Option<Vec<V>> = texts.values.iter().map(value).collect();
        let values = values.ok_or_else(|| ParquetError::General(format!("column {name}: no such name")))?;
        Ok(Column { values, levels: texts.levels, next: 0 })
    }
}

/// What names mean that were met lately, by where they lie: those of a dictionary lie in one place
/// each, so most need not even be compared.
struct Known<V>(Vec<Option<(*const [u8], V)>>);

impl<V: Copy> Known<V> {
    const PLACES: usize = 256;

    fn new() -> Self {
        Known(vec![None; Self::PLACES])
    }

    fn value(&mut self, name: &[u8], parse: impl Fn(&str) -> Option<V>) -> Option<V> {
        let place = &mut self.0[name.as_ptr().addr() / 2 % Self::PLACES];
        if let Some((there, value)) = place
            && std::ptr::eq(*there, name)
        {
            return Some(*value);
        }
        let value = parse(std::str::from_utf8(name).ok()?)?;
        *place = Some((std::ptr::from_ref(name), value));
        Some(value)
    }
}
