//! The whole organisation, ready to make rows from.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};

use super::blocks::{Block, Blocks};
use super::calendar::Calendar;
use super::catalogue::{Bundle, Cover, IdStyle, Line, bundles};
use super::classes::{Class, ClassNumbers, ClassText, TAXED, Way, describe};
use super::columns::{COLUMNS, ColumnKind, position};
use super::commitments::{Plan, Reservation, plans, reservations};
use super::labels::Labels;
use super::organisation::{Account, REGIONS};
use super::random::{HEX, at, below, text, uuid};
use super::rows::{DISCOUNTS, TextMaps};
use super::shape::Shape;
use super::{ExportForm, Granularity, SampleSpec};

/// What the texts of classes are made from.
pub struct Facts<'a> {
    /// Seed of the sample.
    pub seed: u64,
    /// Kinds of resources.
    pub bundles: &'a [Bundle],
    /// Blocks of resources.
    pub blocks: &'a [Block],
    /// Accounts, the payer first.
    pub accounts: &'a [Account],
    /// Savings Plans.
    pub plans: &'a [Plan],
    /// Reservations.
    pub reservations: &'a [Reservation],
}

/// Numbers of the classes of one meter in a block.
#[derive(Clone, Copy, Debug)]
pub struct MeterClasses {
    /// On demand.
    pub usage: i32,
    /// Covered by a plan or reservation; the On-Demand class if there is none.
    pub covered: i32,
    /// Negation of what a plan covers.
    pub negation: i32,
    /// Discount rows: bundled, private rate, enterprise.
    pub discounts: [i32; 3],
}

/// Numbers of the classes of charges that belong to no block.
#[derive(Debug)]
pub struct ChargeClasses {
    /// Fee and upfront payment by plan.
    pub plans: Vec<[i32; 2]>,
    /// Fee, upfront payment and discount by reservation.
    pub reservations: Vec<[i32; 3]>,
    /// Tax by service.
    pub taxes: Vec<i32>,
    /// Credit.
    pub credit: i32,
    /// Credit after the month.
    pub late_credit: i32,
    /// Refund.
    pub refund: i32,
    /// Support plan.
    pub support: i32,
    /// AWS Marketplace contract.
    pub contract: i32,
}

/// A service that costs several times as much as usual for some days in one account.
#[derive(Clone, Debug)]
pub struct Anomaly {
    /// Account.
    pub account: usize,
    /// Product code.
    pub code: &'static str,
    /// Time units.
    pub units: std::ops::Range<i32>,
    /// How many times as much.
    pub factor: f64,
}

/// Text columns of a table by position in the table of columns.
pub type TextTable = Vec<Option<ArrayRef>>;

/// The organisation and its tables of text.
pub struct Model {
    /// What was asked for.
    pub spec: SampleSpec,
    /// Months and time units.
    pub calendar: Calendar,
    /// Accounts, the payer first.
    pub accounts: Vec<Account>,
    /// Resources.
    pub blocks: Blocks,
    /// Savings Plans.
    pub plans: Vec<Plan>,
    /// Reservations.
    pub reservations: Vec<Reservation>,
    /// Number of resources by account.
    pub resources_of: Vec<u32>,
    /// Number of the reservation of a block.
    pub reservation_of: Vec<Option<usize>>,
    /// Anomalies.
    pub anomalies: Vec<Anomaly>,
    /// Classes by block and meter.
    pub meters: Vec<Vec<MeterClasses>>,
    /// Classes of other charges.
    pub charges: ChargeClasses,
    /// Invoice by class.
    pub invoices: Vec<i32>,
    /// Texts by class.
    pub class_texts: TextTable,
    /// Column `product` by class.
    pub products: TextMaps,
    /// Texts by resource; the first is no resource.
    pub resource_texts: TextTable,
    /// Texts by account.
    pub account_texts: TextTable,
    /// Tags and cost categories.
    pub labels: Labels,
    /// Columns of the files.
    pub shape: Arc<Shape>,
}

/// Rows of all blocks in all months.
fn planned_rows(blocks: &Blocks, calendar: &Calendar, hourly: bool) -> u64 {
    let months = 0..calendar.months.len();
    months
        .map(|m| {
            blocks
                .blocks
                .iter()
                .map(|b| blocks.rows(b, calendar.units(m), hourly))
                .sum::<u64>()
        })
        .sum()
}

impl Model {
    /// Builds the organisation, with so many resources that the number of rows comes near the one asked for.
    pub fn new(spec: &SampleSpec) -> Self {
        let calendar = Calendar::new(spec.end, spec.months, spec.granularity);
        let hourly = spec.granularity == Granularity::Hourly;
        let mut scale = spec.rows as f64 / f64::from(calendar.unit_count()) / 1.7;
        let mut blocks = Blocks::new(spec, &calendar, bundles(), scale);
        for _ in 0..3 {
            let planned = planned_rows(&blocks, &calendar, hourly).max(1) as f64;
            if (planned / spec.rows as f64 - 1.0).abs() < 0.02 {
                break;
            }
            scale *= (spec.rows as f64 / planned).clamp(0.1, 10.0);
            blocks = Blocks::new(spec, &calendar, bundles(), scale);
        }
        let accounts: Vec<Account> = spec.organisation().accounts().cloned().collect();
        let plans = plans(spec, &calendar, &blocks);
        let reservations = reservations(spec, &calendar, &blocks);
        let mut reservation_of = vec![None; blocks.blocks.len()];
        for (number, reservation) in reservations.iter().enumerate() {
            reservation_of[reservation.block] = Some(number);
        }
        let mut resources_of = vec![0; accounts.len()];
        for block in &blocks.blocks {
            resources_of[block.account] += block.count;
        }
        let mut numbers = ClassNumbers::default();
        let meters = meter_classes(&mut numbers, &blocks, &reservation_of);
        let charges = charge_classes(&mut numbers, plans.len(), reservations.len());
        let facts = Facts {
            seed: spec.seed,
            bundles: &blocks.bundles,
            blocks: &blocks.blocks,
            accounts: &accounts,
            plans: &plans,
            reservations: &reservations,
        };
        let texts: Vec<ClassText> = numbers.list().iter().map(|&class| describe(&facts, class)).collect();
        let class_texts = class_table(&texts);
        let mut products = TextMaps::default();
        for text in &texts {
            let entries: Option<Vec<(&str, &str)>> = text
                .product
                .as_ref()
                .map(|map| map.iter().map(|(key, value)| (*key, value.as_str())).collect());
            products.push(entries.as_deref());
        }
        products.finish();
        let invoices = numbers.list().iter().map(|&class| invoice(&blocks, class)).collect();
        let mut labels = Labels::new(spec.seed, accounts.iter());
        labels.resource_tags.finish();
        labels.tags.finish();
        labels.cost_category.finish();
        let shape = Arc::new(match spec.form {
            ExportForm::Cur2 => Shape::cur2(),
            ExportForm::Focus => Shape::focus(),
            ExportForm::LegacyParquet => Shape::legacy(&BTreeMap::from([
                ("product", products.keys()),
                ("discount", DISCOUNTS.map(str::to_owned).to_vec()),
                ("resource_tags", labels.resource_tags.keys()),
                ("cost_category", labels.cost_category.keys()),
            ])),
        });
        Self {
            shape,
            resource_texts: resource_table(spec, &blocks, &accounts),
            account_texts: account_table(&accounts),
            anomalies: anomalies(spec, &calendar),
            spec: spec.clone(),
            calendar,
            accounts,
            blocks,
            plans,
            reservations,
            resources_of,
            reservation_of,
            meters,
            charges,
            invoices,
            class_texts,
            products,
            labels,
        }
    }

    /// Whether rows cover an hour.
    pub fn hourly(&self) -> bool {
        self.spec.granularity == Granularity::Hourly
    }
}

fn invoice(blocks: &Blocks, class: Class) -> i32 {
    let marketplace = match class {
        Class::Metered { bundle, .. } => matches!(blocks.bundles[bundle].line, Line::Marketplace(_)),
        _ => false,
    };
    class.invoice(marketplace) as i32
}

fn meter_classes(
    numbers: &mut ClassNumbers,
    blocks: &Blocks,
    reservation_of: &[Option<usize>],
) -> Vec<Vec<MeterClasses>> {
    let mut all = Vec::with_capacity(blocks.blocks.len());
    for (index, block) in blocks.blocks.iter().enumerate() {
        let bundle = &blocks.bundles[block.bundle];
        let classes = (0..bundle.meters.len()).map(|meter| {
            let mut of = |way| {
                numbers.number(Class::Metered {
                    bundle: block.bundle,
                    meter,
                    region: block.region,
                    way,
                })
            };
            let usage = of(Way::OnDemand);
            let (covered, negation) = match (bundle.cover, reservation_of[index]) {
                (Cover::Plan(plan), _) => (of(Way::Covered(plan)), of(Way::Negation(plan))),
                (_, Some(reservation)) => (of(Way::Reserved(reservation)), usage),
                _ => (usage, usage),
            };
            let discounts = [of(Way::Bundled), of(Way::Private), of(Way::Enterprise)];
            MeterClasses {
                usage,
                covered,
                negation,
                discounts,
            }
        });
        all.push(classes.collect());
    }
    all
}

fn charge_classes(numbers: &mut ClassNumbers, plans: usize, reservations: usize) -> ChargeClasses {
    let mut of = |class| numbers.number(class);
    ChargeClasses {
        plans: (0..plans)
            .map(|n| [of(Class::PlanFee(n)), of(Class::PlanUpfront(n))])
            .collect(),
        reservations: (0..reservations)
            .map(|n| {
                [
                    of(Class::ReservationFee(n)),
                    of(Class::ReservationUpfront(n)),
                    of(Class::ReservationDiscount(n)),
                ]
            })
            .collect(),
        taxes: (0..TAXED.len()).map(|n| of(Class::Tax(n))).collect(),
        credit: of(Class::Credit),
        late_credit: of(Class::LateCredit),
        refund: of(Class::Refund),
        support: of(Class::Support),
        contract: of(Class::Contract),
    }
}

fn class_table(texts: &[ClassText]) -> TextTable {
    COLUMNS
        .iter()
        .enumerate()
        .map(|(column, _)| {
            let values = texts.iter().map(|text| text.columns[column].as_deref());
            (COLUMNS[column].kind == ColumnKind::Text).then(|| Arc::new(StringArray::from_iter(values)) as ArrayRef)
        })
        .collect()
}

fn account_table(accounts: &[Account]) -> TextTable {
    let mut table: TextTable = vec![None; COLUMNS.len()];
    let ids = accounts.iter().map(|account| Some(account.id.as_str()));
    let names = accounts.iter().map(|account| Some(account.name.as_str()));
    table[position("line_item_usage_account_id")] = Some(Arc::new(StringArray::from_iter(ids)));
    table[position("line_item_usage_account_name")] = Some(Arc::new(StringArray::from_iter(names)));
    table
}

/// Some services that cost several times as much for some days, spread over the months.
fn anomalies(spec: &SampleSpec, calendar: &Calendar) -> Vec<Anomaly> {
    let all = f64::from(calendar.unit_count());
    let per_day = 86_400 / calendar.unit_seconds as i32;
    let kinds = [
        ("AWSLambda", 0.22, 3, 9.0),
        ("AmazonS3", 0.45, 6, 5.0),
        ("AmazonCloudWatch", 0.68, 2, 12.0),
        ("AmazonEC2", 0.9, 4, 7.0),
    ];
    kinds
        .into_iter()
        .enumerate()
        .map(|(n, (code, share, days, factor))| {
            let account = 1 + below(at(spec.seed, &[61, n as u64]), u64::from(spec.linked_accounts).min(4)) as usize;
            let start = (all * share) as i32 / per_day * per_day;
            Anomaly {
                account,
                code,
                units: start..start + days * per_day,
                factor,
            }
        })
        .collect()
}

/// The id of a resource.
fn resource_id(blocks: &Blocks, block: &Block, seed: u64, nth: u32, account: &Account) -> String {
    let bundle = &blocks.bundles[block.bundle];
    let region = REGIONS[usize::from(block.region)].code;
    let name = format!(
        "{}-{}",
        ["orders", "events", "media", "users", "audit", "search", "batch", "edge"][(seed % 8) as usize],
        text(seed, 6, HEX)
    );
    match bundle.id {
        IdStyle::None => String::new(),
        IdStyle::Bare(prefix) => format!("{prefix}{}", text(seed, 16, HEX)),
        IdStyle::GlobalArn("s3", _) => format!("arn:aws:s3:::{}-{name}", account.name),
        IdStyle::GlobalArn(service, noun) => format!(
            "arn:aws:{service}::{}:{noun}{}",
            account.id,
            text(seed, 14, super::random::UPPER)
        ),
        IdStyle::Arn(service, noun @ "key/") => {
            format!("arn:aws:{service}:{region}:{}:{noun}{}", account.id, uuid(seed))
        }
        IdStyle::Arn(service, noun) if noun.ends_with('0') => {
            format!(
                "arn:aws:{service}:{region}:{}:{noun}{}",
                account.id,
                text(seed, 16, HEX)
            )
        }
        IdStyle::Arn(service, noun) => format!("arn:aws:{service}:{region}:{}:{noun}{name}", account.id),
        IdStyle::Pod => format!(
            "arn:aws:eks:{region}:{}:pod/apps/{name}/{name}-{nth}/{}",
            account.id,
            uuid(seed)
        ),
    }
}

fn resource_table(spec: &SampleSpec, blocks: &Blocks, accounts: &[Account]) -> TextTable {
    // The first entry stands for rows without a resource.
    let count = blocks.resources.len() + 1;
    let mut ids: Vec<Option<String>> = vec![Some(String::new())];
    let mut zones: Vec<Option<String>> = vec![Some(String::new())];
    let empty = || vec![None; count];
    let (mut parents, mut principals, mut users) = (empty(), empty(), empty());
    let (mut arns, mut states, mut types) = (empty(), empty(), empty());
    for block in &blocks.blocks {
        let bundle = &blocks.bundles[block.bundle];
        let account = &accounts[block.account];
        let region = REGIONS[usize::from(block.region)].code;
        let zone = format!("{region}{}", char::from(b'a' + block.zone));
        for (nth, resource) in blocks.members(block).iter().enumerate() {
            let row = ids.len();
            ids.push(Some(resource_id(blocks, block, resource.seed, nth as u32, account)));
            let zonal = bundle.code == "AmazonEC2" && matches!(bundle.id, IdStyle::Bare(_));
            zones.push(if zonal {
                Some(zone.clone())
            } else {
                (bundle.id == IdStyle::None).then(String::new)
            });
            if let Some(parent) = resource.parent {
                parents[row] = ids[parent as usize + 1].clone();
            }
            if bundle.code == "AmazonBedrock" {
                principals[row] = Some(format!(
                    "arn:aws:iam::{}:role/inference-{}",
                    account.id,
                    resource.seed % 5
                ));
            }
            if bundle.line == Line::Flat {
                users[row] = Some(uuid(at(resource.seed, &[9])));
            }
            let is_instance = zonal && bundle.instance.is_some() && below(at(spec.seed ^ resource.seed, &[8]), 25) == 0;
            if is_instance {
                let name = text(at(resource.seed, &[10]), 17, HEX);
                arns[row] = Some(format!(
                    "arn:aws:ec2:{region}:{}:capacity-reservation/cr-{name}",
                    account.id
                ));
                states[row] = Some("Used".to_owned());
                types[row] = Some("ODCR".to_owned());
            }
        }
    }
    let mut table: TextTable = vec![None; COLUMNS.len()];
    for (column, values) in [
        (position("line_item_resource_id"), ids),
        (position("line_item_availability_zone"), zones),
        (position("split_line_item_parent_resource_id"), parents),
        (position("line_item_iam_principal"), principals),
        (position("line_item_user_identifier"), users),
        (position("capacity_reservation_capacity_reservation_arn"), arns),
        (position("capacity_reservation_capacity_reservation_status"), states),
        (position("capacity_reservation_capacity_reservation_type"), types),
    ] {
        table[column] = Some(Arc::new(StringArray::from(values)));
    }
    table
}
