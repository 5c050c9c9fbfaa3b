"""Reads a running Farthing through the Flight SQL drivers that people use: ADBC and pyarrow.

Takes from the environment FLIGHT_URI (grpc://127.0.0.1:32010, or grpc+tls://), FLIGHT_USER, FLIGHT_PASSWORD, and
FLIGHT_CALL, a CALL that changes nothing (dry_run => true). FLIGHT_CA is a PEM file, needed where the server's certificate is not of a public authority. Arguments name the
checks to run; all by default. Ends with status 1 if any check fails.
"""

import os
import sys
import threading
import time
import traceback
import warnings

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight

URI = os.environ["FLIGHT_URI"]
USER = os.environ["FLIGHT_USER"]
PASSWORD = os.environ["FLIGHT_PASSWORD"]
CA = os.environ.get("FLIGHT_CA")
CALL = os.environ["FLIGHT_CALL"]
MILLION = "SELECT value AS n, 'row ' || value AS t FROM generate_series(1, 1000000)"
ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 3"
ENDLESS_JOIN = "SELECT count(*) FROM generate_series(1, 1000000) a JOIN generate_series(1, 1000000) b ON a.value <> b.value"


def root_certificate():
    with open(CA, encoding="ascii") as file:
        return file.read()


def connect():
    options = {"username": USER, "password": PASSWORD}
    if CA:
        options[adbc_driver_flightsql.DatabaseOptions.TLS_ROOT_CERTS.value] = root_certificate()
    return dbapi.connect(URI, db_kwargs=options, autocommit=True)


def check_select():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == [(1,)]
        cursor.execute("SELECT 1 AS a WHERE false")
        table = cursor.fetch_arrow_table()
        assert table.num_rows == 0 and table.schema.names == ["a"], table.schema


def check_wrong_password():
    try:
        with dbapi.connect(URI, db_kwargs={"username": USER, "password": PASSWORD + "x"}, autocommit=True) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
    except adbc_driver_manager.Error as error:
        assert "UNAUTHENTICATED" in str(error), error
    else:
        raise AssertionError("a wrong password was let in")


def check_objects():
    with connect() as connection:
        catalogs = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        assert [catalog["catalog_name"] for catalog in catalogs] == ["farthing"], catalogs
        schemas = {schema["db_schema_name"]: schema for schema in catalogs[0]["catalog_db_schemas"]}
        assert "system" in schemas, sorted(schemas)
        tables = [table for table in schemas["system"]["db_schema_tables"]]
        assert tables and all(table["table_columns"] for table in tables), tables
        only = connection.adbc_get_objects(depth="tables", db_schema_filter="system").read_all().to_pylist()
        names = [schema["db_schema_name"] for schema in only[0]["catalog_db_schemas"]]
        assert names == ["system"], names
        assert "TABLE" in connection.adbc_get_table_types()
        assert connection.adbc_get_info()["vendor_name"] == "Farthing"
        assert connection.adbc_current_catalog == "farthing"
        assert connection.adbc_current_db_schema


def check_table_schema():
    with connect() as connection:
        catalogs = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
        checked = 0
        for schema in catalogs[0]["catalog_db_schemas"]:
            for table in schema["db_schema_tables"]:
                names = (schema["db_schema_name"], table["table_name"])
                described = connection.adbc_get_table_schema(names[1], db_schema_filter=names[0])
                with connection.cursor() as cursor:
                    selected = cursor.adbc_execute_schema('SELECT * FROM "%s"."%s"' % names)
                assert described.equals(selected), (names, described, selected)
                checked += 1
        assert checked > 0


def check_parameters():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT $1::bigint + 1 AS n, $2::text AS t", parameters=(41, "é"))
        assert cursor.fetchall() == [(42, "é")]
        cursor.execute("SELECT $1::bigint AS n", parameters=(None,))
        assert cursor.fetchall() == [(None,)]
        rows = pa.record_batch([pa.array([1, 2, 3])], names=["$1"])
        tenfold = "SELECT value * 10 AS n FROM generate_series(1, 5) WHERE value = $1"
        described = cursor.adbc_prepare(tenfold)
        assert described.types == [pa.int64()], described
        cursor.execute(tenfold, parameters=rows)
        assert cursor.fetchall() == [(10,), (20,), (30,)]


def check_statements_without_rows():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET TimeZone TO 'Europe/Berlin'")
        cursor.execute("SHOW TimeZone")
        rows = cursor.fetchall()
        assert rows == [("Europe/Berlin",)], rows


def check_executemany():
    with connect() as connection, connection.cursor() as cursor:
        cursor.executemany("SELECT $1::bigint", [(1,), (2,), (3,)])


def check_errors():
    with connect() as connection, connection.cursor() as cursor:
        for text, state in [("SELEC 1", "42601"), ("SELECT * FROM no_such_table", "42P01")]:
            try:
                cursor.execute(text)
            except adbc_driver_manager.Error as error:
                assert (b"x-farthing-sqlstate", state.encode()) in error.details, (text, error.details)
                for word in ("Err(", "DataFusionError", "Plan(", "panicked"):
                    assert word not in str(error), error
            else:
                raise AssertionError(f"{text} worked")


def check_call():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(CALL)
        table = cursor.fetch_arrow_table()
        assert {"step", "action", "status"} <= set(table.schema.names), table.schema
        assert set(table["status"].to_pylist()) <= {"planned", "ok", "warning"}, table


def cancel(statement):
    with connect() as connection, connection.cursor() as cursor:
        timer = threading.Timer(1.0, cursor.adbc_cancel)
        timer.start()
        begin = time.monotonic()
        try:
            cursor.execute(statement)
            cursor.fetchall()
        except (adbc_driver_manager.Error, OSError) as error:
            assert "ancel" in str(error), error
        else:
            raise AssertionError("the statement was not cancelled")
        took = time.monotonic() - begin
        assert took < 10, took
        begin = time.monotonic()
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == [(1,)]
        took = time.monotonic() - begin
        assert took < 10, f"the cancelled statement held the server up for {took:.1f} s"


def check_cancel():
    cancel(ENDLESS)


def check_cancel_join():
    cancel(ENDLESS_JOIN)


def check_million_rows():
    with connect() as connection, connection.cursor() as cursor:
        begin = time.monotonic()
        cursor.execute(MILLION)
        rows = total = largest = 0
        for batch in cursor.fetch_record_batch():
            rows += batch.num_rows
            largest = max(largest, batch.nbytes)
            total += pc.sum(batch.column(0)).as_py() or 0
        took = time.monotonic() - begin
        assert (rows, total) == (1_000_000, 500_000_500_000), (rows, total)
        assert largest <= 4 * 1024 * 1024, largest
        print(f"    {rows} rows in {took:.2f} s, largest batch {largest} bytes")


def check_early_close():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(MILLION)
        next(iter(cursor.fetch_record_batch()))
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 2")
        assert cursor.fetchall() == [(2,)]


def check_pyarrow():
    options = {"tls_root_certs": root_certificate()} if CA else {}
    client = flight.FlightClient(URI, **options)
    header = client.authenticate_basic_token(USER, PASSWORD)
    assert header[0] == b"authorization" and header[1].startswith(b"Bearer "), header
    call = flight.FlightCallOptions(headers=[header])
    # CommandStatementQuery in Any, by hand: a pyarrow user has no Flight SQL messages.
    url = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    query = b"SELECT 7 AS n"
    command = b"\x0a" + bytes([len(query)]) + query
    descriptor = flight.FlightDescriptor.for_command(
        b"\x0a" + bytes([len(url)]) + url + b"\x12" + bytes([len(command)]) + command
    )
    info = client.get_flight_info(descriptor, call)
    assert len(info.endpoints) == 1 and not info.endpoints[0].locations
    assert client.get_schema(descriptor, call).schema == info.schema
    ticket = info.endpoints[0].ticket
    assert query not in ticket.ticket
    for _ in range(2):
        table = client.do_get(ticket, call).read_all()
        assert table.schema == info.schema and table.to_pylist() == [{"n": 7}], table
    assert [action.type for action in client.list_actions(call)]
    try:
        client.get_flight_info(descriptor)
    except flight.FlightUnauthenticatedError:
        pass
    else:
        raise AssertionError("a call without a token was let in")


def main():
    warnings.simplefilter("error")
    checks = [value for name, value in sorted(globals().items()) if name.startswith("check_")]
    wanted = sys.argv[1:]
    failed = 0
    for check in checks:
        if wanted and check.__name__.removeprefix("check_") not in wanted:
            continue
        begin = time.monotonic()
        try:
            check()
            print(f"ok      {check.__name__} ({time.monotonic() - begin:.1f} s)")
        except Exception:  # every check reports, whatever it met
            failed += 1
            print(f"FAILED  {check.__name__}")
            traceback.print_exc(limit=-3)
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
