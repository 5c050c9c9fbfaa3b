"""The peers of the benches that have a Python wheel: `peer.py duckdb|polars|chdb`, one JSON command on each line of standard
input, one JSON answer on each line of output.

{"open": {"threads": 2, "files": "<glob>", "accounts": ["..."]}}  opens it afresh with the rows of those accounts as `cur`;
                                                                  with all rows where accounts are null
{"sql": "..."}                                                    answers with {"rows": [[...]], "seconds": 0.1}
{"copy": "/path/file.parquet"}                                    DuckDB alone: writes `cur` to a file, answers in the same way

Queries come in DuckDB's SQL; `rows` changes what another dialect spells otherwise. Time is taken from handing in the text
to having all rows. Decimals leave as numbers, dates and instants as ISO 8601 text without a zone, an instant at midnight as
its date.
"""

import datetime
import decimal
import json
import os
import re
import sys
import time

INSTANT = re.compile(r"TIMESTAMPTZ ('[^']*')")


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def of_accounts(accounts):
    if accounts is None:
        return ""
    return f" WHERE line_item_usage_account_id IN ({', '.join(literal(account) for account in accounts)})"


def plain(value):
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat().removesuffix("T00:00:00")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


class DuckDb:
    def __init__(self):
        import duckdb

        self.module = duckdb
        self.version = duckdb.__version__
        self.connection = None

    def open(self, threads, files, accounts):
        if self.connection is not None:
            self.connection.close()
        self.connection = self.module.connect()
        self.connection.execute(f"SET threads = {int(threads)}")
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute("SET enable_progress_bar = false")
        # Off by default; footers are then read once for each query. Farthing keeps them too.
        self.connection.execute("SET parquet_metadata_cache = true")
        self.connection.execute(
            f"CREATE VIEW cur AS SELECT * FROM read_parquet({literal(files)}, hive_partitioning = true, "
            f"hive_types = {{'BILLING_PERIOD': VARCHAR}}){of_accounts(accounts)}"
        )

    def rows(self, sql):
        return self.connection.execute(sql).fetchall()

    def copy(self, path):
        self.connection.execute(f"COPY (SELECT * FROM cur) TO {literal(path)} (FORMAT parquet)")
        return []


class Polars:
    def __init__(self):
        # The size of its pool is read once, when it is loaded.
        os.environ["POLARS_MAX_THREADS"] = os.environ["PEER_THREADS"]
        import polars

        self.module = polars
        self.version = polars.__version__
        self.context = None

    def open(self, threads, files, accounts):
        polars = self.module
        if polars.thread_pool_size() != threads:
            raise ValueError(f"Polars has {polars.thread_pool_size()} threads, not {threads}")
        frame = polars.scan_parquet(files, hive_partitioning=True, hive_schema={"BILLING_PERIOD": polars.String})
        instants = [name for name, kind in frame.collect_schema().items() if isinstance(kind, polars.Datetime)]
        # Its SQL has no literals with a zone.
        frame = frame.with_columns(polars.col(name).dt.replace_time_zone(None) for name in instants)
        frame = frame.rename({"BILLING_PERIOD": "billing_period"})
        if accounts is not None:
            frame = frame.filter(polars.col("line_item_usage_account_id").is_in(accounts))
        self.context = polars.SQLContext(cur=frame)

    def rows(self, sql):
        sql = INSTANT.sub(r"CAST(\1 AS TIMESTAMP)", sql)
        return self.context.execute(sql, eager=True).rows()


class ChDb:
    def __init__(self):
        import chdb
        from chdb import session

        self.version = chdb.chdb_version if isinstance(chdb.chdb_version, str) else ".".join(chdb.chdb_version)
        self.sessions = session
        self.session = None

    def open(self, threads, files, accounts):
        if self.session is not None:
            self.session.close()
        self.session = self.sessions.Session()
        for setting in [
            f"max_threads = {int(threads)}",
            "session_timezone = 'UTC'",
            "use_hive_partitioning = 1",
            # As the SQL standard has it.
            "cast_keep_nullable = 1",
            "join_use_nulls = 1",
            "prefer_column_name_to_alias = 1",
            "group_by_use_nulls = 1",
        ]:
            self.session.query(f"SET {setting}")
        self.session.query("CREATE DATABASE IF NOT EXISTS bench")
        self.session.query("USE bench")
        self.session.query(
            "CREATE VIEW cur AS SELECT *, CAST(BILLING_PERIOD AS String) AS billing_period "
            f"FROM file({literal(files)}, Parquet){of_accounts(accounts)}"
        )

    def rows(self, sql):
        sql = INSTANT.sub(r"toDateTime(\1, 'UTC')", sql)
        answer = str(self.session.query(sql, "JSONCompactEachRow"))
        return [[self.value(value) for value in json.loads(line)] for line in answer.splitlines()]

    @staticmethod
    def value(value):
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.0+)?", value):
            return value.split(".")[0].replace(" ", "T").removesuffix("T00:00:00")
        return value


def timed(act):
    began = time.perf_counter()
    rows = act()
    seconds = time.perf_counter() - began
    return {"rows": [[plain(value) for value in row] for row in rows], "seconds": seconds}


def answer(command, peer):
    if "open" in command:
        peer.open(**command["open"])
        return {"version": peer.version}
    if "copy" in command:
        return timed(lambda: peer.copy(command["copy"]))
    return timed(lambda: peer.rows(command["sql"]))


def main():
    peer = {"duckdb": DuckDb, "polars": Polars, "chdb": ChDb}[sys.argv[1]]()
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line), peer)
        except Exception as error:  # whatever a peer raises goes to the one who asked
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
