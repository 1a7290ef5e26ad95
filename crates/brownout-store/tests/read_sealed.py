"""Reads sealed segments with DuckDB and pyarrow. Exits with 77 where neither is installed.

Called by the tests with the `log` folder of a data folder made for it.
"""

import glob
import sys

files = sorted(glob.glob(sys.argv[1] + "/*.parquet"))
assert files, "no sealed segments"
read_by = []

try:
    import duckdb

    rows, reports, slugs, first, last = duckdb.sql(
        f"""select count(*), count(*) filter (kind = 'report'), count(distinct service),
                   min(seq), max(seq) from read_parquet({files})"""
    ).fetchone()
    assert rows == last - first + 1, (rows, first, last)
    assert reports > rows // 2 and slugs == 3, (reports, slugs)
    kinds = duckdb.sql(f"select distinct kind from read_parquet({files}) order by 1").fetchall()
    assert [kind for (kind,) in kinds] == ["catalogue", "operator", "page_views", "report", "tick"], kinds
    (stamp,) = duckdb.sql(f"select typeof(received_at) from read_parquet({files}) limit 1").fetchone()
    assert stamp == "TIMESTAMP WITH TIME ZONE", stamp
    (wrong,) = duckdb.sql(
        f"""select count(*) from read_parquet({files})
            where (kind = 'report') <> (problem is not null) or (kind = 'page_views') <> (views is not null)
               or (region is not null and length(region) <> 6) or weight > 100"""
    ).fetchone()
    assert wrong == 0, wrong
    read_by.append("duckdb " + duckdb.__version__)
except ImportError:
    pass

try:
    import pyarrow
    import pyarrow.parquet

    for name in files:
        table = pyarrow.parquet.read_table(name)
        keys = list(
            zip(
                [value or "" for value in table["service"].to_pylist()],
                [value or "" for value in table["country"].to_pylist()],
                table["received_at"].to_pylist(),
                table["seq"].to_pylist(),
            )
        )
        assert keys == sorted(keys), f"{name} is not sorted by key"
        assert str(table.schema.field("seq").type) == "uint64", table.schema
        assert str(table.schema.field("received_at").type) == "timestamp[ms, tz=UTC]", table.schema
    read_by.append("pyarrow " + pyarrow.__version__)
except ImportError:
    pass

if not read_by:
    print("neither duckdb nor pyarrow is installed for this Python")
    sys.exit(77)
print("sealed segments read by", " and ".join(read_by))
