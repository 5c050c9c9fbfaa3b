//! Random statements over `costs` and the raw export, in the shapes that dashboards and attackers send.

use farthing_sandbox::sample::ExportForm;
use farthing_tests::cloud::{Cloud, PERIODS, TABLE};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

/// What literals are made of.
#[derive(Debug, Clone)]
pub struct Words {
    accounts: Vec<String>,
    hidden: Vec<String>,
    names: Vec<String>,
    focus: bool,
}

/// What columns of the raw table are called in FOCUS.
const IN_FOCUS: [(&str, &str); 7] = [
    ("line_item_unblended_cost", "\"BilledCost\""),
    ("line_item_usage_start_date", "\"ChargePeriodStart\""),
    ("line_item_line_item_type", "\"ChargeCategory\""),
    ("line_item_usage_amount", "\"PricingQuantity\""),
    ("line_item_usage_account_id", "\"SubAccountId\""),
    ("line_item_resource_id", "\"ResourceId\""),
    ("pricing_public_on_demand_cost", "\"ListCost\""),
];

impl Words {
    /// The organisation's, of which some accounts are visible.
    pub fn of(cloud: &Cloud, visible: &[String]) -> Self {
        let organisation = cloud.sample.spec.organisation();
        let accounts: Vec<String> = organisation.accounts().map(|account| account.id.clone()).collect();
        Self {
            hidden: accounts.iter().filter(|id| !visible.contains(id)).cloned().collect(),
            names: organisation.accounts().map(|account| account.name.clone()).collect(),
            accounts,
            focus: cloud.sample.spec.form == ExportForm::Focus,
        }
    }
}

const TEXTS: [&str; 11] = [
    "sub_account_id",
    "sub_account_name",
    "service_name",
    "charge_category",
    "x_line_item_type",
    "region_id",
    "resource_id",
    "x_usage_type",
    "x_billing_period",
    "pricing_category",
    "commitment_discount_id",
];
const AMOUNTS: [&str; 5] = [
    "billed_cost",
    "effective_cost",
    "x_amortized_cost",
    "list_cost",
    "x_net_unblended_cost",
];
const INSTANTS: [&str; 2] = ["charge_period_start", "charge_period_end"];
/// Texts with few values, to group by.
const GROUPS: [&str; 7] = [
    "sub_account_id",
    "sub_account_name",
    "service_name",
    "charge_category",
    "x_line_item_type",
    "region_id",
    "x_billing_period",
];

/// Conditions that fail on the rows of one account, and hold or not on all others.
pub fn traps(account: &str) -> Vec<String> {
    vec![
        format!("100 / (CASE WHEN sub_account_id = '{account}' THEN 0 ELSE 1 END) > 0"),
        format!("cast(CASE WHEN sub_account_id = '{account}' THEN 'x' ELSE '7' END AS integer) = 7"),
        format!("1 / (length(replace(sub_account_id, '{account}', ''))) >= 0"),
        format!("billed_cost / (CASE WHEN sub_account_id <> '{account}' THEN 1.5 ELSE 0.0 END) > -1000000"),
    ]
}

fn quoted(words: &[String]) -> BoxedStrategy<String> {
    select(words.to_vec()).prop_map(|word| format!("'{word}'")).boxed()
}

/// A column of text with a literal that it might hold.
fn comparison(words: &Words) -> BoxedStrategy<(&'static str, String)> {
    let fixed = |column: &'static str, values: &[&'static str]| {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        quoted(&values).prop_map(move |literal| (column, literal)).boxed()
    };
    prop_oneof![
        4 => quoted(&words.accounts).prop_map(|literal| ("sub_account_id", literal)),
        2 => quoted(&words.hidden).prop_map(|literal| ("sub_account_id", literal)),
        2 => quoted(&words.names).prop_map(|literal| ("sub_account_name", literal)),
        2 => fixed("x_billing_period", &PERIODS),
        2 => fixed("charge_category", &["Usage", "Tax", "Credit", "Purchase"]),
        1 => fixed("x_line_item_type", &["Usage", "SavingsPlanNegation", "RIFee", "Tax", "EdpDiscount"]),
        1 => fixed("service_name", &["Amazon Elastic Compute Cloud", "Amazon Simple Storage Service"]),
        1 => fixed("region_id", &["us-east-1", "eu-west-1", "eu-central-1"]),
    ]
    .boxed()
}

fn leaf(words: &Words) -> BoxedStrategy<String> {
    let traps: Vec<String> = words.hidden.iter().flat_map(|account| traps(account)).collect();
    let open_traps: Vec<String> = words
        .accounts
        .iter()
        .flat_map(|account| super::sql::traps(account))
        .collect();
    prop_oneof![
        6 => (comparison(words), select(vec!["=", "<>", "<", ">="])).prop_map(|((column, literal), op)| format!("{column} {op} {literal}")),
        2 => (comparison(words), comparison(words)).prop_map(|((column, one), (_, other))| format!("{column} IN ({one}, {other})")),
        1 => (comparison(words), comparison(words)).prop_map(|((column, one), (_, other))| format!("{column} NOT IN ({one}, {other})")),
        2 => (select(TEXTS.to_vec()), any::<bool>()).prop_map(|(column, not)| format!("{column} IS {}NULL", if not { "NOT " } else { "" })),
        2 => (select(TEXTS.to_vec()), "[a-z0-9A-Z]").prop_map(|(column, start)| format!("{column} LIKE '%{start}%'")),
        3 => (select(AMOUNTS.to_vec()), select(vec!["<", ">", ">="]), -50i32..500).prop_map(|(column, op, n)| format!("{column} {op} {n}.25")),
        1 => (select(AMOUNTS.to_vec()), 0i32..50, 50i32..5_000).prop_map(|(column, low, high)| format!("{column} BETWEEN {low} AND {high}")),
        2 => (select(INSTANTS.to_vec()), 4u32..7, 1u32..29).prop_map(|(column, month, day)| format!("{column} >= timestamp '2026-{month:02}-{day:02} 00:00:00'")),
        3 => select(traps),
        1 => select(open_traps),
        1 => (1i64..999_999_999_999).prop_map(|number| format!("sub_account_id = {number}")),
        1 => quoted(&words.names).prop_map(|name| format!("tags['user_team'] = {name}")),
    ]
    .boxed()
}

/// A condition over `costs`.
fn condition(words: &Words) -> BoxedStrategy<String> {
    let inner = words.clone();
    leaf(words)
        .prop_recursive(3, 8, 2, move |condition| {
            let below = leaf(&inner);
            prop_oneof![
                3 => (condition.clone(), condition.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
                2 => (condition.clone(), condition.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
                1 => condition.clone().prop_map(|a| format!("NOT ({a})")),
                1 => below.clone().prop_map(|c| format!("sub_account_id IN (SELECT sub_account_id FROM costs WHERE {c})")),
                1 => below.clone().prop_map(|c| format!("billed_cost > (SELECT avg(billed_cost) FROM costs WHERE {c})")),
                1 => below.clone().prop_map(|c| format!("billed_cost >= (SELECT max(billed_cost) FROM costs WHERE {c})")),
                1 => below.prop_map(|c| format!("EXISTS (SELECT 1 FROM costs WHERE {c})")),
            ]
        })
        .boxed()
}

fn aggregate() -> BoxedStrategy<String> {
    prop_oneof![
        3 => Just("count(*)".to_owned()),
        2 => select(TEXTS.to_vec()).prop_map(|column| format!("count(DISTINCT {column})")),
        1 => select(TEXTS.to_vec()).prop_map(|column| format!("count({column})")),
        3 => select(AMOUNTS.to_vec()).prop_map(|column| format!("sum({column})")),
        2 => select(AMOUNTS.to_vec()).prop_map(|column| format!("min({column}), max({column})")),
        1 => select(TEXTS.to_vec()).prop_map(|column| format!("min({column}), max({column})")),
        1 => select(INSTANTS.to_vec()).prop_map(|column| format!("min({column}), max({column})")),
        1 => select(AMOUNTS.to_vec()).prop_map(|column| format!("avg({column})")),
        1 => select(AMOUNTS.to_vec()).prop_map(|column| format!("sum({column}) FILTER (WHERE charge_category = 'Usage')")),
        1 => Just("max(pricing_quantity), min(consumed_quantity)".to_owned()),
    ]
    .boxed()
}

fn columns(least: usize, most: usize) -> BoxedStrategy<String> {
    let all: Vec<&'static str> = TEXTS.into_iter().chain(AMOUNTS).chain(INSTANTS).collect();
    proptest::sample::subsequence(all, least..=most)
        .prop_map(|columns| columns.join(", "))
        .boxed()
}

/// One statement.
pub fn statement(words: &Words) -> BoxedStrategy<String> {
    let condition = || condition(words);
    let groups = || proptest::sample::subsequence(GROUPS.to_vec(), 1..=3).prop_map(|groups| groups.join(", "));
    let grouped = (groups(), aggregate(), condition(), 0u32..3).prop_map(|(groups, aggregate, condition, having)| {
        let having = if having == 0 { " HAVING count(*) > 3" } else { "" };
        format!("SELECT {groups}, {aggregate} FROM costs WHERE {condition} GROUP BY {groups}{having}")
    });
    let whole = (aggregate(), aggregate(), condition(), any::<bool>()).prop_map(|(one, other, condition, all)| {
        let filter = if all {
            String::new()
        } else {
            format!(" WHERE {condition}")
        };
        format!("SELECT {one}, {other} FROM costs{filter}")
    });
    let rows = (columns(2, 5), condition(), 1u32..60, 0u32..20).prop_map(|(columns, condition, limit, offset)| {
        format!("SELECT {columns} FROM costs WHERE {condition} ORDER BY {columns} LIMIT {limit} OFFSET {offset}")
    });
    let top = (columns(2, 4), select(AMOUNTS.to_vec()), 1u32..20).prop_map(|(columns, by, limit)| {
        format!("SELECT {by} AS amount, {columns} FROM costs ORDER BY 1 DESC, {columns} LIMIT {limit}")
    });
    let distinct = (columns(1, 3), condition()).prop_map(|(columns, condition)| {
        format!("SELECT count(*) FROM (SELECT DISTINCT {columns} FROM costs WHERE {condition})")
    });
    let limited = (condition(), 1u32..3_000).prop_map(|(condition, limit)| {
        format!("SELECT count(*) FROM (SELECT 1 FROM costs WHERE {condition} LIMIT {limit})")
    });
    let joined = (select(GROUPS.to_vec()), select(AMOUNTS.to_vec()), condition(), any::<bool>()).prop_map(
        |(key, amount, condition, outer)| {
            let join = if outer { "LEFT JOIN" } else { "JOIN" };
            format!(
                "SELECT a.{key}, count(*), sum(a.{amount}), max(b.total) FROM costs a {join} (SELECT {key} AS k, sum({amount}) \
                 AS total FROM costs WHERE {condition} GROUP BY 1) b ON a.{key} = b.k GROUP BY 1"
            )
        },
    );
    let windowed = (select(GROUPS.to_vec()), select(GROUPS.to_vec()), condition()).prop_map(|(one, other, condition)| {
        format!(
            "SELECT g, h, total, rank() OVER (PARTITION BY h ORDER BY total DESC), sum(total) OVER (ORDER BY total, g, h) \
             FROM (SELECT {one} AS g, x_billing_period || {other} AS h, sum(billed_cost) AS total FROM costs WHERE {condition} \
             GROUP BY 1, 2) t"
        )
    });
    let united = (
        condition(),
        condition(),
        select(vec!["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]),
    )
        .prop_map(|(one, other, op)| {
            let part = |condition: &str| format!("SELECT service_name, sub_account_id FROM costs WHERE {condition}");
            format!(
                "SELECT service_name, count(*) FROM ({} {op} {}) u GROUP BY 1",
                part(&one),
                part(&other)
            )
        });
    let raw = (select(words.accounts.clone()), select(PERIODS.to_vec()), 0usize..5).prop_map(|(account, period, shape)| match shape {
        0 => format!("SELECT count(*), min(line_item_unblended_cost), max(line_item_usage_start_date) FROM {TABLE} WHERE billing_period = '{period}'"),
        1 => format!("SELECT line_item_line_item_type, count(*), max(line_item_usage_amount) FROM {TABLE} WHERE line_item_usage_account_id >= '{account}' GROUP BY 1"),
        2 => format!("SELECT count(DISTINCT line_item_resource_id), max(line_item_usage_account_id), min(line_item_usage_account_id) FROM {TABLE}"),
        3 => format!("SELECT count(*) FROM {TABLE} r JOIN costs c ON r.line_item_resource_id = c.resource_id WHERE c.sub_account_id = '{account}' AND r.billing_period = '{period}' AND c.x_billing_period = '{period}' AND c.charge_category = 'Tax'"),
        _ => format!("SELECT max(pricing_public_on_demand_cost) FROM {TABLE} WHERE 10 / (CASE WHEN line_item_usage_account_id = '{account}' THEN 0 ELSE 1 END) > 0"),
    });
    let focus = words.focus;
    let raw = raw.prop_map(move |sql| match focus {
        true => IN_FOCUS.iter().fold(sql, |sql, (cur, focus)| sql.replace(cur, focus)),
        false => sql,
    });
    prop_oneof![
        4 => grouped,
        4 => whole,
        3 => rows,
        2 => top,
        1 => distinct,
        1 => limited,
        2 => joined,
        2 => windowed,
        1 => united,
        3 => raw,
    ]
    .boxed()
}
