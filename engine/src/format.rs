//! What the engine knows of the columns of each kind of export: one description for each, and nobody else names a column
//! for reading, filtering or counting.
//!
//! The account columns are a matter of security: the account filter reads them. A delivery that lacks a column of the
//! description reads as NULL there, and a row without any account is visible to nobody.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::catalog::ExportKind;
use crate::snapshot::ColumnType;

/// The columns that say whose a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountColumns {
    /// The account whose row it is.
    pub usage: &'static str,
    /// The account that pays, which decides for rows without the former. Where a format has none, such rows are nobody's.
    pub payer: Option<&'static str>,
}

impl AccountColumns {
    /// The columns.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [Some(self.usage), self.payer].into_iter().flatten()
    }
}

/// The columns of a format by what they are for.
#[derive(Debug)]
pub struct Format {
    /// The kind of export that has them.
    pub kind: ExportKind,
    /// Its name, for errors.
    pub name: &'static str,
    /// Whose a row is.
    pub accounts: AccountColumns,
    /// The name of the account whose row it is.
    pub usage_name: Option<&'static str>,
    /// The payer's name.
    pub payer_name: Option<&'static str>,
    /// The currency of the row's amounts.
    pub currency: Option<&'static str>,
    /// The cost that control totals sum: what is charged. `None` for a format whose rows are no costs.
    pub cost: Option<&'static str>,
    /// The cost after discounts, where it is a column of its own that may say nothing (reference, section 5.3).
    pub net_cost: Option<&'static str>,
    /// The code of the service that the charge is for.
    pub service: Option<&'static str>,
    /// When the row's charge or usage ends: the latest of them is how far the data reaches.
    pub charge_end: Option<&'static str>,
    /// Without these the rows cannot be read as what they are.
    pub required: &'static [&'static str],
    /// Whether its rows are part of `costs`.
    pub in_costs: bool,
    /// The word that stands for NULL in its CSV files.
    pub null_word: Option<&'static str>,
    /// A delivery that has all of these is of this format.
    recognised_by: &'static [&'static str],
    dictionary: &'static LazyLock<Dictionary>,
}

impl Format {
    /// The type that AWS's dictionary gives a column; `None` for a column that it does not know.
    pub fn column_type(&self, name: &str) -> Option<ColumnType> {
        self.dictionary.types.get(name).copied()
    }

    /// The names of the dictionary's columns, in its order.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.dictionary.names.iter().copied()
    }
}

/// AWS's dictionary of a table.
#[derive(Debug)]
struct Dictionary {
    names: Vec<&'static str>,
    types: HashMap<&'static str, ColumnType>,
}

impl Dictionary {
    /// Lines of name, tab and type.
    fn of(text: &'static str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let (name, word) = line.split_once('\t')?;
            let r#type = match word {
                "text" => ColumnType::Text,
                "double" => ColumnType::Double,
                "integer" => ColumnType::Integer,
                "boolean" => ColumnType::Boolean,
                "timestamp" => ColumnType::Timestamp,
                "text_map" => ColumnType::TextMap,
                "double_map" => ColumnType::DoubleMap,
                _ => return None,
            };
            Some((name, r#type))
        });
        let known: Vec<(&'static str, ColumnType)> = lines.collect();
        Self {
            names: known.iter().map(|(name, _)| *name).collect(),
            types: known.into_iter().collect(),
        }
    }
}

/// `docs.aws.amazon.com/cur/latest/userguide/table-dictionary-cur2.html`. A legacy report in Parquet has the same names and
/// types for the columns that both have (reference, section 5.9); its own, one for each attribute of a product, tag, cost
/// category and discount, are text or doubles as they come.
static CUR2_DICTIONARY: LazyLock<Dictionary> = LazyLock::new(|| Dictionary::of(include_str!("format/cur2.tsv")));
/// The columns of FOCUS 1.2 and then those that only 1.0 has: `table-dictionary-focus-1-2-aws-columns.html` and
/// `table-dictionary-focus-1-0-aws-columns.html` of the same guide.
static FOCUS_DICTIONARY: LazyLock<Dictionary> = LazyLock::new(|| Dictionary::of(include_str!("format/focus.tsv")));
/// `table-dictionary-cor-columns.html` of the same guide.
static COST_OPTIMIZATION_DICTIONARY: LazyLock<Dictionary> =
    LazyLock::new(|| Dictionary::of(include_str!("format/cost_optimization.tsv")));
/// `carbon-emissions-columns.html` of the same guide.
static CARBON_DICTIONARY: LazyLock<Dictionary> = LazyLock::new(|| Dictionary::of(include_str!("format/carbon.tsv")));

/// The description of a Cost and Usage Report, which both its kinds share.
const fn cost_and_usage(kind: ExportKind, name: &'static str) -> Format {
    Format {
        kind,
        name,
        accounts: AccountColumns {
            usage: "line_item_usage_account_id",
            payer: Some("bill_payer_account_id"),
        },
        usage_name: Some("line_item_usage_account_name"),
        payer_name: Some("bill_payer_account_name"),
        currency: Some("line_item_currency_code"),
        cost: Some("line_item_unblended_cost"),
        net_cost: Some("line_item_net_unblended_cost"),
        service: Some("line_item_product_code"),
        charge_end: Some("line_item_usage_end_date"),
        // Without these, `costs` cannot say whose cost a row is, what it is, when it arose and how much it is.
        required: &[
            "bill_payer_account_id",
            "line_item_usage_account_id",
            "line_item_line_item_type",
            "line_item_usage_start_date",
            "line_item_unblended_cost",
            "line_item_currency_code",
        ],
        in_costs: true,
        null_word: None,
        recognised_by: &["line_item_usage_account_id", "line_item_unblended_cost"],
        dictionary: &CUR2_DICTIONARY,
    }
}

/// CUR 2.0.
static CUR2: Format = cost_and_usage(ExportKind::Cur2, "CUR 2.0");
/// The legacy Cost and Usage Report, by the names that it has in Athena.
static CUR: Format = cost_and_usage(ExportKind::Cur, "the legacy Cost and Usage Report");
/// FOCUS 1.0 and 1.2. It has no gross cost: `BilledCost` is after discounts, and there is no other.
static FOCUS: Format = Format {
    kind: ExportKind::Focus,
    name: "FOCUS",
    accounts: AccountColumns {
        usage: "SubAccountId",
        payer: Some("BillingAccountId"),
    },
    usage_name: Some("SubAccountName"),
    payer_name: Some("BillingAccountName"),
    currency: Some("BillingCurrency"),
    cost: Some("BilledCost"),
    net_cost: None,
    service: Some("x_ServiceCode"),
    charge_end: Some("ChargePeriodEnd"),
    required: &[
        "BillingAccountId",
        "SubAccountId",
        "ChargeCategory",
        "ChargePeriodStart",
        "BilledCost",
        "EffectiveCost",
        "BillingCurrency",
    ],
    in_costs: true,
    null_word: Some("NULL"),
    recognised_by: &["BilledCost", "SubAccountId"],
    dictionary: &FOCUS_DICTIONARY,
};
/// Cost Optimization Recommendations. Savings that AWS estimates are no costs, so nothing is summed.
static COST_OPTIMIZATION: Format = Format {
    kind: ExportKind::CostOptimization,
    name: "Cost Optimization Recommendations",
    accounts: AccountColumns {
        usage: "account_id",
        payer: None,
    },
    usage_name: Some("account_name"),
    payer_name: None,
    currency: Some("currency_code"),
    cost: None,
    net_cost: None,
    service: None,
    charge_end: None,
    required: &["account_id", "recommendation_id"],
    in_costs: false,
    null_word: None,
    recognised_by: &["account_id", "recommendation_id"],
    dictionary: &COST_OPTIMIZATION_DICTIONARY,
};
/// Carbon emissions.
static CARBON: Format = Format {
    kind: ExportKind::Carbon,
    name: "Carbon emissions",
    accounts: AccountColumns {
        usage: "usage_account_id",
        payer: Some("payer_account_id"),
    },
    usage_name: None,
    payer_name: None,
    currency: None,
    cost: None,
    net_cost: None,
    service: None,
    charge_end: Some("usage_period_end"),
    required: &["usage_account_id", "payer_account_id", "usage_period_start"],
    in_costs: false,
    null_word: None,
    recognised_by: &["usage_account_id", "total_mbm_emissions_value"],
    dictionary: &CARBON_DICTIONARY,
};

/// All formats.
static FORMATS: [&Format; 5] = [&CUR2, &CUR, &FOCUS, &COST_OPTIMIZATION, &CARBON];

impl ExportKind {
    /// The columns of exports of this kind.
    pub fn format(self) -> &'static Format {
        match self {
            Self::Cur2 => &CUR2,
            Self::Cur => &CUR,
            Self::Focus => &FOCUS,
            Self::CostOptimization => &COST_OPTIMIZATION,
            Self::Carbon => &CARBON,
        }
    }

    /// The kind of a delivery by the columns that it has, as they are named in its files. `assumed` is what the export is
    /// taken for: it stands where the columns tell nothing, and tells the two kinds of Cost and Usage Reports apart, whose
    /// columns are the same.
    pub fn of_columns<'a>(names: impl Iterator<Item = &'a str> + Clone, assumed: Self) -> Self {
        let has_all = |format: &Format| {
            let mut marks = format.recognised_by.iter();
            marks.all(|mark| names.clone().any(|name| name == *mark))
        };
        let report = match assumed {
            Self::Cur => Self::Cur,
            _ => Self::Cur2,
        };
        let others = [Self::Focus, Self::CostOptimization, Self::Carbon];
        let mut kinds = [assumed, report].into_iter().chain(others);
        kinds.find(|kind| has_all(kind.format())).unwrap_or(assumed)
    }
}

/// The columns that have a payer's account id in any format, as Parquet files name them.
pub fn payer_columns() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().filter_map(|format| format.accounts.payer)
}

/// Whether a column of this name has account ids in any format.
pub fn is_account_column(name: &str) -> bool {
    FORMATS
        .iter()
        .any(|format| format.accounts.names().any(|column| column == name))
}

#[cfg(test)]
mod tests;
