//! Rows of a block: usage, what commitments cover of it, and the discounts on it.

use std::io::Write;
use std::ops::Range;

use parquet::errors::Result;

use super::Delivery;
use super::blocks::{Block, Blocks, Resource, follows_size};
use super::catalogue::{Bundle, Cover, Line, Meter, Shape};
use super::columns::position;
use super::commitments::plan_rate;
use super::file::FileRows;
use super::labels;
use super::model::{MeterClasses, Model};
use super::random::{at, below, mix, unit};
use super::rows::{Keys, Money};

/// Largest amount of a row: fifteen digits.
const LARGEST: f64 = 999_999_999_999_999.0;

/// Share of the usual traffic by hour of the day.
const HOURS: [f64; 24] = [
    0.62, 0.56, 0.52, 0.5, 0.52, 0.6, 0.74, 0.92, 1.1, 1.24, 1.32, 1.36, 1.34, 1.36, 1.38, 1.34, 1.28, 1.22, 1.2, 1.2,
    1.14, 1.0, 0.84, 0.72,
];
/// Share of the usual traffic by month of the year.
const MONTHS: [f64; 12] = [0.96, 0.95, 0.98, 1.0, 1.0, 0.97, 0.93, 0.92, 1.0, 1.04, 1.14, 1.18];

/// Everything that the rows of one meter of a block share.
struct Run<'a> {
    block: &'a Block,
    bundle: &'a Bundle,
    meter: &'a Meter,
    classes: MeterClasses,
    /// Time units in which a commitment covers the resources, and at what price.
    covered: Range<i32>,
    rate: CoveredRate,
    /// Factor on quantities by time unit of the month.
    seasons: Vec<f64>,
}

#[derive(Clone, Copy)]
enum CoveredRate {
    None,
    Plan {
        hourly: i64,
    },
    Reservation {
        upfront: i64,
        recurring: i64,
        net_recurring: i64,
    },
}

/// What the rows of a meter add up to by time unit: negated cost and usage, and discounts by kind.
struct Sums {
    negated: Vec<(i64, f64)>,
    discounts: Vec<[i64; 3]>,
}

/// Writes all rows of a block in a month.
pub fn block<W: Write + Send>(out: &mut FileRows<'_, W>, number: usize) -> Result<()> {
    let model = out.model;
    let block = &model.blocks.blocks[number];
    let bundle = &model.blocks.bundles[block.bundle];
    for (index, meter) in bundle.meters.iter().enumerate() {
        let run = run(out, number, index, meter);
        let units = (out.units.end - out.units.start) as usize;
        let mut sums = Sums {
            negated: vec![(0, 0.0); units],
            discounts: vec![[0; 3]; units],
        };
        for (nth, resource) in model.blocks.members(block).iter().enumerate() {
            if bundle.line == Line::Split {
                pod(out, &run, nth as u32, resource, index)?;
            } else {
                line(out, &run, nth as u32, resource, index, &mut sums)?;
            }
        }
        negations(out, &run, &sums);
        discounts(out, &run, &sums);
        out.pause()?;
    }
    Ok(())
}

fn run<'m, W: Write + Send>(out: &FileRows<'m, W>, number: usize, index: usize, meter: &'m Meter) -> Run<'m> {
    let model = out.model;
    let block = &model.blocks.blocks[number];
    let bundle = &model.blocks.bundles[block.bundle];
    let (covered, rate) = match (bundle.cover, model.reservation_of[number]) {
        (Cover::Plan(plan), _) => (
            model.plans[plan].units.clone(),
            CoveredRate::Plan {
                hourly: plan_rate(plan, meter.rate),
            },
        ),
        (_, Some(reservation)) => {
            let reservation = &model.reservations[reservation];
            let (upfront, recurring, net_recurring) =
                (reservation.upfront, reservation.recurring, reservation.net_recurring);
            (
                reservation.units.clone(),
                CoveredRate::Reservation {
                    upfront,
                    recurring,
                    net_recurring,
                },
            )
        }
        _ => (0..0, CoveredRate::None),
    };
    let seasons = out
        .units
        .clone()
        .map(|unit| season(model, block, bundle, meter, unit))
        .collect();
    Run {
        block,
        bundle,
        meter,
        classes: model.meters[number][index],
        covered,
        rate,
        seasons,
    }
}

/// Factor on the usual quantity of a meter in a time unit.
fn season(model: &Model, block: &Block, bundle: &Bundle, meter: &Meter, unit: i32) -> f64 {
    let calendar = &model.calendar;
    let days = f64::from(unit) * calendar.unit_hours() as f64 / 24.0;
    match meter.shape {
        Shape::Steady => 1.0,
        Shape::Stock => 1.0 + 0.0004 * days,
        Shape::Flow(weekend) => {
            let mut factor = 1.0 + 0.0007 * days;
            if calendar.weekday(unit) >= 5 {
                factor *= weekend;
            }
            if model.hourly() {
                factor *= HOURS[calendar.hour(unit)];
            }
            let month = calendar
                .months
                .partition_point(|m| m.start() <= calendar.unit_start(unit))
                .saturating_sub(1);
            factor *= MONTHS[calendar.months[month].month() as usize - 1];
            for anomaly in &model.anomalies {
                if anomaly.account == block.account && anomaly.code == bundle.code && anomaly.units.contains(&unit) {
                    factor *= anomaly.factor;
                }
            }
            factor
        }
    }
}

fn keys(run: &Run<'_>, class: i32, nth: u32, resource: &Resource, interval: i32) -> Keys {
    let label = labels::of_resource(run.block.account, resource.tags, run.bundle.line == Line::Split);
    Keys {
        class,
        account: run.block.account,
        resource: (run.block.first + nth + 1) as i32,
        label,
        interval,
    }
}

/// A quantity in millionths.
fn quantity(run: &Run<'_>, resource: &Resource, place: usize, seed: u64, hours: i64) -> i64 {
    let meter = run.meter;
    let share = hours as f64 / 24.0;
    let size = if follows_size(meter.shape) { resource.size } else { 1.0 };
    let noise = match meter.shape {
        Shape::Flow(_) => 0.8 + 0.4 * unit(at(seed, &[place as u64])),
        _ => 1.0,
    };
    (meter.per_day * share * size * run.seasons[place] * noise * 1e6) as i64
}

/// Cost of a quantity in millionths at a rate in 1e-10 dollars. IEEE arithmetic gives the same on every machine; the result
/// is the amount, whatever was lost on the way.
fn cost(rate: i64, millionths: i64) -> i64 {
    (rate as f64 * millionths as f64 / 1e6 + 0.5).min(LARGEST) as i64
}

/// The part of `amount` that a share in thousandths takes.
fn share(amount: i64, thousandths: i64) -> i64 {
    ((amount as i128 * i128::from(thousandths) + 500) / 1000) as i64
}

/// Usage of one resource on one meter.
fn line<W: Write + Send>(
    out: &mut FileRows<'_, W>,
    run: &Run<'_>,
    nth: u32,
    resource: &Resource,
    index: usize,
    sums: &mut Sums,
) -> Result<()> {
    let from = resource.birth.max(out.units.start);
    let to = resource.death.min(out.units.end);
    let hours = out.model.calendar.unit_hours();
    let seed = mix(resource.seed ^ (index as u64 + 1));
    let corrected = out.delivery == Delivery::Restated && below(at(seed, &[81, out.month as u64]), 40) == 0;
    for time in from..to {
        let place = out.unit(time) as usize;
        let noise = mix(seed ^ time as u64);
        let mut millionths = quantity(run, resource, place, noise, hours);
        if corrected && run.meter.shape != Shape::Steady {
            millionths += millionths / 16;
        }
        let usage = millionths as f64 / 1e6;
        let interval = place as i32;
        if run.covered.contains(&time) {
            covered(
                out,
                run,
                keys(run, run.classes.covered, nth, resource, interval),
                usage,
                hours,
                sums,
            );
        } else {
            let amount = cost(run.meter.rate, millionths);
            let money = on_demand(run.bundle, amount);
            for (sum, part) in sums.discounts[place].iter_mut().zip(money.discounts) {
                *sum += part;
            }
            out.push(keys(run, run.classes.usage, nth, resource, interval), usage, &money);
            factor(out, run, index, usage);
        }
    }
    out.pause()
}

/// On-Demand cost with its discounts, each on what the one before left.
fn on_demand(bundle: &Bundle, amount: i64) -> Money {
    let discounts = bundle.discounts;
    let bundled = share(amount, discounts.bundled);
    let private = share(amount - bundled, discounts.private);
    let edp = share(amount - bundled - private, discounts.edp);
    let net = amount - bundled - private - edp;
    Money {
        unblended: amount,
        net,
        amortized: amount,
        net_amortized: net,
        blended: Some(amount),
        public: Some(amount),
        discounts: [bundled, private, edp],
    }
}

/// The normalised amount of instance hours.
fn factor<W: Write + Send>(out: &mut FileRows<'_, W>, run: &Run<'_>, index: usize, usage: f64) {
    let Some(instance) = run
        .bundle
        .instance
        .filter(|instance| index == 0 && instance.factor > 0.0)
    else {
        return;
    };
    out.set(const { position("line_item_normalization_factor") }, instance.factor);
    out.set(
        const { position("line_item_normalized_usage_amount") },
        usage * instance.factor,
    );
}

/// Usage that a commitment covers: `usage` is in hours.
fn covered<W: Write + Send>(
    out: &mut FileRows<'_, W>,
    run: &Run<'_>,
    keys: Keys,
    usage: f64,
    hours: i64,
    sums: &mut Sums,
) {
    let list = run.meter.rate * hours;
    match run.rate {
        CoveredRate::None => {}
        CoveredRate::Plan { hourly } => {
            let effective = hourly * hours;
            let (amortized, net_amortized) = (effective, effective);
            let money = Money {
                amortized,
                net_amortized,
                public: Some(list),
                ..Money::plain(list)
            };
            let negated = &mut sums.negated[keys.interval as usize];
            negated.0 += list;
            negated.1 += usage;
            out.push(keys, usage, &money);
            out.set_amount(const { position("savings_plan_savings_plan_rate") }, hourly);
            out.set_amount(
                const { position("savings_plan_savings_plan_effective_cost") },
                effective,
            );
            out.set_amount(
                const { position("savings_plan_net_savings_plan_effective_cost") },
                effective,
            );
        }
        CoveredRate::Reservation {
            upfront,
            recurring,
            net_recurring,
        } => {
            let [upfront, recurring, net] = [upfront, recurring, net_recurring].map(|hourly| hourly * hours);
            let (amortized, net_amortized) = (upfront + recurring, upfront + net);
            let money = Money {
                amortized,
                net_amortized,
                public: Some(list),
                ..Money::plain(0)
            };
            out.push(keys, usage, &money);
            out.set_amount(
                const { position("reservation_amortized_upfront_cost_for_usage") },
                upfront,
            );
            out.set_amount(const { position("reservation_recurring_fee_for_usage") }, recurring);
            out.set_amount(const { position("reservation_effective_cost") }, upfront + recurring);
            out.set_amount(
                const { position("reservation_net_amortized_upfront_cost_for_usage") },
                upfront,
            );
            out.set_amount(const { position("reservation_net_recurring_fee_for_usage") }, net);
            out.set_amount(const { position("reservation_net_effective_cost") }, upfront + net);
        }
    }
    factor(out, run, 0, usage);
}

/// One negation for all that a plan covers in a time unit of this block.
fn negations<W: Write + Send>(out: &mut FileRows<'_, W>, run: &Run<'_>, sums: &Sums) {
    for (place, &(amount, usage)) in sums.negated.iter().enumerate() {
        if amount == 0 {
            continue;
        }
        let account = run.block.account;
        let keys = Keys {
            class: run.classes.negation,
            account,
            resource: 0,
            label: labels::of_account(account),
            interval: place as i32,
        };
        let money = Money {
            amortized: 0,
            net_amortized: 0,
            ..Money::plain(-amount)
        };
        out.push(
            keys,
            -usage,
            &Money {
                public: Some(0),
                ..money
            },
        );
    }
}

/// One discount row for each kind of discount and some time units of this block.
fn discounts<W: Write + Send>(out: &mut FileRows<'_, W>, run: &Run<'_>, sums: &Sums) {
    let step = Blocks::discount_units(run.block, out.model.hourly()) as usize;
    let account = run.block.account;
    for (chunk, parts) in sums.discounts.chunks(step).enumerate() {
        let first = out.units.start + (chunk * step) as i32;
        let calendar = &out.model.calendar;
        let (start, end) = (
            calendar.unit_start(first),
            calendar.unit_start(first + parts.len() as i32),
        );
        for kind in 0..3 {
            let amount: i64 = parts.iter().map(|part| part[kind]).sum();
            if amount == 0 {
                continue;
            }
            let interval = if parts.len() == 1 {
                out.unit(first)
            } else {
                out.interval(start, end)
            };
            let label = labels::of_account(account);
            let keys = Keys {
                class: run.classes.discounts[kind],
                account,
                resource: 0,
                label,
                interval,
            };
            // The discount is in the net cost of the usage rows already.
            let money = Money {
                unblended: -amount,
                amortized: -amount,
                ..Money::default()
            };
            out.push(keys, 0.0, &money);
        }
    }
}

/// What the split cost of a pod is made from.
struct Host {
    /// Kind of the instance.
    bundle: Bundle,
    /// Plan that covers the instance, and the instance's price under it.
    plan: Option<(Range<i32>, i64)>,
    /// Share of the instance's cost that a unit of what is split has.
    part: f64,
    /// Units that the instance has.
    capacity: f64,
}

/// The instance of a pod; processors are split on the first meter, memory on the second.
fn host(model: &Model, resource: &Resource, index: usize) -> Option<Host> {
    let parent = resource.parent?;
    let blocks = &model.blocks.blocks;
    let block = blocks.partition_point(|block| block.first <= parent).checked_sub(1)?;
    let bundle = model.blocks.bundles[blocks[block].bundle];
    let instance = bundle.instance?;
    let plan = match bundle.cover {
        Cover::Plan(plan) => Some((model.plans[plan].units.clone(), plan_rate(plan, bundle.meters[0].rate))),
        _ => None,
    };
    // One virtual processor costs nine times as much as one GiB.
    let parts = (9 * instance.vcpu + instance.memory) as f64;
    let (capacity, weight) = if index == 0 {
        (instance.vcpu, 9.0)
    } else {
        (instance.memory, 1.0)
    };
    Some(Host {
        bundle,
        plan,
        part: weight / parts,
        capacity: capacity as f64,
    })
}

/// Split cost of a pod. What it costs is in the instance's row.
fn pod<W: Write + Send>(
    out: &mut FileRows<'_, W>,
    run: &Run<'_>,
    nth: u32,
    resource: &Resource,
    index: usize,
) -> Result<()> {
    const QUANTITIES: [usize; 3] = [
        position("split_line_item_reserved_usage"),
        position("split_line_item_actual_usage"),
        position("split_line_item_split_usage"),
    ];
    const AMOUNTS: [usize; 6] = [
        position("split_line_item_split_cost"),
        position("split_line_item_unused_cost"),
        position("split_line_item_net_split_cost"),
        position("split_line_item_net_unused_cost"),
        position("split_line_item_public_on_demand_split_cost"),
        position("split_line_item_public_on_demand_unused_cost"),
    ];
    let Some(host) = host(out.model, resource, index) else {
        return Ok(());
    };
    let hours = out.model.calendar.unit_hours() as f64;
    let list = host.bundle.meters[0].rate;
    let reserved = host.capacity / (8 * (1 + resource.seed % 3)) as f64;
    for time in resource.birth.max(out.units.start)..resource.death.min(out.units.end) {
        let actual = reserved * (0.4 + 0.9 * unit(at(resource.seed, &[time as u64, index as u64])));
        let used = reserved.max(actual);
        let split = |rate: i64| (rate as f64 * host.part * used * hours) as i64;
        let covered = host.plan.as_ref().filter(|(units, _)| units.contains(&time));
        let amount = split(covered.map_or(list, |(_, rate)| *rate));
        let edp = if covered.is_some() {
            0
        } else {
            host.bundle.discounts.edp
        };
        let net = amount - share(amount, edp);
        let public = split(list);
        let interval = out.unit(time);
        let money = Money {
            blended: Some(0),
            public: Some(0),
            ..Money::default()
        };
        out.push(
            keys(run, run.classes.usage, nth, resource, interval),
            used * hours,
            &money,
        );
        for (column, quantity) in QUANTITIES.into_iter().zip([reserved, actual, used]) {
            out.set(column, quantity * hours);
        }
        if out.model.hourly() {
            out.set(
                const { position("split_line_item_split_usage_ratio") },
                used / host.capacity,
            );
        }
        let amounts = [amount, amount / 7, net, net / 7, public, public / 7];
        AMOUNTS
            .into_iter()
            .zip(amounts)
            .for_each(|(column, amount)| out.set_amount(column, amount));
    }
    out.pause()
}
