//! Tags and cost categories.
//!
//! Activated resource tags come twice: in `resource_tags` with normalised keys, and in `tags` as they were written, beside
//! cost categories and account tags. Some resources have none, some only a part, and some spell a key another way.

use super::organisation::Account;
use super::random::{at, below};
use super::rows::TextMaps;

/// Tag sets of an account: those of its resources, of which the last two are for pods.
const SETS: usize = 16;

const TEAMS: [&str; 8] = [
    "payments", "checkout", "search", "platform", "insights", "identity", "web", "mobile",
];
const APPS: [&str; 12] = [
    "ledger",
    "gateway",
    "catalog",
    "indexer",
    "api",
    "worker",
    "frontend",
    "etl",
    "scheduler",
    "auth",
    "mailer",
    "reports",
];
const UNITS: [&str; 4] = ["Commerce", "Platform", "Data", "Corporate"];

/// The maps of all tag sets.
#[derive(Debug)]
pub struct Labels {
    /// Column `resource_tags`.
    pub resource_tags: TextMaps,
    /// Column `tags`.
    pub tags: TextMaps,
    /// Column `cost_category`.
    pub cost_category: TextMaps,
}

/// The label of rows of an account that belong to no resource.
pub fn of_account(account: usize) -> i32 {
    (account * (SETS + 1)) as i32
}

/// The label of a resource with the tag set `tags` (0 to 13), or of a pod.
pub fn of_resource(account: usize, tags: u8, pod: bool) -> i32 {
    let set = if pod { 14 + tags % 2 } else { tags };
    of_account(account) + 1 + i32::from(set)
}

impl Labels {
    /// The tag sets of all accounts.
    pub fn new<'a>(seed: u64, accounts: impl Iterator<Item = &'a Account>) -> Self {
        let mut labels = Self {
            resource_tags: TextMaps::default(),
            tags: TextMaps::default(),
            cost_category: TextMaps::default(),
        };
        for (index, account) in accounts.enumerate() {
            labels.push(index, None, &[], &[]);
            for set in 0..SETS {
                labels.push_set(seed, index, account, set);
            }
        }
        labels
    }

    fn push_set(&mut self, seed: u64, index: usize, account: &Account, set: usize) {
        let word = at(seed, &[31, index as u64, set as u64]);
        let team = TEAMS[below(at(seed, &[32, index as u64, (set % 3) as u64]), 8) as usize];
        let app = APPS[below(word, 12) as usize];
        let env = account
            .name
            .rsplit('-')
            .next()
            .filter(|e| ["prod", "dev", "staging"].contains(e))
            .unwrap_or("shared");
        match set {
            // Without tags: a missing map, or an empty one.
            0 => self.push(index, None, &[], &[]),
            1 => self.push(index, Some(()), &[], &[]),
            2 => self.push(index, Some(()), &[("user_env", env)], &[("resourceTags/Env", env)]),
            3 => self.push(
                index,
                Some(()),
                &[("user_team", team), ("user_env", env)],
                &[("resourceTags/team", team), ("resourceTags/environment", env)],
            ),
            14 | 15 => self.push(
                index,
                Some(()),
                &[
                    ("user_team", team),
                    ("aws_eks_cluster_name", "apps"),
                    ("aws_eks_namespace", app),
                ],
                &[
                    ("resourceTags/Team", team),
                    ("resourceTags/aws:eks:cluster-name", "apps"),
                    ("resourceTags/aws:eks:namespace", app),
                ],
            ),
            _ => self.push(
                index,
                Some(()),
                &[("user_team", team), ("user_env", env), ("user_app", app)],
                &[
                    ("resourceTags/Team", team),
                    ("resourceTags/Env", env),
                    ("resourceTags/App", app),
                ],
            ),
        }
    }

    fn push(&mut self, account: usize, tagged: Option<()>, normalised: &[(&str, &str)], written: &[(&str, &str)]) {
        self.resource_tags.push(tagged.map(|()| normalised));
        // Every seventh account is in no cost category.
        if account % 7 == 6 {
            self.cost_category.push(Some(&[]));
            self.tags.push((!written.is_empty()).then_some(written));
            return;
        }
        let unit = UNITS[account % UNITS.len()];
        let center = format!("cc-{:03}", 100 + account % 40);
        self.cost_category
            .push(Some(&[("business_unit", unit), ("cost_center", &center)]));
        let mut all = written.to_vec();
        all.extend([
            ("costCategory/Business Unit", unit),
            ("costCategory/Cost Center", center.as_str()),
        ]);
        self.tags.push(Some(&all));
    }
}
