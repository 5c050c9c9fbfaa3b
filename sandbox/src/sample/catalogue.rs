//! What the organisation buys: services, the resources they bill, and the meters of each resource with their rates.
//!
//! Rates are close to AWS's public price list of us-east-1 and the same in every Region; nothing depends on their being
//! right. Usage type, operation and unit names are AWS's.

mod table;

pub use table::bundles;

/// How the usage of a meter runs over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Runs all the time: `per_day` of the unit each day, exactly.
    Steady,
    /// A stock, such as stored bytes, that grows by about a percent a month.
    Stock,
    /// Traffic with seasons, growth and noise; the number is the share left on weekends.
    Flow(f64),
}

/// One meter of a resource: what becomes one row per hour or day.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// Usage type without its Region prefix.
    pub usage_type: &'static str,
    /// Operation.
    pub operation: &'static str,
    /// Product family.
    pub family: &'static str,
    /// Pricing unit.
    pub unit: &'static str,
    /// Price of a unit in 1e-10 dollars.
    pub rate: i64,
    /// Usual quantity a day of a resource of size 1.
    pub per_day: f64,
    /// Its run over time.
    pub shape: Shape,
}

/// How resource ids of a kind look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdStyle {
    /// `i-0...` and the like: the text is the prefix.
    Bare(&'static str),
    /// An ARN: service and the part before the name. Region and account are in it.
    Arn(&'static str, &'static str),
    /// An ARN without Region and account.
    GlobalArn(&'static str, &'static str),
    /// No resource: the id is blank.
    None,
    /// A Kubernetes pod on an instance.
    Pod,
}

/// An instance size.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    /// Type, such as `m6i.large`.
    pub name: &'static str,
    /// Family's display name.
    pub family: &'static str,
    /// Normalisation factor for size-flexible reservations; 0 if the kind has none.
    pub factor: f64,
    /// Virtual processors.
    pub vcpu: i64,
    /// Memory in GiB.
    pub memory: i64,
}

/// Who pays for a kind of resource in another way than On-Demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Nobody.
    None,
    /// The Savings Plan with this number.
    Plan(usize),
    /// A reservation of this payment option for each block.
    Reservation(PaymentOption),
}

/// How a commitment is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentOption {
    /// Monthly or hourly fees alone.
    Fees,
    /// Half at once, half as fees.
    Mixed,
    /// All at once.
    Upfront,
}

impl PaymentOption {
    /// AWS's words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Fees => "No Upfront",
            Self::Mixed => "Partial Upfront",
            Self::Upfront => "All Upfront",
        }
    }
}

/// What sort of rows a kind of resource makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// AWS usage.
    Usage,
    /// Usage metered through AWS Marketplace; the text is the seller.
    Marketplace(&'static str),
    /// Parts of a flat subscription.
    Flat,
    /// Split cost allocation of a pod.
    Split,
}

/// Discounts of a kind of resource, in thousandths of the price.
#[derive(Clone, Copy, Debug)]
pub struct Discounts {
    /// Free through another service.
    pub bundled: i64,
    /// Private rate.
    pub private: i64,
    /// Enterprise discount on the rest.
    pub edp: i64,
}

/// A kind of resource.
#[derive(Clone, Copy, Debug)]
pub struct Bundle {
    /// Product code.
    pub code: &'static str,
    /// Product name.
    pub name: &'static str,
    /// Share of resources, relative to the other kinds.
    pub weight: f64,
    /// How ids look.
    pub id: IdStyle,
    /// Whether usage types carry a Region.
    pub regional: bool,
    /// Sort of rows.
    pub line: Line,
    /// Discounts.
    pub discounts: Discounts,
    /// Instance size, if it has one.
    pub instance: Option<Instance>,
    /// Engine of a database or operating system of an instance.
    pub engine: &'static str,
    /// Who pays.
    pub cover: Cover,
    /// Its meters.
    pub meters: &'static [Meter],
}

/// Dollars as units of 1e-10 dollars.
pub const fn usd(dollars: f64) -> i64 {
    (dollars * 1e10 + 0.5) as i64
}
