"""DuckDB as a peer of the benches: one JSON command on each line of standard input, one JSON answer on each line of output.

{"open": {"threads": 2, "files": "<glob>", "accounts": ["..."]}}  opens a fresh in-memory database with the view `cur`
{"sql": "..."}                                                    answers with {"rows": [[...]], "seconds": 0.1}

Time is taken from handing in the text to having all rows. Decimals leave as numbers, dates and instants as ISO 8601 text
without a zone, an instant at midnight as its date.
"""

import datetime
import decimal
import json
import sys
import time

import duckdb


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def open_database(threads, files, accounts):
    """The export's files under the name `cur`, with the rows of the connected accounts only."""
    connection = duckdb.connect()
    connection.execute(f"SET threads = {int(threads)}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    # Off by default; footers are then read once for each query. Farthing keeps them too.
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute(
        f"CREATE VIEW cur AS SELECT * FROM read_parquet({literal(files)}, hive_partitioning = true, "
        "hive_types = {'BILLING_PERIOD': VARCHAR}) "
        f"WHERE line_item_usage_account_id IN ({', '.join(literal(account) for account in accounts)})"
    )
    return connection


def plain(value):
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat().removesuffix("T00:00:00")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def answer(command, connection):
    if "open" in command:
        if connection is not None:
            connection.close()
        return {"version": duckdb.__version__}, open_database(**command["open"])
    began = time.perf_counter()
    rows = connection.execute(command["sql"]).fetchall()
    seconds = time.perf_counter() - began
    return {"rows": [[plain(value) for value in row] for row in rows], "seconds": seconds}, connection


def main():
    connection = None
    for line in sys.stdin:
        try:
            reply, connection = answer(json.loads(line), connection)
        except Exception as error:  # whatever DuckDB raises goes to the one who asked
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
