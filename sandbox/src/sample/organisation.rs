//! The accounts of the sample organisation, and the Regions it works in.

use super::SampleSpec;
use super::random::{at, below, unit};

/// One account of the organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits, with leading zeros.
    pub id: String,
    /// Display name, such as `payments-prod`.
    pub name: String,
    /// Whether it bought commitments (Savings Plans or reservations) itself.
    pub owns_commitments: bool,
}

/// One payer with its linked accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    /// The management account, which pays.
    pub payer: Account,
    /// The member accounts. The last one bought a Savings Plan for itself.
    pub linked: Vec<Account>,
}

/// Names of the first linked accounts; later ones are numbered.
const NAMES: [&str; 24] = [
    "payments-prod",
    "payments-dev",
    "checkout-prod",
    "search-prod",
    "platform-shared",
    "data-lake",
    "web-prod",
    "web-staging",
    "identity-prod",
    "analytics-dev",
    "security-audit",
    "ml-research",
    "mobile-prod",
    "logging",
    "network-hub",
    "catalog-prod",
    "catalog-staging",
    "orders-prod",
    "orders-dev",
    "support-tools",
    "partner-portal",
    "media-prod",
    "iot-pilot",
    "engineering-sandbox",
];

impl Organisation {
    /// The organisation that the specification describes.
    pub fn new(spec: &SampleSpec) -> Self {
        let payer = Account {
            id: spec.payer.clone(),
            name: "example-corp-billing".to_owned(),
            owns_commitments: true,
        };
        let mut linked: Vec<Account> = Vec::with_capacity(spec.linked_accounts as usize);
        let mut taken = std::collections::HashSet::from([payer.id.clone()]);
        for index in 0..u64::from(spec.linked_accounts) {
            let mut attempt = 0;
            let id = loop {
                let word = at(spec.seed, &[11, index, attempt]);
                // Every fifth id starts with a zero: readers that take ids for numbers lose it.
                let id = if index % 5 == 1 {
                    format!("{:012}", 1_000_000_000 + below(word, 98_999_999_999))
                } else {
                    format!("{:012}", 100_000_000_000 + below(word, 899_999_999_999))
                };
                if taken.insert(id.clone()) {
                    break id;
                }
                attempt += 1;
            };
            let name = match NAMES.get(index as usize) {
                Some(name) => (*name).to_owned(),
                None => format!("team-{:03}-{}", index, ["prod", "dev", "staging"][(index % 3) as usize]),
            };
            linked.push(Account {
                id,
                name,
                owns_commitments: index + 1 == u64::from(spec.linked_accounts),
            });
        }
        Self { payer, linked }
    }

    /// All accounts: the payer first, then the linked ones in order.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        std::iter::once(&self.payer).chain(&self.linked)
    }
}

/// An AWS Region as the export names it.
#[derive(Debug)]
pub struct Region {
    /// Code, such as `eu-west-1`.
    pub code: &'static str,
    /// Prefix of usage types. For us-east-1 the older services have none.
    pub prefix: &'static str,
    /// Display name.
    pub name: &'static str,
}

/// The Regions in use, the largest first.
pub const REGIONS: [Region; 6] = [
    Region {
        code: "us-east-1",
        prefix: "USE1-",
        name: "US East (N. Virginia)",
    },
    Region {
        code: "eu-west-1",
        prefix: "EU-",
        name: "EU (Ireland)",
    },
    Region {
        code: "eu-central-1",
        prefix: "EUC1-",
        name: "EU (Frankfurt)",
    },
    Region {
        code: "us-west-2",
        prefix: "USW2-",
        name: "US West (Oregon)",
    },
    Region {
        code: "ap-northeast-1",
        prefix: "APN1-",
        name: "Asia Pacific (Tokyo)",
    },
    Region {
        code: "ap-south-1",
        prefix: "APS3-",
        name: "Asia Pacific (Mumbai)",
    },
];

/// Share of the organisation's resources that an account has, before scaling; index 0 is the payer.
pub fn activity(seed: u64, account: usize) -> f64 {
    if account == 0 {
        // The management account runs next to nothing, as AWS recommends.
        return 0.05;
    }
    let word = at(seed, &[12, account as u64]);
    (0.6 + 0.8 * unit(word)) / (1.0 + (account as f64 - 1.0) / 4.0).min(12.0)
}

/// The Region of the `nth` group of resources of an account: mostly the account's home.
pub fn region_of(seed: u64, account: usize, nth: u64) -> u8 {
    let home = below(at(seed, &[13, account as u64]), 3);
    let word = at(seed, &[14, account as u64, nth]);
    let region = if unit(word) < 0.7 {
        home
    } else {
        below(at(word, &[1]), REGIONS.len() as u64)
    };
    region as u8
}
