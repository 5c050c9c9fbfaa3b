//! Rows of fees, taxes, credits and refunds.

use std::io::Write;
use std::ops::Range;

use parquet::errors::Result;

use super::Delivery;
use super::blocks::Resource;
use super::calendar::YearMonth;
use super::columns::position;
use super::commitments::{Plan, Reservation};
use super::file::FileRows;
use super::labels;
use super::random::{at, below, unit};
use super::rows::{Keys, Money};

const CENT: i64 = 100_000_000;
const FACTOR: usize = position("line_item_normalization_factor");
const NORMALIZED: usize = position("line_item_normalized_usage_amount");
const UNUSED_NORMALIZED: usize = position("reservation_unused_normalized_unit_quantity");

/// The fees of a plan in a month: one row for each time unit, and the upfront payment in the month of purchase.
pub fn plan<W: Write + Send>(out: &mut FileRows<'_, W>, number: usize) -> Result<()> {
    let model = out.model;
    let plan: &Plan = &model.plans[number];
    let [fee, upfront] = model.charges.plans[number];
    let hours = model.calendar.unit_hours();
    let label = labels::of_account(plan.owner);
    if bought_in(out.period(), plan.term.start) && plan.amortized > 0 {
        let amount = plan.amortized * ((plan.term.end - plan.term.start) / 3600);
        let interval = out.interval(plan.term.start, out.period().end());
        let keys = Keys {
            class: upfront,
            account: plan.owner,
            resource: 0,
            label,
            interval,
        };
        out.push(
            keys,
            1.0,
            &Money {
                amortized: 0,
                net_amortized: 0,
                ..Money::plain(amount)
            },
        );
    }
    for time in plan.units.start.max(out.units.start)..plan.units.end.min(out.units.end) {
        let used = plan.used[time as usize] * hours;
        let (amortized, recurring) = (plan.amortized * hours, plan.recurring * hours);
        let total = amortized + recurring;
        let interval = out.unit(time);
        let keys = Keys {
            class: fee,
            account: plan.owner,
            resource: 0,
            label,
            interval,
        };
        // Without a discount on the fee, the unused part is the same before and after discounts.
        let money = Money {
            amortized: total - used,
            net_amortized: total - used,
            ..Money::plain(recurring)
        };
        out.push(keys, hours as f64, &money);
        for (column, amount) in [
            (const { position("savings_plan_total_commitment_to_date") }, total),
            (const { position("savings_plan_used_commitment") }, used),
            (
                const { position("savings_plan_amortized_upfront_commitment_for_billing_period") },
                amortized,
            ),
            (
                const { position("savings_plan_recurring_commitment_for_billing_period") },
                recurring,
            ),
            (
                const { position("savings_plan_net_amortized_upfront_commitment_for_billing_period") },
                amortized,
            ),
            (
                const { position("savings_plan_net_recurring_commitment_for_billing_period") },
                recurring,
            ),
        ] {
            out.set_amount(column, amount);
        }
    }
    out.pause()
}

/// Whether a month is the one that begins a term.
fn bought_in(period: YearMonth, start: i64) -> bool {
    (period.start()..period.end()).contains(&start)
}

/// The fees of a reservation in a month: the upfront payment in the month of purchase, and the monthly fee.
pub fn reservation<W: Write + Send>(out: &mut FileRows<'_, W>, number: usize) -> Result<()> {
    let model = out.model;
    let reservation: &Reservation = &model.reservations[number];
    let account = model.blocks.blocks[reservation.block].account;
    let (label, period) = (labels::of_account(account), out.period());
    if bought_in(period, reservation.term.start) && reservation.upfront > 0 {
        let amount = reservation.upfront * reservation.count * reservation.hours;
        let interval = out.interval(reservation.term.start, period.end());
        let class = model.charges.reservations[number][1];
        let keys = Keys {
            class,
            account,
            resource: 0,
            label,
            interval,
        };
        let money = Money {
            amortized: 0,
            net_amortized: 0,
            ..Money::plain(amount)
        };
        out.push(keys, reservation.count as f64, &money);
    }
    let term = period.start().max(reservation.term.start)..period.end().min(reservation.term.end);
    if !term.is_empty() {
        monthly_fee(out, number, term);
    }
    out.pause()
}

/// Hours in which resources of a reservation's block use it in the month.
fn used_hours<W: Write + Send>(out: &FileRows<'_, W>, reservation: &Reservation) -> i64 {
    let model = out.model;
    let block = &model.blocks.blocks[reservation.block];
    let from = reservation.units.start.max(out.units.start);
    let to = reservation.units.end.min(out.units.end);
    let alive = |resource: &Resource| i64::from((resource.death.min(to) - resource.birth.max(from)).max(0));
    model.blocks.members(block).iter().map(alive).sum::<i64>() * model.calendar.unit_hours()
}

/// The monthly fee of a reservation with what was not used, and the discount on it. `term` is the month's part of the
/// reservation's term.
fn monthly_fee<W: Write + Send>(out: &mut FileRows<'_, W>, number: usize, term: Range<i64>) {
    // Each of these is the same before and after discounts, which are on the recurring fee alone.
    const UPFRONT: [usize; 2] = [
        position("reservation_amortized_upfront_fee_for_billing_period"),
        position("reservation_net_amortized_upfront_fee_for_billing_period"),
    ];
    const UNUSED_UPFRONT: [usize; 2] = [
        position("reservation_unused_amortized_upfront_fee_for_billing_period"),
        position("reservation_net_unused_amortized_upfront_fee_for_billing_period"),
    ];
    const VALUE: [usize; 2] = [
        position("reservation_upfront_value"),
        position("reservation_net_upfront_value"),
    ];
    let model = out.model;
    let reservation = &model.reservations[number];
    let block = &model.blocks.blocks[reservation.block];
    let [fee, _, discount] = model.charges.reservations[number];
    let (account, label) = (block.account, labels::of_account(block.account));
    let hours = reservation.count * ((term.end - term.start) / 3600);
    let unused = hours - used_hours(out, reservation);
    let (recurring, net) = (reservation.recurring * hours, reservation.net_recurring * hours);
    let (unused_recurring, unused_net) = (reservation.recurring * unused, reservation.net_recurring * unused);
    let unused_upfront = reservation.upfront * unused;
    let money = Money {
        net,
        amortized: unused_upfront + unused_recurring,
        net_amortized: unused_upfront + unused_net,
        discounts: [0, 0, recurring - net],
        ..Money::plain(recurring)
    };
    let interval = out.interval(term.start, term.end);
    let keys = Keys {
        class: fee,
        account,
        resource: 0,
        label,
        interval,
    };
    out.push(keys, hours as f64, &money);
    let instance = model.blocks.bundles[block.bundle].instance;
    let factor = instance.map_or(0.0, |instance| instance.factor);
    out.set(FACTOR, factor);
    out.set(NORMALIZED, hours as f64 * factor);
    out.set(const { position("reservation_unused_quantity") }, unused as f64);
    out.set(UNUSED_NORMALIZED, unused as f64 * factor);
    let value = reservation.upfront * reservation.count * reservation.hours;
    for (columns, amount) in [
        (UPFRONT, reservation.upfront * hours),
        (UNUSED_UPFRONT, unused_upfront),
        (VALUE, value),
    ] {
        columns.into_iter().for_each(|column| out.set_amount(column, amount));
    }
    out.set_amount(const { position("reservation_unused_recurring_fee") }, unused_recurring);
    out.set_amount(const { position("reservation_net_unused_recurring_fee") }, unused_net);
    if recurring > net {
        let amount = net - recurring;
        let money = Money {
            unblended: amount,
            amortized: amount,
            ..Money::default()
        };
        out.push(
            Keys {
                class: discount,
                ..keys
            },
            0.0,
            &money,
        );
    }
}

/// Tax, credits, refunds, support and contracts of an account in a month.
pub fn account<W: Write + Send>(out: &mut FileRows<'_, W>, account: usize) -> Result<()> {
    let model = out.model;
    let period = out.period();
    let size = model.resources_of[account].max(1) as f64;
    let whole = out.interval(period.start(), period.end());
    let label = labels::of_account(account);
    let keys = |class: i32| Keys {
        class,
        account,
        resource: 0,
        label,
        interval: whole,
    };
    let word = |place: u64| at(model.spec.seed, &[91, account as u64, month_number(period), place]);
    let cents = |place: u64, dollars: f64| (dollars * size * (0.5 + unit(word(place))) * 100.0 + 1.0) as i64 * CENT;
    let charges = &model.charges;
    for (service, &class) in charges.taxes.iter().enumerate() {
        out.push(keys(class), 1.0, &Money::plain(cents(service as u64, 0.4)));
    }
    if below(word(20), 3) == 0 {
        out.push(keys(charges.credit), 1.0, &Money::plain(-cents(21, 1.1)));
    }
    if below(word(22), 6) == 0 {
        out.push(keys(charges.refund), -1.0, &Money::plain(-cents(23, 0.2)));
    }
    if account == 0 {
        // A support plan costs a share of what the whole organisation uses.
        let all = model.blocks.resources.len().max(10) as f64 / size;
        out.push(keys(charges.support), 1.0, &Money::plain(cents(24, 2.5 * all)));
    }
    if account == 1 {
        out.push(keys(charges.contract), 1.0, &Money::plain(1_250 * 100 * CENT));
    }
    if out.delivery == Delivery::Restated {
        out.push(keys(charges.late_credit), 1.0, &Money::plain(-cents(25, 0.6)));
    }
    out.pause()
}

fn month_number(period: YearMonth) -> u64 {
    period.year() as u64 * 12 + u64::from(period.month())
}
