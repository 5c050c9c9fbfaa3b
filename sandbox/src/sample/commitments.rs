//! Savings Plans and reservations, and what they cost.
//!
//! Hourly amounts are whole numbers of 1e-7 dollars and upfront payments whole multiples of them, so that fees, their
//! amortisation and the unused part agree exactly over the life of a commitment.

use super::SampleSpec;
use super::blocks::Blocks;
use super::calendar::Calendar;
use super::catalogue::{Cover, PaymentOption};
use super::random::{self, at};

/// Hours of a term of three years. Terms end after a fixed number of hours, so amortisation per hour is exact.
pub const THREE_YEARS: i64 = 3 * 365 * 24;
const ONE_YEAR: i64 = 365 * 24;
/// Units of 1e-10 dollars in the steps of hourly prices.
const STEP: i64 = 1000;
/// The same for the commitment of a whole plan, whose upfront payment is tens of thousands of times as much.
const PLAN_STEP: i64 = 1_000_000;

/// A Savings Plan. Amounts are in 1e-10 dollars an hour.
#[derive(Debug)]
pub struct Plan {
    /// ARN.
    pub arn: String,
    /// Account that bought it.
    pub owner: usize,
    /// How it is paid.
    pub payment: PaymentOption,
    /// Offering type.
    pub offering: &'static str,
    /// Instance family of an EC2 Instance Savings Plan.
    pub family: &'static str,
    /// Start and end, seconds since 1970.
    pub term: std::ops::Range<i64>,
    /// Time units of the term.
    pub units: std::ops::Range<i32>,
    /// Upfront payment spread over the term.
    pub amortized: i64,
    /// Recurring fee.
    pub recurring: i64,
    /// Commitment used by the covered resources, by time unit of the calendar.
    pub used: Vec<i64>,
}

/// A reservation of the resources of one block. Amounts are in 1e-10 dollars an hour and instance.
#[derive(Debug)]
pub struct Reservation {
    /// ARN.
    pub arn: String,
    /// Subscription id.
    pub subscription: String,
    /// The block whose resources it covers.
    pub block: usize,
    /// How it is paid.
    pub payment: PaymentOption,
    /// Number of instances reserved; the block may have fewer.
    pub count: i64,
    /// Start and end, seconds since 1970.
    pub term: std::ops::Range<i64>,
    /// Time units of the term.
    pub units: std::ops::Range<i32>,
    /// Hours of the whole term.
    pub hours: i64,
    /// Upfront payment spread over the term.
    pub upfront: i64,
    /// Recurring fee.
    pub recurring: i64,
    /// Recurring fee after discounts.
    pub net_recurring: i64,
}

/// On-Demand price to Savings Plan price, in 1e-10 dollars an hour.
pub fn plan_rate(plan: usize, on_demand: i64) -> i64 {
    let thousandths = [720, 610, 590][plan.min(2)];
    on_demand * thousandths / 1000 / STEP * STEP
}

/// Splits an hourly price into the amortised upfront part and the recurring part.
fn split(payment: PaymentOption, hourly: i64) -> (i64, i64) {
    match payment {
        PaymentOption::Fees => (0, hourly),
        PaymentOption::Mixed => {
            let upfront = hourly / 2 / STEP * STEP;
            (upfront, hourly - upfront)
        }
        PaymentOption::Upfront => (hourly, 0),
    }
}

/// The three plans of the organisation: a Compute plan of the payer from before the first month, an EC2 Instance plan
/// that the payer buys in the second month, and a Compute plan that the last linked account buys in the third.
pub fn plans(spec: &SampleSpec, calendar: &Calendar, blocks: &Blocks) -> Vec<Plan> {
    let month = |n: usize| calendar.months[n.min(calendar.months.len() - 1)];
    let linked = spec.linked_accounts as usize;
    let day = 86_400;
    let terms = [
        (
            0,
            PaymentOption::Fees,
            "ComputeSavingsPlans",
            "",
            calendar.months[0].plus(-4).start() + 9 * day,
        ),
        (
            0,
            PaymentOption::Mixed,
            "EC2InstanceSavingsPlans",
            "c6i",
            month(1).start() + 3 * day,
        ),
        (
            linked,
            PaymentOption::Upfront,
            "ComputeSavingsPlans",
            "",
            month(2).start() + 7 * day,
        ),
    ];
    let accounts: Vec<String> = spec
        .organisation()
        .accounts()
        .map(|account| account.id.clone())
        .collect();
    terms
        .into_iter()
        .enumerate()
        .map(|(number, (owner, payment, offering, family, start))| {
            let term = start..start + THREE_YEARS * 3600;
            let units = calendar.unit_of(term.start)..calendar.unit_of(term.end);
            let used = used(calendar, blocks, number, &units);
            // A little more than what is used at most, so a part is always unused.
            let most = used.iter().copied().max().unwrap_or(0);
            let hourly = (most / PLAN_STEP * 103 / 100 + 1) * PLAN_STEP;
            let (amortized, recurring) = split(payment, hourly);
            let id = random::uuid(at(spec.seed, &[41, number as u64]));
            let arn = format!("arn:aws:savingsplans::{}:savingsplan/{id}", accounts[owner]);
            Plan {
                arn,
                owner,
                payment,
                offering,
                family,
                term,
                units,
                amortized,
                recurring,
                used,
            }
        })
        .collect()
}

/// Commitment that the resources of a plan use in each time unit, an hour.
fn used(calendar: &Calendar, blocks: &Blocks, plan: usize, units: &std::ops::Range<i32>) -> Vec<i64> {
    let all = calendar.unit_count();
    // Changes at births and deaths first, their running sum then.
    let mut used = vec![0_i64; all as usize + 1];
    for block in &blocks.blocks {
        let bundle = &blocks.bundles[block.bundle];
        if bundle.cover != Cover::Plan(plan) {
            continue;
        }
        let rate = plan_rate(plan, bundle.meters[0].rate);
        for resource in blocks.members(block) {
            let from = resource.birth.max(units.start).max(0);
            let to = resource.death.min(units.end).min(all);
            if from < to {
                used[from as usize] += rate;
                used[to as usize] -= rate;
            }
        }
    }
    let mut sum = 0;
    for slot in &mut used {
        sum += *slot;
        *slot = sum;
    }
    used.truncate(all as usize);
    used
}

/// The reservations: one for each block of a reserved kind.
pub fn reservations(spec: &SampleSpec, calendar: &Calendar, blocks: &Blocks) -> Vec<Reservation> {
    let accounts: Vec<String> = spec
        .organisation()
        .accounts()
        .map(|account| account.id.clone())
        .collect();
    let mut reservations = Vec::new();
    for (index, block) in blocks.blocks.iter().enumerate() {
        let bundle = &blocks.bundles[block.bundle];
        let Cover::Reservation(payment) = bundle.cover else {
            continue;
        };
        let word = at(spec.seed, &[42, index as u64]);
        let last = calendar.months.len() as i32 - 1;
        let (months, hours) = match payment {
            PaymentOption::Fees => (-3, THREE_YEARS),
            PaymentOption::Mixed => (1.min(last), ONE_YEAR),
            PaymentOption::Upfront => (2.min(last), THREE_YEARS),
        };
        let start = calendar.months[0].plus(months).start() + 86_400 * random::below(word, 20) as i64;
        let term = start..start + hours * 3600;
        let hourly = bundle.meters[0].rate * 62 / 100 / STEP * STEP;
        let (upfront, recurring) = split(payment, hourly);
        let edp = bundle.discounts.edp;
        let id = random::uuid(at(word, &[1]));
        let region = super::organisation::REGIONS[usize::from(block.region)].code;
        let (service, noun) = match bundle.code {
            "AmazonRDS" => ("rds", "ri:ri-"),
            "AmazonElastiCache" => ("elasticache", "reserved-instance:"),
            _ => ("ec2", "reserved-instances/"),
        };
        reservations.push(Reservation {
            arn: format!("arn:aws:{service}:{region}:{}:{noun}{id}", accounts[block.account]),
            subscription: random::text(at(word, &[2]), 10, random::DIGITS),
            block: index,
            payment,
            // One more than is there, where there is much: an unused part from the first day.
            count: i64::from(block.count) + i64::from(block.count > 3),
            units: calendar.unit_of(term.start)..calendar.unit_of(term.end),
            term,
            hours,
            upfront,
            recurring,
            net_recurring: recurring - recurring * edp / 1000,
        });
    }
    reservations
}
