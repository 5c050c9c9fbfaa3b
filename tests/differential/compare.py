"""Asks Farthing and DuckDB for the same sums, and compares them digit by digit."""

import csv
import decimal
import io
import subprocess
import sys
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import duckdb

UNIT = Decimal("1e-12")

# What both group by: Farthing's expression, DuckDB's.
GROUPINGS = [
    ("1", "1"),
    ("x_billing_period", "strftime(bill_billing_period_start_date, '%Y-%m')"),
    ("sub_account_id", "nullif(line_item_usage_account_id, '')"),
    ("x_line_item_type", "line_item_line_item_type"),
    ("service_name", "coalesce(nullif(product['product_name'], ''), line_item_product_code)"),
    ("region_id", "nullif(product_region_code, '')"),
    ("x_operation", "nullif(line_item_operation, '')"),
    ("resource_id", "nullif(line_item_resource_id, '')"),
    ("tags['user_env']", "nullif(resource_tags['user_env'], '')"),
    ("tag('Team')", "nullif(resource_tags['user_team'], '')"),
    ("x_cost_categories['business_unit']", "nullif(cost_category['business_unit'], '')"),
    ("charge_period_start::date::text", "strftime(line_item_usage_start_date, '%Y-%m-%d')"),
    (
        "commitment_discount_id",
        "coalesce(nullif(savings_plan_savings_plan_a_r_n, ''), nullif(reservation_reservation_a_r_n, ''))",
    ),
    (
        "charge_category",
        """CASE WHEN line_item_line_item_type IN ('Tax', 'Credit') THEN line_item_line_item_type
           WHEN line_item_line_item_type IN ('Fee', 'RIFee', 'SavingsPlanUpfrontFee', 'SavingsPlanRecurringFee',
                'FlatRateSubscription') THEN 'Purchase'
           WHEN line_item_line_item_type = 'Refund' AND nullif(line_item_tax_type, '') IS NOT NULL THEN 'Tax'
           ELSE 'Usage' END""",
    ),
]


def money(column):
    """A double as the decimal that was meant by it: by way of its shortest text."""
    return f"CAST(CAST({column} AS VARCHAR) AS DECIMAL(38,12))"


def or_zero(column):
    return f"coalesce({money(column)}, 0)"


TYPE = "line_item_line_item_type"
UNUSED_PLAN = f"({or_zero('savings_plan_total_commitment_to_date')} - {or_zero('savings_plan_used_commitment')})"


def amortized(unblended, covered, reserved, upfront, recurring, plan):
    """The formula of AWS's Cost and Usage dashboard table."""
    return f"""CASE WHEN {TYPE} = 'SavingsPlanCoveredUsage' THEN {covered}
        WHEN {TYPE} = 'SavingsPlanRecurringFee' THEN {plan}
        WHEN {TYPE} IN ('SavingsPlanNegation', 'SavingsPlanUpfrontFee') THEN 0
        WHEN {TYPE} = 'DiscountedUsage' THEN {reserved}
        WHEN {TYPE} = 'RIFee' THEN {upfront} + {recurring}
        WHEN {TYPE} = 'Fee' AND reservation_reservation_a_r_n <> '' THEN 0
        ELSE {unblended} END"""


GROSS = money("line_item_unblended_cost")
# The sample's payer has discounts in every month, so net columns are true where they are not NULL.
NET = f"coalesce({money('line_item_net_unblended_cost')}, {GROSS})"


def net(net_column, gross_column):
    return f"coalesce({money(net_column)}, {money(gross_column)})"


PUBLIC = money("pricing_public_on_demand_cost")
# Farthing's measure, DuckDB's.
MEASURES = [
    ("count(*)", "count(*)"),
    ("sum(billed_cost)", f"sum({GROSS})"),
    ("sum(x_net_unblended_cost)", f"sum({NET})"),
    (
        "sum(x_amortized_cost)",
        "sum({})".format(
            amortized(
                GROSS,
                money("savings_plan_savings_plan_effective_cost"),
                money("reservation_effective_cost"),
                or_zero("reservation_unused_amortized_upfront_fee_for_billing_period"),
                or_zero("reservation_unused_recurring_fee"),
                UNUSED_PLAN,
            )
        ),
    ),
    # Without the unused part of Savings Plans, which needs a division: that is compared apart.
    (
        "sum(effective_cost) FILTER (WHERE x_line_item_type <> 'SavingsPlanRecurringFee')",
        "sum({}) FILTER (WHERE {} <> 'SavingsPlanRecurringFee')".format(
            amortized(
                NET,
                net("savings_plan_net_savings_plan_effective_cost", "savings_plan_savings_plan_effective_cost"),
                net("reservation_net_effective_cost", "reservation_effective_cost"),
                "coalesce({}, 0)".format(
                    net(
                        "reservation_net_unused_amortized_upfront_fee_for_billing_period",
                        "reservation_unused_amortized_upfront_fee_for_billing_period",
                    )
                ),
                "coalesce({}, 0)".format(
                    net("reservation_net_unused_recurring_fee", "reservation_unused_recurring_fee")
                ),
                "0",
            ),
            TYPE,
        ),
    ),
    (
        "sum(list_cost)",
        f"""sum(CASE WHEN {TYPE} = 'SavingsPlanNegation' THEN 0
            WHEN {PUBLIC} IS NULL OR {PUBLIC} = 0 AND coalesce(pricing_public_on_demand_rate, '') = '' THEN {GROSS}
            ELSE {PUBLIC} END)""",
    ),
    ("sum(x_blended_cost)", f"sum({money('line_item_blended_cost')})"),
    ("sum(x_discount_total)", f"sum({money('discount_total_discount')})"),
    (
        "sum(x_split_cost)",
        f"sum({money('split_line_item_split_cost')}) FILTER (WHERE split_line_item_parent_resource_id <> '')",
    ),
    ("min(charge_period_start)::text", "strftime(min(line_item_usage_start_date), '%Y-%m-%dT%H:%M:%S')"),
    ("max(charge_period_end)::text", "strftime(max(line_item_usage_end_date), '%Y-%m-%dT%H:%M:%S')"),
]


class Farthing:
    def __init__(self, binary, state):
        self.base = [binary, "query", "--data-dir", str(state), "--format", "csv", "-c"]

    def ask(self, sql):
        done = subprocess.run([*self.base, sql], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{sql}\n{done.stderr}")
        return list(csv.reader(io.StringIO(done.stdout)))[1:]


def cell(value):
    """A value as both say it: numbers without trailing zeros, NULL as nothing."""
    if value is None:
        return ""
    text = str(value)
    if text.startswith("0") and text[1:].isdigit():
        # An account id, whose zeros matter.
        return text
    try:
        number = Decimal(text)
    except ArithmeticError:
        return text
    return format(number.normalize(), "f") if number else "0"


def rows(answer):
    return sorted([cell(value) for value in row] for row in answer)


def differences(question, ours, theirs):
    """Prints the first differences; returns how many there are."""
    if ours == theirs:
        return 0
    print(f"DIFFERENT: {question}: {len(ours)} rows and {len(theirs)}")
    shown = [pair for pair in zip(ours, theirs) if pair[0] != pair[1]][:3]
    for one, other in shown:
        print(f"  Farthing {one}\n  DuckDB   {other}")
    return 1


def unused_plans(farthing, duck):
    """The net cost of the unused part of Savings Plans: its gross cost in proportion to the fee's net cost."""
    found = duck.execute(
        f"""SELECT nullif(line_item_usage_account_id, ''), {UNUSED_PLAN}, savings_plan_payment_option,
            {money('savings_plan_amortized_upfront_commitment_for_billing_period')},
            {money('savings_plan_net_amortized_upfront_commitment_for_billing_period')},
            {money('savings_plan_recurring_commitment_for_billing_period')},
            {money('savings_plan_net_recurring_commitment_for_billing_period')}
            FROM visible WHERE {TYPE} = 'SavingsPlanRecurringFee'"""
    ).fetchall()
    sums = {}
    for account, gross, option, upfront, net_upfront, recurring, net_recurring in found:
        whole, part = (upfront, net_upfront) if option == "All Upfront" else (recurring, net_recurring)
        cost = gross
        if whole and part is not None:
            cost = (gross * part / whole).quantize(UNIT, ROUND_HALF_EVEN)
        sums[account] = sums.get(account, Decimal(0)) + cost
    ours = farthing.ask(
        "SELECT sub_account_id, sum(effective_cost) FROM costs WHERE x_line_item_type = 'SavingsPlanRecurringFee' GROUP BY 1"
    )
    assert found, "the sample has no Savings Plan"
    return differences("unused Savings Plans", rows(ours), rows(sums.items()))


def main():
    binary, folder, size = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    decimal.getcontext().prec = 60
    export, state = folder / "bucket", folder / "state"
    subprocess.run(
        [binary, "sample", "--output", str(export), "--rows", size, "--months", "3", "--end", "2026-06", "--accounts", "6"],
        check=True,
        capture_output=True,
    )
    subprocess.run([binary, "init", "--data-dir", str(state)], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    farthing = Farthing(binary, state)
    manifest = next(export.rglob("*-Manifest.json"))
    place = manifest.parents[2]
    farthing.ask(f"CALL connect_aws_root(location => 'file://{place}')")
    found = farthing.ask("SELECT DISTINCT account_id FROM system.account_coverage WHERE status = 'ignored' ORDER BY 1")
    # Two accounts stay unconnected.
    for (account,) in found[:-2]:
        farthing.ask(f"CALL connect_aws_linked(account_id => '{account}')")
    connected = [account for (account,) in farthing.ask("SELECT account_id FROM system.accounts")]
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'")
    listed = ", ".join(f"'{account}'" for account in connected)
    duck.execute(
        f"""CREATE VIEW visible AS SELECT * FROM read_parquet('{place}/data/*/*.parquet', hive_partitioning = false, union_by_name = true)
            WHERE coalesce(nullif(line_item_usage_account_id, ''), bill_payer_account_id) IN ({listed})"""
    )
    wrong = unused_plans(farthing, duck)
    ours_measures = ", ".join(ours for ours, _ in MEASURES)
    their_measures = ", ".join(theirs for _, theirs in MEASURES)
    compared = 0
    for ours, theirs in GROUPINGS:
        mine = rows(farthing.ask(f"SELECT {ours} AS grouping, {ours_measures} FROM costs GROUP BY 1"))
        other = rows(duck.execute(f"SELECT {theirs} AS grouping, {their_measures} FROM visible GROUP BY 1").fetchall())
        compared += sum(len(row) for row in other)
        wrong += differences(ours, mine, other)
    print(f"{len(GROUPINGS)} groupings of {len(MEASURES)} measures, {compared} values compared with DuckDB {duckdb.__version__}: {wrong} different")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
