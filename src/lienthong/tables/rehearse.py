"""What a waiting child does before it has a job: the steps that every job takes, on made-up rows.

The first time a forked child writes to memory that it shares with its parent, the kernel copies the page; a job would
wait for some thousand of those.  Nothing of a rehearsal is left behind: no table, no setting, no file.
"""

from __future__ import annotations

import io
import json

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv

_ROWS = b'1,"a",2020-01-31\n2,"b",\\N\n'
_TABLE = """
    CREATE TABLE lt_rehearsal AS
    SELECT CAST(n AS BIGINT) AS n, CAST(t AS VARCHAR) AS t, CAST(d AS DATE) AS d FROM lt_rows
"""
_QUERY = """
    SELECT r.t, count(*) AS c, sum(n) AS s, max(d) AS d
      FROM lt_rehearsal AS r WHERE n > 0 GROUP BY t HAVING count(*) > 0
     ORDER BY c DESC, r.t LIMIT 10
"""


def rehearse(connection: duckdb.DuckDBPyConnection) -> None:
    """Read, load, ask and write once; ``connection`` is as before when this returns."""
    read = pa_csv.ReadOptions(use_threads=False, column_names=["n", "t", "d"])
    convert = pa_csv.ConvertOptions(
        column_types=dict.fromkeys("ntd", pa.string()), null_values=["\\N"], strings_can_be_null=True
    )
    rows = pa_csv.read_csv(pa.py_buffer(_ROWS), read_options=read, convert_options=convert)
    connection.register("lt_rows", rows)
    connection.execute(_TABLE)
    connection.unregister("lt_rows")
    sink = io.BytesIO()
    connection.extract_statements(_QUERY)
    reader = connection.sql(_QUERY).to_arrow_reader(16_384)
    with pa.ipc.new_stream(sink, reader.schema) as stream:
        for batch in reader:
            stream.write_batch(batch)
    found = connection.execute(_QUERY).fetchall()
    json.loads(json.dumps({"rows": [[str(cell) for cell in row] for row in found]}))
    sink.seek(0)
    pa.ipc.open_stream(sink).read_all().validate(full=True)
    connection.execute("DROP TABLE lt_rehearsal")
