//! Expressions over the delivered columns of CUR 2.0 and legacy reports, and the rules that need more than one of them.

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result as DataFusionResult;
use datafusion::functions::expr_fn::{coalesce, get_field, nullif, strpos};
use datafusion::logical_expr::{Expr, cast, col, lit, when};

use super::super::{text, zero};
use super::CostType;
use super::gather::gather_map;
use crate::catalog::Export;
use crate::money::function::{MONEY, exact_amount, prorated_amount};
use crate::money::{PRECISION, SCALE};
use crate::table::{BILLING_PERIOD, HAS_NET_COSTS, Stored};

pub(super) const LINE_ITEM_TYPE: &str = "line_item_line_item_type";
pub(super) const SAVINGS_PLAN: &str = "savings_plan_savings_plan_a_r_n";
pub(super) const RESERVATION: &str = "reservation_reservation_a_r_n";
pub(super) const SPLIT_PARENT: &str = "split_line_item_parent_resource_id";

/// Before or after discounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// Before.
    Gross,
    /// After; the same as before in snapshots without net costs.
    Net,
}

/// The columns that an export delivers.
pub(super) struct Sources<'a> {
    columns: &'a DFSchema,
    /// The export.
    pub export: &'a Export,
    stored: &'a Stored,
}

impl<'a> Sources<'a> {
    pub fn new(columns: &'a DFSchema, export: &'a Export, stored: &'a Stored) -> Self {
        Self {
            columns,
            export,
            stored,
        }
    }

    /// A column of `costs` that all files have.
    pub fn stored(&self, column: &str) -> Option<Expr> {
        let stored = self.stored.costs_column(column)?;
        self.delivered(stored).map(|(column, _)| column)
    }

    fn delivered(&self, name: &str) -> Option<(Expr, &DataType)> {
        let (qualifier, field) = self.columns.iter().find(|(_, field)| field.name() == name)?;
        Some((Expr::Column(Column::new(qualifier.cloned(), name)), field.data_type()))
    }

    /// What no export of this format has.
    pub fn absent(&self, r#type: CostType) -> Expr {
        null(r#type)
    }

    /// The column, or NULL of the type where the export lacks it or has it as something that is not of this kind.
    pub fn of_type(&self, name: &str, r#type: CostType) -> Expr {
        let fits = |delivered: &DataType| match r#type {
            CostType::Text => delivered.is_string() || matches!(delivered, DataType::Float64 | DataType::Int64),
            CostType::Timestamp => matches!(delivered, DataType::Timestamp(..)),
            CostType::Money => {
                delivered.is_string()
                    || matches!(
                        delivered,
                        DataType::Float64 | DataType::Int64 | DataType::Decimal128(..)
                    )
            }
            CostType::Quantity => matches!(
                delivered,
                DataType::Float64 | DataType::Int64 | DataType::Decimal128(..)
            ),
            CostType::Map => matches!(delivered, DataType::Map(..)),
        };
        match self.delivered(name) {
            Some((column, delivered)) if fits(delivered) => match r#type {
                CostType::Text if delivered.is_string() && self.stored.is_never_blank(name) => column,
                CostType::Text if delivered.is_string() => nullif(column, text("")),
                CostType::Text => cast(column, DataType::Utf8View),
                CostType::Money => exact_amount(column),
                // By way of text, which gives the double nearest to the decimal, as Parquet deliveries have it.
                CostType::Quantity if matches!(delivered, DataType::Decimal128(..)) => {
                    cast(cast(column, DataType::Utf8View), DataType::Float64)
                }
                _ => column,
            },
            _ => null(r#type),
        }
    }

    pub fn text(&self, name: &str) -> Expr {
        self.of_type(name, CostType::Text)
    }

    pub fn instant(&self, name: &str) -> Expr {
        self.of_type(name, CostType::Timestamp)
    }

    pub fn quantity(&self, name: &str) -> Expr {
        self.of_type(name, CostType::Quantity)
    }

    pub fn amount(&self, name: &str) -> Expr {
        self.of_type(name, CostType::Money)
    }

    pub fn map(&self, name: &str) -> Expr {
        self.of_type(name, CostType::Map)
    }

    pub fn constant(&self, text: &str) -> Expr {
        self::text(text)
    }

    pub fn export(&self) -> Expr {
        self.constant(self.export.id.as_str())
    }

    pub fn billing_period(&self) -> Expr {
        col(BILLING_PERIOD)
    }

    /// The first of the text columns that is not blank.
    pub fn first(&self, names: &[&str]) -> Expr {
        coalesce(names.iter().map(|name| self.text(name)).collect())
    }

    fn kind(&self) -> Expr {
        self.text(LINE_ITEM_TYPE)
    }

    fn is_kind(&self, kinds: &[&str]) -> Expr {
        self.kind()
            .in_list(kinds.iter().map(|kind| text(kind)).collect(), false)
    }

    /// `product['product_name']`, or the column of a legacy report; the product code where it is blank.
    pub fn service_name(&self) -> DataFusionResult<Expr> {
        let code = self.text("line_item_product_code");
        Ok(match self.delivered("product") {
            Some((product, DataType::Map(..))) => {
                coalesce(vec![nullif(get_field(product, "product_name"), text("")), code])
            }
            _ => self.first(&["product_product_name", "line_item_product_code"]),
        })
    }

    /// The Region's code. Legacy reports have it under an older name too: for months that lack the newer column, which are
    /// NULL there. Where it is blank there is no Region.
    pub fn region_id(&self) -> Expr {
        let raw = |name: &str| self.delivered(name).filter(|(_, delivered)| delivered.is_string());
        match (raw("product_region_code"), raw("product_region")) {
            (Some((code, _)), Some((region, _))) => nullif(coalesce(vec![code, region]), text("")),
            (None, Some(_)) => self.text("product_region"),
            _ => self.text("product_region_code"),
        }
    }

    /// Resource tags by normalised key. The prefix of the legacy columns apart, both spell the keys alike.
    pub fn resource_tags(&self) -> Expr {
        self.map_or_columns("resource_tags", &[])
    }

    /// Cost categories by normalised name.
    pub fn cost_categories(&self) -> Expr {
        self.map_or_columns("cost_category", &[])
    }

    /// Discounts by kind. The two sums over kinds are columns in CUR 2.0 too, and no kinds.
    pub fn discounts(&self) -> Expr {
        self.map_or_columns("discount", &["discount_total_discount", "discount_bundled_discount"])
    }

    /// The map; where the export has none, a map of the columns that have its name and an underscore before the key.
    /// Blank text is no entry, nor is the number 0, which stands for what is absent (section 2.8).
    fn map_or_columns(&self, name: &str, others: &[&str]) -> Expr {
        if self.delivered(name).is_some() {
            return self.map(name);
        }
        let prefix = format!("{name}_");
        let mut keys = Vec::new();
        let mut values = Vec::new();
        for (_, field) in self.columns.iter() {
            let Some(key) = field.name().strip_prefix(&prefix) else {
                continue;
            };
            if key.is_empty() || others.contains(&field.name().as_str()) {
                continue;
            }
            let value = match field.data_type() {
                delivered if delivered.is_string() => self.text(field.name()),
                DataType::Float64 | DataType::Decimal128(..) => {
                    cast(nullif(self.quantity(field.name()), lit(0.0)), DataType::Utf8View)
                }
                _ => continue,
            };
            keys.push(key.to_owned());
            values.push(value);
        }
        if keys.is_empty() {
            return null(CostType::Map);
        }
        gather_map(keys, values)
    }

    /// Reference, section 5.10. What a refund gives back is not delivered; a tax type tells a refunded tax.
    pub fn charge_category(&self) -> DataFusionResult<Expr> {
        let purchases = [
            "Fee",
            "RIFee",
            "SavingsPlanUpfrontFee",
            "SavingsPlanRecurringFee",
            "FlatRateSubscription",
            // As AWS's own page spells it once.
            "FlateRateSubscription",
        ];
        when(self.is_kind(&["Tax"]), text("Tax"))
            .when(self.is_kind(&["Credit"]), text("Credit"))
            .when(self.is_kind(&purchases), text("Purchase"))
            .when(
                self.is_kind(&["Refund"])
                    .and(self.text("line_item_tax_type").is_not_null()),
                text("Tax"),
            )
            .otherwise(text("Usage"))
    }

    pub fn charge_class(&self) -> DataFusionResult<Expr> {
        let refund = self
            .is_kind(&["Refund"])
            .or(self.text("bill_bill_type").eq(text("Refund")));
        when(refund, text("Correction")).end()
    }

    pub fn charge_frequency(&self) -> DataFusionResult<Expr> {
        let recurring = [
            "RIFee",
            "SavingsPlanRecurringFee",
            "FlatRateSubscription",
            "FlateRateSubscription",
        ];
        when(self.is_kind(&["Tax"]), null(CostType::Text))
            .when(self.is_kind(&recurring), text("Recurring"))
            .when(
                self.is_kind(&["Fee", "SavingsPlanUpfrontFee", "Credit", "Refund"]),
                text("One-Time"),
            )
            .otherwise(text("Usage-Based"))
    }

    /// Tax is never priced (FOCUS 1.2, PricingCategory); the Spot test is that of the AWS dashboards (section 5.3).
    pub fn pricing_category(&self) -> DataFusionResult<Expr> {
        let spot = strpos(self.text("line_item_usage_type"), text("Spot")).gt(lit(0));
        when(self.is_kind(&["Tax"]), null(CostType::Text))
            .when(self.is_kind(&["Credit"]), text("Other"))
            .when(
                self.first(&[SAVINGS_PLAN, RESERVATION]).is_not_null(),
                text("Committed"),
            )
            .when(spot, text("Dynamic"))
            .otherwise(text("Standard"))
    }

    /// `value` on rows that count as usage (section 5.2), and whose usage is not in a parent row already (section 5.6).
    pub fn consumed(&self, value: Expr) -> DataFusionResult<Expr> {
        let usage = self.is_kind(&["Usage", "DiscountedUsage", "SavingsPlanCoveredUsage"]);
        when(usage.and(self.text(SPLIT_PARENT).is_null()), value).end()
    }

    /// The two states that FOCUS knows; AWS has more.
    pub fn capacity_status(&self) -> DataFusionResult<Expr> {
        let status = self.text("capacity_reservation_capacity_reservation_status");
        let known = ["Used", "Unused"].map(text);
        when(status.clone().in_list(known.to_vec(), false), status).end()
    }

    /// An amount in the currency of the bill, where prices are stated in the same one.
    pub fn in_pricing_currency(&self, amount: Expr) -> DataFusionResult<Expr> {
        let same = self.text("pricing_currency").eq(self.text("line_item_currency_code"));
        when(same, amount).end()
    }

    /// Other rows than split ones have NULL or, in legacy reports, 0, which would look like a cost of nothing.
    pub fn split_cost(&self) -> DataFusionResult<Expr> {
        when(
            self.text(SPLIT_PARENT).is_not_null(),
            self.amount("split_line_item_split_cost"),
        )
        .end()
    }

    pub fn by_commitment(&self, savings_plan: &str, reservation: &str) -> DataFusionResult<Expr> {
        when(self.text(SAVINGS_PLAN).is_not_null(), text(savings_plan))
            .when(self.text(RESERVATION).is_not_null(), text(reservation))
            .end()
    }

    pub fn commitment_status(&self) -> DataFusionResult<Expr> {
        let unused = self.amortized(Basis::Gross)?.not_eq(zero());
        when(
            self.is_kind(&["SavingsPlanCoveredUsage", "DiscountedUsage"]),
            text("Used"),
        )
        .when(
            self.is_kind(&["SavingsPlanRecurringFee", "RIFee"]).and(unused),
            text("Unused"),
        )
        .end()
    }

    /// A row has no public price where the public cost is NULL, or 0 without a public rate: absent numbers are delivered
    /// as 0 (section 2.8).
    pub fn list_cost(&self) -> DataFusionResult<Expr> {
        let public = self.amount("pricing_public_on_demand_cost");
        let unpriced = self
            .text("pricing_public_on_demand_rate")
            .is_null()
            .and(public.clone().eq(zero()));
        when(self.is_kind(&["SavingsPlanNegation"]), zero())
            .when(
                public.clone().is_null().or(unpriced),
                self.amount("line_item_unblended_cost"),
            )
            .otherwise(public)
    }

    pub fn unblended(&self, basis: Basis) -> DataFusionResult<Expr> {
        self.amount_of(basis, "line_item_unblended_cost", "line_item_net_unblended_cost")
    }

    /// The gross or net amount. Net columns are meant only in snapshots that have net costs at all, where 0 is a true
    /// value and NULL alone is a missing one (section 5.3).
    fn amount_of(&self, basis: Basis, gross: &str, net: &str) -> DataFusionResult<Expr> {
        let gross = self.amount(gross);
        match basis {
            Basis::Gross => Ok(gross),
            Basis::Net => {
                let net = coalesce(vec![self.amount(net), gross.clone()]);
                when(col(HAS_NET_COSTS), net).otherwise(gross)
            }
        }
    }

    /// The amortised cost (section 5.3). The net formula is the gross one over net columns.
    pub fn amortized(&self, basis: Basis) -> DataFusionResult<Expr> {
        let covered = self.amount_of(
            basis,
            "savings_plan_savings_plan_effective_cost",
            "savings_plan_net_savings_plan_effective_cost",
        )?;
        let reserved = self.amount_of(basis, "reservation_effective_cost", "reservation_net_effective_cost")?;
        let unused_upfront = self.amount_of(
            basis,
            "reservation_unused_amortized_upfront_fee_for_billing_period",
            "reservation_net_unused_amortized_upfront_fee_for_billing_period",
        )?;
        let unused_recurring = self.amount_of(
            basis,
            "reservation_unused_recurring_fee",
            "reservation_net_unused_recurring_fee",
        )?;
        let reserved_fee = self.is_kind(&["Fee"]).and(self.text(RESERVATION).is_not_null());
        when(self.is_kind(&["SavingsPlanCoveredUsage"]), covered)
            .when(
                self.is_kind(&["SavingsPlanRecurringFee"]),
                self.unused_savings_plan(basis)?,
            )
            .when(self.is_kind(&["SavingsPlanNegation", "SavingsPlanUpfrontFee"]), zero())
            .when(self.is_kind(&["DiscountedUsage"]), reserved)
            .when(self.is_kind(&["RIFee"]), sum(unused_upfront, unused_recurring)?)
            .when(reserved_fee, zero())
            .otherwise(self.unblended(basis)?)
    }

    /// What amortised costs hold of fees that were paid upfront (section 5.3): minus that, on the rows that carry the unused
    /// part of a commitment.
    pub fn true_up(&self) -> DataFusionResult<Expr> {
        let minus = |name: &str| coalesce(vec![Expr::Negative(Box::new(self.amount(name))), zero()]);
        when(
            self.is_kind(&["SavingsPlanRecurringFee"]),
            minus("savings_plan_amortized_upfront_commitment_for_billing_period"),
        )
        .when(
            self.is_kind(&["RIFee"]),
            minus("reservation_amortized_upfront_fee_for_billing_period"),
        )
        .otherwise(zero())
    }

    /// The fees that are paid upfront, on the day (section 5.3).
    pub fn upfront_fee(&self) -> DataFusionResult<Expr> {
        let reserved = self.is_kind(&["Fee"]).and(self.text(RESERVATION).is_not_null());
        when(
            self.is_kind(&["SavingsPlanUpfrontFee"]).or(reserved),
            self.amount("line_item_unblended_cost"),
        )
        .otherwise(zero())
    }

    /// Commitment minus its used part. There are no net columns of either, so the net amount takes the ratio of the net
    /// to the gross fee: the upfront one for All Upfront, else the recurring one. An estimate.
    fn unused_savings_plan(&self, basis: Basis) -> DataFusionResult<Expr> {
        let gross = sum(
            self.amount("savings_plan_total_commitment_to_date"),
            Expr::Negative(Box::new(self.amount("savings_plan_used_commitment"))),
        )?;
        if basis == Basis::Gross {
            return Ok(gross);
        }
        let of = |part: &str, whole: &str| prorated_amount(gross.clone(), self.amount(part), self.amount(whole));
        let upfront = of(
            "savings_plan_net_amortized_upfront_commitment_for_billing_period",
            "savings_plan_amortized_upfront_commitment_for_billing_period",
        );
        let recurring = of(
            "savings_plan_net_recurring_commitment_for_billing_period",
            "savings_plan_recurring_commitment_for_billing_period",
        );
        let all_upfront = self.text("savings_plan_payment_option").eq(text("All Upfront"));
        when(col(HAS_NET_COSTS).and(all_upfront), upfront)
            .when(col(HAS_NET_COSTS), recurring)
            .otherwise(gross.clone())
    }
}

pub(super) fn null(r#type: CostType) -> Expr {
    let null = ScalarValue::try_from(&r#type.arrow()).unwrap_or(ScalarValue::Null);
    lit(null)
}

/// The sum of two amounts of which one may be absent; NULL where both are.
fn sum(one: Expr, other: Expr) -> DataFusionResult<Expr> {
    let or_zero = |amount: &Expr| coalesce(vec![amount.clone(), zero()]);
    let added = cast(or_zero(&one) + or_zero(&other), MONEY);
    when(
        one.is_null().and(other.is_null()),
        lit(ScalarValue::Decimal128(None, PRECISION, SCALE)),
    )
    .otherwise(added)
}
