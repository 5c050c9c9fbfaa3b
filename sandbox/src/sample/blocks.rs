//! The resources of the organisation, in blocks: one kind of resource in one account and Region.

use super::SampleSpec;
use super::calendar::Calendar;
use super::catalogue::{Bundle, Cover, Line, Shape};
use super::organisation::{activity, region_of};
use super::random::{at, below, unit};

/// Most resources in a block. It bounds what is summed up per block, and how far rows of an account lie together.
const BLOCK: u64 = 32;
/// Rows that one discount row stands for, at least.
const DISCOUNTED_ROWS: u64 = 20;

/// One resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// First time unit.
    pub birth: i32,
    /// Time unit after the last.
    pub death: i32,
    /// Factor on the usual quantity.
    pub size: f64,
    /// Which of the account's tag sets it carries.
    pub tags: u8,
    /// Where its random numbers start.
    pub seed: u64,
    /// The instance that a pod runs on.
    pub parent: Option<u32>,
}

/// Resources of one kind in one account and Region.
#[derive(Clone, Debug)]
pub struct Block {
    /// Number of the account, 0 for the payer.
    pub account: usize,
    /// Number of the kind.
    pub bundle: usize,
    /// Number of the Region.
    pub region: u8,
    /// Letter of the zone, from 0.
    pub zone: u8,
    /// First resource.
    pub first: u32,
    /// Number of resources.
    pub count: u32,
}

/// All resources and blocks.
#[derive(Debug)]
pub struct Blocks {
    /// The kinds.
    pub bundles: Vec<Bundle>,
    /// All resources, those of a block side by side.
    pub resources: Vec<Resource>,
    /// All blocks.
    pub blocks: Vec<Block>,
}

/// The accounts whose resources of a covered kind are covered. With sharing on, a plan of the payer covers others.
fn covered_accounts(cover: Cover, linked: usize) -> Vec<usize> {
    let wanted: &[usize] = match cover {
        Cover::None => &[],
        Cover::Plan(0) => &[1, 2, 4],
        Cover::Plan(1) => &[1, 3],
        // The last linked account bought its plan itself.
        Cover::Plan(_) => return vec![linked],
        Cover::Reservation(_) => &[1, 2, 5],
    };
    let mut accounts: Vec<usize> = wanted.iter().map(|&n| n.min(linked)).collect();
    accounts.dedup();
    accounts
}

impl Blocks {
    /// Resources of a number near `scale`.
    pub fn new(spec: &SampleSpec, calendar: &Calendar, bundles: Vec<Bundle>, scale: f64) -> Self {
        let linked = spec.linked_accounts as usize;
        let weights: f64 = bundles.iter().map(|b| b.weight).sum();
        let shares: Vec<f64> = (0..=linked).map(|account| activity(spec.seed, account)).collect();
        let all_shares: f64 = shares.iter().sum();
        let mut made = Self {
            bundles,
            resources: Vec::new(),
            blocks: Vec::new(),
        };
        for index in 0..made.bundles.len() {
            let bundle = made.bundles[index];
            let wanted = scale * bundle.weight / weights;
            let covered = covered_accounts(bundle.cover, linked);
            let mut counts: Vec<u64> = Vec::with_capacity(shares.len());
            for (account, share) in shares.iter().enumerate() {
                let chance = unit(at(spec.seed, &[21, index as u64, account as u64]));
                counts.push(if bundle.cover == Cover::None {
                    (wanted * share / all_shares + chance) as u64
                } else if covered.contains(&account) {
                    ((wanted / covered.len() as f64 + chance) as u64).max(2)
                } else {
                    0
                });
            }
            // However small the organisation, every kind occurs.
            if counts.iter().all(|count| *count == 0) {
                counts[1 + index % linked] = 1;
            }
            for (account, count) in counts.into_iter().enumerate() {
                made.fill(spec, calendar, index, account, count);
            }
        }
        made
    }

    fn fill(&mut self, spec: &SampleSpec, calendar: &Calendar, index: usize, account: usize, count: u64) {
        let bundle = self.bundles[index];
        let hosts: Vec<usize> = if bundle.line == Line::Split {
            self.hosts(account)
        } else {
            Vec::new()
        };
        if bundle.line == Line::Split && hosts.is_empty() {
            return;
        }
        let mut left = count;
        let mut nth = 0;
        while left > 0 {
            let word = at(spec.seed, &[22, index as u64, account as u64, nth]);
            let host =
                (!hosts.is_empty()).then(|| self.blocks[hosts[below(word, hosts.len() as u64) as usize]].clone());
            let region = match &host {
                Some(host) => host.region,
                None if bundle.cover != Cover::None => region_of(spec.seed, account, 0),
                None => region_of(spec.seed, account, below(word, 1 << 20)),
            };
            // Chunks of different lengths, so that blocks of one kind do not all look the same.
            let chunk = left.min(BLOCK / 2 + below(at(word, &[1]), BLOCK / 2 + 1));
            let first = self.resources.len() as u32;
            for n in 0..chunk {
                let seed = at(word, &[2, n]);
                let resource = self.resource(calendar, &bundle, seed, host.as_ref());
                self.resources.push(resource);
            }
            let zone = host.as_ref().map_or(below(at(word, &[3]), 3) as u8, |host| host.zone);
            self.blocks.push(Block {
                account,
                bundle: index,
                region,
                zone,
                first,
                count: chunk as u32,
            });
            left -= chunk;
            nth += 1;
        }
    }

    /// Blocks of instances in an account that pods can run on.
    fn hosts(&self, account: usize) -> Vec<usize> {
        let host = |block: &Block| {
            let bundle = &self.bundles[block.bundle];
            block.account == account
                && bundle.code == "AmazonEC2"
                && bundle.meters[0].usage_type.starts_with("BoxUsage")
        };
        (0..self.blocks.len()).filter(|&n| host(&self.blocks[n])).collect()
    }

    fn resource(&self, calendar: &Calendar, bundle: &Bundle, seed: u64, host: Option<&Block>) -> Resource {
        let all = f64::from(calendar.unit_count());
        let draw = |place: u64| unit(at(seed, &[place]));
        // A third of what is there at the end did not exist at the start: the organisation grows. What commitments were
        // bought for is steadier.
        let (old, dying, born_until) = if bundle.cover == Cover::None {
            (0.66, 0.2, 1.0)
        } else {
            (0.85, 0.08, 0.3)
        };
        let mut birth = if draw(1) < old {
            i32::MIN
        } else {
            (draw(2) * all * born_until) as i32
        };
        let from = f64::from(birth.max(0));
        let mut death = if draw(3) < dying {
            (from + 1.0 + draw(4) * (all - from)) as i32
        } else {
            i32::MAX
        };
        let parent = host.map(|block| block.first + below(at(seed, &[5]), u64::from(block.count)) as u32);
        if let Some(parent) = parent {
            let parent = &self.resources[parent as usize];
            birth = birth.max(parent.birth);
            death = death.min(parent.death);
        }
        let size = 0.25 + 2.5 * draw(6) * draw(6);
        let tags = below(at(seed, &[7]), 14) as u8;
        Resource {
            birth,
            death,
            size,
            tags,
            seed,
            parent,
        }
    }

    /// The resources of a block.
    pub fn members(&self, block: &Block) -> &[Resource] {
        &self.resources[block.first as usize..(block.first + block.count) as usize]
    }

    /// How many time units one discount row of a block stands for.
    pub fn discount_units(block: &Block, hourly: bool) -> i32 {
        let units = DISCOUNTED_ROWS.div_ceil(u64::from(block.count.max(1))) as i32;
        if hourly && units > 1 { 24 } else { units }
    }

    /// Rows of a block in a month, nearly: discounts that come to nothing are counted too.
    pub fn rows(&self, block: &Block, units: std::ops::Range<i32>, hourly: bool) -> u64 {
        let bundle = &self.bundles[block.bundle];
        let mut alive = 0;
        let mut longest = 0;
        for resource in self.members(block) {
            let overlap = u64::try_from(resource.death.min(units.end) - resource.birth.max(units.start)).unwrap_or(0);
            alive += overlap;
            longest = longest.max(overlap);
        }
        let kinds = [bundle.discounts.bundled, bundle.discounts.private, bundle.discounts.edp];
        let discounted = if bundle.cover == Cover::None {
            let kinds = kinds.iter().filter(|&&share| share > 0).count() as u64;
            let meters = bundle.meters.iter().filter(|meter| meter.rate > 0).count() as u64;
            kinds * meters * longest.div_ceil(Self::discount_units(block, hourly) as u64)
        } else {
            0
        };
        let negations = if matches!(bundle.cover, Cover::Plan(_)) {
            longest
        } else {
            0
        };
        alive * bundle.meters.len() as u64 + discounted + negations
    }
}

/// Whether the quantity of a meter follows the size of its resource.
pub fn follows_size(shape: Shape) -> bool {
    shape != Shape::Steady
}
