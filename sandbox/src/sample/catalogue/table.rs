//! The table of the catalogue.

use super::{Bundle, Cover, Discounts, IdStyle, Line, Meter, Shape, usd};

const EDP: Discounts = Discounts {
    bundled: 0,
    private: 0,
    edp: 60,
};
const NO_DISCOUNT: Discounts = Discounts {
    bundled: 0,
    private: 0,
    edp: 0,
};
const PRIVATE: Discounts = Discounts {
    bundled: 0,
    private: 120,
    edp: 60,
};
const BUNDLED: Discounts = Discounts {
    bundled: 250,
    private: 0,
    edp: 60,
};

const fn meter(
    usage_type: &'static str,
    operation: &'static str,
    family: &'static str,
    unit: &'static str,
    dollars: f64,
    per_day: f64,
    shape: Shape,
) -> Meter {
    Meter {
        usage_type,
        operation,
        family,
        unit,
        rate: usd(dollars),
        per_day,
        shape,
    }
}

const PLAIN: Bundle = Bundle {
    code: "",
    name: "",
    weight: 0.0,
    id: IdStyle::None,
    regional: true,
    line: Line::Usage,
    discounts: EDP,
    instance: None,
    engine: "",
    cover: Cover::None,
    meters: &[],
};

const EC2: &str = "Amazon Elastic Compute Cloud";

/// An EC2 instance type: its hours, and the traffic of those that are not covered.
macro_rules! ec2 {
    ($weight:expr, $cover:expr, $type:literal, $family:literal, $factor:expr, $vcpu:expr, $memory:expr, $rate:expr) => {
        Bundle {
            code: "AmazonEC2",
            name: EC2,
            weight: $weight,
            id: IdStyle::Bare("i-0"),
            instance: Some(Instance {
                name: $type,
                family: $family,
                factor: $factor,
                vcpu: $vcpu,
                memory: $memory,
            }),
            engine: "Linux",
            cover: $cover,
            meters: match $cover {
                Cover::None => &[
                    meter(
                        concat!("BoxUsage:", $type),
                        "RunInstances",
                        "Compute Instance",
                        "Hrs",
                        $rate,
                        24.0,
                        Steady,
                    ),
                    meter(
                        "DataTransfer-Regional-Bytes",
                        "InterZone-Out",
                        "Data Transfer",
                        "GB",
                        0.01,
                        3.0,
                        Flow(0.5),
                    ),
                ],
                _ => &[meter(
                    concat!("BoxUsage:", $type),
                    "RunInstances",
                    "Compute Instance",
                    "Hrs",
                    $rate,
                    24.0,
                    Steady,
                )],
            },
            ..PLAIN
        }
    };
}

/// A kind of resource with an ARN.
macro_rules! kind {
    ($code:literal, $name:literal, $weight:expr, $id:expr, [$($meter:expr),+ $(,)?] $(, $field:ident: $value:expr)*) => {
        Bundle { code: $code, name: $name, weight: $weight, id: $id, meters: &[$($meter),+], $($field: $value,)* ..PLAIN }
    };
}

mod compute;
mod others;
mod stores;

/// All kinds of resources. Instances come before the pods that run on them.
pub fn bundles() -> Vec<Bundle> {
    [compute::COMPUTE, stores::STORES, others::OTHERS].concat()
}
