//! Classes of rows: what all rows of one meter in one Region under one way of paying have in common.

mod texts;

use std::collections::HashMap;

/// What a class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A meter of a kind of resource in a Region.
    Metered {
        /// Number of the kind.
        bundle: usize,
        /// Number of the meter.
        meter: usize,
        /// Number of the Region.
        region: u8,
        /// Way of paying.
        way: Way,
    },
    /// Hourly fee of the plan with this number.
    PlanFee(usize),
    /// Upfront payment of the plan with this number.
    PlanUpfront(usize),
    /// Monthly fee of the reservation with this number.
    ReservationFee(usize),
    /// Upfront payment of the reservation with this number.
    ReservationUpfront(usize),
    /// Discount on the monthly fee of the reservation with this number.
    ReservationDiscount(usize),
    /// Tax on a service.
    Tax(usize),
    /// A credit.
    Credit,
    /// A credit that came after the month.
    LateCredit,
    /// A refund.
    Refund,
    /// The support plan.
    Support,
    /// A contract bought through AWS Marketplace.
    Contract,
}

/// Way of paying for metered usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// On demand.
    OnDemand,
    /// Covered by a plan.
    Covered(usize),
    /// Cancels what a plan covers.
    Negation(usize),
    /// Covered by a reservation.
    Reserved(usize),
    /// Row of bundled discounts.
    Bundled,
    /// Row of private rate discounts.
    Private,
    /// Row of enterprise discounts.
    Enterprise,
}

/// Services that tax is shown for.
pub const TAXED: [(&str, &str); 6] = [
    ("AmazonEC2", "Amazon Elastic Compute Cloud"),
    ("AmazonS3", "Amazon Simple Storage Service"),
    ("AmazonRDS", "Amazon Relational Database Service"),
    ("AWSLambda", "AWS Lambda"),
    ("AmazonCloudWatch", "AmazonCloudWatch"),
    ("AmazonDynamoDB", "Amazon DynamoDB"),
];

/// Invoices of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Invoice {
    /// Monthly invoice of AWS.
    Monthly = 0,
    /// Invoice of AWS Marketplace.
    Marketplace = 1,
    /// Invoice of upfront payments.
    Purchase = 2,
    /// Refunds.
    Refund = 3,
}

/// All classes in use, numbered as they are asked for.
#[derive(Debug, Default)]
pub struct ClassNumbers {
    numbers: HashMap<Class, i32>,
    list: Vec<Class>,
}

impl ClassNumbers {
    /// The number of a class.
    pub fn number(&mut self, class: Class) -> i32 {
        let next = self.list.len() as i32;
        *self.numbers.entry(class).or_insert_with(|| {
            self.list.push(class);
            next
        })
    }

    /// All classes by number.
    pub fn list(&self) -> &[Class] {
        &self.list
    }
}

impl Class {
    /// The invoice that rows of the class are on.
    pub fn invoice(self, marketplace: bool) -> Invoice {
        match self {
            Self::Metered { .. } if marketplace => Invoice::Marketplace,
            Self::Contract => Invoice::Marketplace,
            Self::PlanUpfront(_) | Self::ReservationUpfront(_) => Invoice::Purchase,
            Self::Refund => Invoice::Refund,
            _ => Invoice::Monthly,
        }
    }
}

pub use texts::{ClassText, describe};
