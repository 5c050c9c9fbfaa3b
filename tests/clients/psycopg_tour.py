"""The README's tour with psycopg 3 against a running `farthing demo`.

Takes the variables of demo.env from the environment. Prints one line for each check and ends with status 1 if any fails.
"""

import datetime
import decimal
import json
import os
import sys
import threading
import time
import traceback

import psycopg

PAYER = os.environ["PAYER_ACCOUNT"]
UNCONNECTED = os.environ["UNCONNECTED_ACCOUNTS"].split()
TOTALS = os.environ.get("FARTHING_DEMO_TOTALS")
ENDLESS = "SELECT count(*) FROM costs a, costs b, costs c WHERE a.billed_cost + b.billed_cost > c.billed_cost + 1000000000"


def connect(**options):
    # Host, port, user, password and database come from the PG* variables, as libpq reads them.
    return psycopg.connect(autocommit=True, **options)


def keys_of(account):
    return os.environ[f"ACCOUNT_{account}_ACCESS_KEY_ID"], os.environ[f"ACCOUNT_{account}_SECRET_ACCESS_KEY"]


def one(connection, sql, params=None):
    rows = connection.execute(sql, params).fetchall()
    assert len(rows) == 1 and len(rows[0]) == 1, rows
    return rows[0][0]


def check_connect():
    with connect() as connection:
        assert one(connection, "SELECT 1") == 1
        assert connection.info.parameter_status("standard_conforming_strings") == "on"
        assert connection.info.server_version >= 160000


def check_query():
    with connect() as connection:
        rows = connection.execute(
            "SELECT service_name, sum(billed_cost) AS cost FROM costs GROUP BY service_name ORDER BY cost DESC LIMIT 5"
        ).fetchall()
        assert len(rows) == 5, rows
        assert all(isinstance(cost, decimal.Decimal) for _, cost in rows), rows
        assert [cost for _, cost in rows] == sorted((cost for _, cost in rows), reverse=True)


def check_every_digit():
    with connect() as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            value = cursor.execute("SELECT 12345678901234567890123456.000000000001::numeric(38, 12)").fetchone()[0]
            assert str(value) == "12345678901234567890123456.000000000001", value
            parts = cursor.execute("SELECT sum(billed_cost) FROM costs GROUP BY sub_account_id, x_billing_period").fetchall()
            whole = cursor.execute("SELECT sum(billed_cost) FROM costs").fetchone()[0]
            with decimal.localcontext(prec=60):
                assert sum(part for (part,) in parts) == whole
            assert whole.as_tuple().exponent == -12, whole


def check_totals_of_the_generator():
    with open(TOTALS, encoding="utf-8") as file:
        totals = json.load(file)
    connected = set(os.environ["CONNECTED_ACCOUNTS"].split()) | {PAYER}
    wanted = decimal.Decimal(0)
    rows = 0
    with decimal.localcontext(prec=60):
        for accounts in totals["periods"].values():
            for account, sums in accounts.items():
                if account in connected:
                    wanted += decimal.Decimal(sums["unblended"])
                    rows += sums["rows"]
    with connect() as connection:
        seen = connection.execute("SELECT count(*), sum(billed_cost) FROM costs").fetchone()
    assert seen == (rows, wanted), (seen, rows, wanted)


def check_parameters():
    with connect() as connection:
        account = one(connection, "SELECT min(account_id) FROM system.accounts WHERE kind = %s", ("linked",))
        since = datetime.datetime(2000, 1, 1)
        for prepare in (None, True):
            seen = connection.execute(
                "SELECT count(*), min(charge_period_start) FROM costs WHERE sub_account_id = %s AND charge_period_start >= %s",
                (account, since),
                prepare=prepare,
            ).fetchone()
            assert seen[0] > 0 and seen[1] > since, seen
        assert len(connection.execute("SELECT service_name FROM costs LIMIT %s", (3,)).fetchall()) == 3


def check_maps_are_json():
    with connect() as connection:
        tags = one(connection, "SELECT tags FROM costs WHERE tags IS NOT NULL LIMIT 1")
        assert isinstance(tags, dict), tags


def check_call_with_parameters():
    account = UNCONNECTED[0]
    key, secret = keys_of(account)
    with connect() as connection:
        notices = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        hidden = "SELECT count(*) FROM costs WHERE sub_account_id = %s"
        assert one(connection, hidden, (account,)) == 0
        cursor = connection.execute("CALL connect_aws_linked(access_key_id => %s, secret_access_key => %s)", (key, secret))
        names = [column.name for column in cursor.description]
        assert names == ["step", "action", "object", "status", "detail", "evidence", "next_sql", "run_id"], names
        statuses = {row[3] for row in cursor.fetchall()}
        assert statuses <= {"ok", "warning"}, statuses
        assert one(connection, hidden, (account,)) > 0
        connection.execute("CALL disconnect_aws_account(%s)", (account,))
        assert one(connection, hidden, (account,)) == 0


def check_dry_run():
    key, secret = keys_of(UNCONNECTED[0])
    with connect() as connection:
        rows = connection.execute(
            "CALL connect_aws_linked(access_key_id => %s, secret_access_key => %s, dry_run => true)", (key, secret)
        ).fetchall()
        assert "planned" in {row[3] for row in rows}, rows
        assert one(connection, "SELECT count(*) FROM system.accounts WHERE account_id = %s", (UNCONNECTED[0],)) == 0


def check_errors():
    cases = {
        "SELEC 1": "42601",
        "SELECT * FROM no_such_table": "42P01",
        "SELECT no_such_column FROM costs": "42703",
        "SELECT 1 / 0": "22012",
        "CREATE TABLE t (a int)": "0A000",
        "CALL no_such_procedure()": "42883",
        "CALL connect_aws_linked(access_key_id => 'AKIAFARTHINGEXAMPLEX', secret_access_key => 'not-a-real-secret')": "28P01",
    }
    with connect() as connection:
        for sql, state in cases.items():
            try:
                connection.execute(sql)
            except psycopg.Error as error:
                assert error.sqlstate == state, (sql, error.sqlstate, str(error))
                for word in ("Err(", "DataFusionError", "Plan(", "panicked"):
                    assert word not in str(error), error
            else:
                raise AssertionError(f"{sql} worked")
        assert one(connection, "SELECT 1") == 1


def check_wrong_password():
    try:
        connect(password="not-the-password")
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error), error
    else:
        raise AssertionError("a wrong password was let in")


def check_cancel():
    with connect() as connection:
        timer = threading.Timer(1.0, connection.cancel)
        timer.start()
        begin = time.monotonic()
        try:
            connection.execute(ENDLESS)
        except psycopg.errors.QueryCanceled as error:
            assert error.sqlstate == "57014"
        else:
            raise AssertionError("the statement was not cancelled")
        assert time.monotonic() - begin < 10
        assert one(connection, "SELECT 1") == 1


def check_statement_timeout():
    with connect(options="-c statement_timeout=500ms") as connection:
        begin = time.monotonic()
        try:
            connection.execute(ENDLESS)
        except psycopg.errors.QueryCanceled:
            pass
        else:
            raise AssertionError("the statement had no timeout")
        took = time.monotonic() - begin
        assert took < 10, f"the timeout took {took:.1f} s"


def check_transactions():
    with psycopg.connect() as connection:
        with connection.transaction():
            before = one(connection, "SELECT count(*) FROM costs")
            try:
                with connection.transaction():
                    connection.execute("SELECT 1 / 0")
            except psycopg.errors.DivisionByZero:
                pass
            assert one(connection, "SELECT count(*) FROM costs") == before


def check_stream():
    with connect() as connection, connection.cursor() as cursor:
        seen = 0
        for _ in cursor.stream("SELECT resource_id, billed_cost FROM costs LIMIT 50000"):
            seen += 1
        assert seen == 50_000, seen


def check_pipeline():
    with connect() as connection, connection.pipeline():
        cursors = [connection.execute("SELECT %s::int", (number,)) for number in range(20)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(20))


def main():
    wanted = sys.argv[1:]
    failed = 0
    for name, check in sorted(globals().items()):
        if not name.startswith("check_") or (wanted and name.removeprefix("check_") not in wanted):
            continue
        begin = time.monotonic()
        try:
            check()
            print(f"ok      {name} ({time.monotonic() - begin:.1f} s)")
        except Exception:  # every check reports, whatever it met
            failed += 1
            print(f"FAILED  {name}")
            traceback.print_exc(limit=-3)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
