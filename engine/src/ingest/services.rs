//! Totals of a file by owner, service and currency, exact to the last digit.
//!
//! They are made in the same look at the file as the control totals by owner, of the same numbers.

use std::collections::{BTreeMap, HashMap};

use super::totals::{Costs, Texts, TotalColumns, no_amount};
use crate::error::{Error, Result};
use crate::format::Format;
use crate::id::{AccountId, BillingPeriod, ExportId, SnapshotId};
use crate::money::Amount;
use crate::snapshot::services::{FORMAT_VERSION, ServiceKey, ServiceLine, ServiceSum, ServiceTotals};
use crate::snapshot::{PinnedFile, RowOwner};

/// Lines of one delivery. Beyond it, which is a hundred services in each of ten thousand accounts, there are no totals by
/// service: the delivery is imported all the same.
const MAX_LINES: usize = 1_000_000;

/// Usage account, payer, currency and service by number.
type GroupKey = (u32, u32, u32, u32);

/// Totals of one file on their way.
pub(super) struct Services {
    format: &'static Format,
    accounts: Texts,
    currencies: Texts,
    services: Texts,
    places: HashMap<GroupKey, usize>,
    groups: Vec<(GroupKey, u64, i128)>,
    too_many: bool,
}

impl Services {
    /// None yet.
    pub(super) fn of(format: &'static Format) -> Self {
        Self {
            format,
            accounts: Texts::default(),
            currencies: Texts::default(),
            services: Texts::default(),
            places: HashMap::new(),
            groups: Vec::new(),
            too_many: false,
        }
    }

    /// Adds the rows of one batch. Errors: those of the control totals.
    pub(super) fn add(&mut self, file: &str, columns: &TotalColumns<'_>) -> Result<()> {
        if self.too_many {
            return Ok(());
        }
        let rows = columns.rows;
        let usage = self.accounts.column(Some(columns.usage_account), rows)?;
        let payer = self.accounts.column(columns.payer, rows)?;
        let currency = self.currencies.column(columns.currency, rows)?;
        let service = self.services.column(columns.service, rows)?;
        let costs = columns.cost.map(Costs::of).transpose()?;
        let (mut last, mut place): (Option<GroupKey>, usize) = (None, 0);
        for row in 0..rows {
            let key = (usage[row], payer[row], currency[row], service[row]);
            if last != Some(key) {
                let next = self.groups.len();
                place = *self.places.entry(key).or_insert(next);
                if place == next {
                    if next == MAX_LINES {
                        self.too_many = true;
                        return Ok(());
                    }
                    self.groups.push((key, 0, 0));
                }
                last = Some(key);
            }
            let (_, rows, units) = &mut self.groups[place];
            *rows += 1;
            // Cannot overflow: the control totals have checked the sum of all magnitudes.
            let cost = match &costs {
                Some(costs) => costs.units(row).map_err(|value| no_amount(self.format, file, value))?,
                None => None,
            };
            *units = units.wrapping_add(cost.unwrap_or(0));
        }
        Ok(())
    }

    /// The lines, after the control totals have found the file's account ids to be ids. `None` if there are too many.
    pub(super) fn finish(self) -> Result<Option<Vec<ServiceLine>>> {
        if self.too_many {
            return Ok(None);
        }
        let account = |number: u32| -> Result<Option<AccountId>> {
            let id = self.accounts.get(number).map(AccountId::delivered).transpose();
            id.map_err(|_: Error| Error::defect("an account id was checked and is none"))
        };
        let text = |texts: &Texts, number: u32| texts.get(number).map(str::to_owned);
        let lines = self
            .groups
            .iter()
            .map(|((usage, payer, currency, service), rows, units)| {
                Ok(ServiceLine {
                    key: ServiceKey {
                        owner: RowOwner {
                            usage_account: account(*usage)?,
                            payer: account(*payer)?,
                        },
                        service: text(&self.services, *service),
                        currency: text(&self.currencies, *currency),
                    },
                    sum: ServiceSum {
                        rows: *rows,
                        cost: Amount::from_units(*units),
                    },
                })
            });
        lines.collect::<Result<_>>().map(Some)
    }
}

/// Totals of the files of one delivery.
#[derive(Default)]
pub(super) struct DeliveryServices {
    sums: BTreeMap<ServiceKey, ServiceSum>,
    too_many: bool,
}

impl DeliveryServices {
    pub(super) fn add(&mut self, lines: Option<Vec<ServiceLine>>) {
        self.too_many |= lines.is_none() || self.sums.len() > MAX_LINES;
        for line in lines.into_iter().flatten() {
            let sum = self.sums.entry(line.key).or_default();
            sum.rows += line.sum.rows;
            sum.cost += line.sum.cost;
        }
    }

    /// The document for a snapshot with these files; `None` if it would have too many lines.
    pub(super) fn totals(
        self,
        (export, period, snapshot): (&ExportId, BillingPeriod, &SnapshotId),
        files: &[PinnedFile],
    ) -> Option<ServiceTotals> {
        if self.too_many {
            return None;
        }
        let owners = files.iter().flat_map(|file| &file.owners);
        let names = owners.filter_map(|totals| {
            let account = totals.owner.usage_account?;
            Some((account, totals.account_name.clone()?))
        });
        Some(ServiceTotals {
            format_version: FORMAT_VERSION,
            export: export.clone(),
            period,
            snapshot: snapshot.clone(),
            account_names: names.collect(),
            lines: self
                .sums
                .into_iter()
                .map(|(key, sum)| ServiceLine { key, sum })
                .collect(),
        })
    }
}
