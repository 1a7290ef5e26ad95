//! Between records and the rows of a sealed segment.

use brownout_core::model::{
    Asn, ChannelId, CityId, CountryCode, Evidence, PageViews, Place, PreviousKeys, ProblemKind, Report, Seq,
    ServiceId, SourceKeys, UtcTime, Weight,
};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArrayType, DataType, Int32Type, Int64Type};
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
    seq: Column<Int64Type>,
    received_at: Column<Int64Type>,
    service_id: Column<Int32Type>,
    problem: Column<ByteArrayType>,
    channel: Column<Int32Type>,
    occurred_at: Column<Int64Type>,
    country: Column<ByteArrayType>,
    region: Column<ByteArrayType>,
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
    pub(crate) fn read(group: &dyn RowGroupReader) -> Result<Self, ParquetError> {
        let rows = usize::try_from(group.metadata().num_rows())
            .map_err(|_| ParquetError::General("a negative number of rows".to_owned()))?;
        Ok(Columns {
            rows,
            seq: Column::read(group, rows, "seq")?,
            received_at: Column::read(group, rows, "received_at")?,
            service_id: Column::read(group, rows, "service_id")?,
            problem: Column::read(group, rows, "problem")?,
            channel: Column::read(group, rows, "channel")?,
            occurred_at: Column::read(group, rows, "occurred_at")?,
            country: Column::read(group, rows, "country")?,
            region: Column::read(group, rows, "region")?,
            city: Column::read(group, rows, "city")?,
            asn: Column::read(group, rows, "asn")?,
            source_generation: Column::read(group, rows, "source_generation")?,
            source_key: Column::read(group, rows, "source_key")?,
            subnet_key: Column::read(group, rows, "subnet_key")?,
            previous_source_key: Column::read(group, rows, "previous_source_key")?,
            previous_subnet_key: Column::read(group, rows, "previous_subnet_key")?,
            weight: Column::read(group, rows, "weight")?,
            views: Column::read(group, rows, "views")?,
            payload: Column::read(group, rows, "payload")?,
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
        let country = match self.country.cell(row).map(|letters| <[u8; 2]>::try_from(letters.data())) {
            None => None,
            Some(letters) => Some(letters.ok().and_then(CountryCode::new).ok_or("a country is not one")?),
        };
        let region = match self.region.cell(row) {
            None => None,
            Some(text) => {
                Some(text.as_utf8().ok().and_then(|text| text.parse().ok()).ok_or("a region is not one")?)
            }
        };
        let city = self.city.cell(row).and_then(|id| CityId::new(*id as u32));
        let network = self.asn.cell(row).and_then(|number| Asn::new(*number as u32));
        let (channel, occurred_at) = (self.channel.cell(row), self.occurred_at.cell(row));
        let (generation, source) = (self.source_generation.cell(row), self.source_key.cell(row));
        let subnet = self.subnet_key.cell(row);
        let previous = (self.previous_source_key.cell(row), self.previous_subnet_key.cell(row));
        let (weight, payload) = (self.weight.cell(row), self.payload.cell(row));
        if let Some(problem) = problem {
            let report = || {
                Some(Report {
                    service: service?,
                    kind: ProblemKind::from_slug(problem.as_utf8().ok()?)?,
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
struct Column<T: DataType> {
    /// Those that are there.
    values: Vec<T::T>,
    /// Per row, whether there is one; empty where none may lack.
    levels: Vec<i16>,
    next: usize,
}

impl<T: DataType> Column<T> {
    fn read(group: &dyn RowGroupReader, rows: usize, name: &str) -> Result<Self, ParquetError> {
        let metadata = group.metadata();
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
    fn cell(&mut self, row: usize) -> Option<&T::T> {
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
