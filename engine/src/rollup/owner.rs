//! Whose the rows of a rollup are.

use std::collections::BTreeMap;

use super::build::Built;
use super::intern::Values;
use crate::error::{Error, ErrorKind, Result};
use crate::format::AccountColumns;
use crate::id::AccountId;
use crate::snapshot::RowOwner;
use crate::snapshot::derived::Level;

/// Reads owners from tuples of dimensions.
pub(super) struct Owners<'a> {
    built: &'a Built,
    usage: usize,
    payer: Option<usize>,
}

impl<'a> Owners<'a> {
    /// Error: `Limit` where the accounts are no dimensions, as they are too many.
    pub fn of(built: &'a Built, accounts: AccountColumns) -> Result<Self> {
        let place = |name: &str| {
            let mut dimensions = built.dimensions.iter();
            let place = dimensions.position(|dimension| dimension.name == name && !dimension.left_out);
            // Whose a row is, every rollup has to say.
            place.ok_or_else(|| Error::new(ErrorKind::Limit, "a month has more accounts than rollups are made of"))
        };
        Ok(Self {
            built,
            usage: place(accounts.usage)?,
            payer: accounts.payer.map(place).transpose()?,
        })
    }

    fn text(&self, tuple: u32, place: usize) -> &'a str {
        let number = self.built.tuples[tuple as usize][place];
        match &self.built.dimensions[place].values {
            Values::Text { values, .. } => number
                .checked_sub(1)
                .and_then(|at| values.get(at as usize))
                .map_or("", |text| text.trim()),
            _ => "",
        }
    }

    /// The usage account as text, blank for none.
    pub fn usage_text(&self, tuple: u32) -> &'a str {
        self.text(tuple, self.usage)
    }

    /// The owner. Error: `BrokenDelivery` for text that is no account id, which no import lets pass.
    pub fn owner(&self, tuple: u32) -> Result<RowOwner> {
        let account = |text: &str| (!text.is_empty()).then(|| AccountId::delivered(text)).transpose();
        Ok(RowOwner {
            usage_account: account(self.usage_text(tuple))?,
            payer: match self.payer {
                Some(payer) => account(self.text(tuple, payer))?,
                None => None,
            },
        })
    }
}

/// Rows, and units of the amounts in one column, by owner.
pub type TotalsByOwner = BTreeMap<RowOwner, (i64, i128)>;

impl Built {
    /// What each level comes to: its rows, and its amounts in one of the sums.
    pub fn totals(&self, accounts: AccountColumns, sum: Option<usize>) -> Result<Vec<(Level, TotalsByOwner)>> {
        let owners = Owners::of(self, accounts)?;
        let mut all = Vec::with_capacity(self.levels.len());
        for (level, sums) in &self.levels {
            let mut totals = TotalsByOwner::new();
            for (group, key) in sums.keys.iter().enumerate() {
                let amount = sum
                    .and_then(|at| sums.columns.get(at))
                    .and_then(|column| column.get(group));
                let entry = totals.entry(owners.owner(key.tuple)?).or_default();
                entry.0 += sums.rows.get(group).copied().unwrap_or(0);
                entry.1 += amount.unwrap_or(0);
            }
            all.push((*level, totals));
        }
        Ok(all)
    }
}
