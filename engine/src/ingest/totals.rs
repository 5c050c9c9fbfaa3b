//! Control totals of a file by the owner of its rows, exact to the last digit.
//!
//! Text comes dictionary-encoded, so each distinct value of a batch is looked at once; rows then are small numbers, and
//! runs of rows of one owner need no look-up at all.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, DictionaryArray, Float64Array};
use arrow::compute::{cast, max};
use arrow::datatypes::{
    DataType, Decimal128Type, Int32Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, Utc};

use crate::error::{Error, ErrorKind, Result};
use crate::format::Format;
use crate::id::AccountId;
use crate::money::{Amount, PRECISION, exact, of_exact};
use crate::snapshot::{EXACT_SCALE, OwnerTotals, RowOwner};

/// Groups of owner and currency in one file. An AWS organisation has at most some ten thousand accounts.
const MAX_GROUPS: usize = 1_000_000;

/// The columns of a batch that totals are made of; the optional ones are not in every delivery.
pub(super) struct TotalColumns<'a> {
    pub(super) rows: usize,
    pub(super) usage_account: &'a ArrayRef,
    pub(super) payer: Option<&'a ArrayRef>,
    pub(super) currency: Option<&'a ArrayRef>,
    pub(super) cost: Option<&'a ArrayRef>,
    pub(super) usage_name: Option<&'a ArrayRef>,
    pub(super) payer_name: Option<&'a ArrayRef>,
    pub(super) net: Option<&'a ArrayRef>,
    pub(super) charge_end: Option<&'a ArrayRef>,
    pub(super) service: Option<&'a ArrayRef>,
}

/// What the rows of a file come to.
#[derive(Debug, Default)]
pub(crate) struct FileTotals {
    pub(crate) owners: Vec<OwnerTotals>,
    pub(crate) has_net_costs: bool,
    pub(crate) data_through: Option<DateTime<Utc>>,
    /// The sum of all amounts without their signs: no sum of some of them can be larger.
    pub(crate) magnitude: i128,
}

/// Distinct texts, numbered from 1; 0 stands for null and blank.
#[derive(Default)]
pub(super) struct Texts {
    numbers: HashMap<String, u32>,
    texts: Vec<String>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if text.trim().is_empty() {
            return 0;
        }
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.texts.push(text.to_owned());
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.numbers.insert(text.to_owned(), number);
        number
    }

    pub(super) fn get(&self, number: u32) -> Option<&str> {
        let place = number.checked_sub(1)?;
        self.texts.get(place as usize).map(String::as_str)
    }

    /// The numbers of a column's rows.
    pub(super) fn column(&mut self, array: Option<&ArrayRef>, rows: usize) -> Result<Vec<u32>> {
        let Some(array) = array else {
            return Ok(vec![0; rows]);
        };
        let dictionary: &DictionaryArray<Int32Type> = array.as_dictionary_opt().ok_or_else(unexpected)?;
        let values = dictionary.values().as_string_opt::<i32>().ok_or_else(unexpected)?;
        let numbers: Vec<u32> = values
            .iter()
            .map(|value| value.map_or(0, |text| self.number(text)))
            .collect();
        let number = |key: &i32| usize::try_from(*key).ok().and_then(|key| numbers.get(key).copied());
        let keys = dictionary.keys();
        if keys.null_count() == 0 {
            return keys
                .values()
                .iter()
                .map(|key| number(key).ok_or_else(unexpected))
                .collect();
        }
        keys.iter()
            .map(|key| key.map_or(Ok(0), |key| number(&key).ok_or_else(unexpected)))
            .collect()
    }
}

fn unexpected() -> Error {
    Error::defect("a column was read as another type than asked")
}

#[derive(Default)]
struct Group {
    rows: u64,
    units: i128,
    /// Whether any row has a cost.
    priced: bool,
    name: u32,
    /// The row that had the name.
    named_at: u64,
}

/// Usage account, payer and currency by number.
type GroupKey = (u32, u32, u32);

/// Totals on their way.
pub(super) struct Totals {
    format: &'static Format,
    accounts: Texts,
    currencies: Texts,
    names: Texts,
    places: HashMap<GroupKey, usize>,
    groups: Vec<(GroupKey, Group)>,
    rows: u64,
    magnitude: i128,
    has_net_costs: bool,
    through_millis: Option<i64>,
}

impl Totals {
    /// Totals of a file of this format.
    pub(super) fn of(format: &'static Format) -> Self {
        Self {
            format,
            accounts: Texts::default(),
            currencies: Texts::default(),
            names: Texts::default(),
            places: HashMap::new(),
            groups: Vec::new(),
            rows: 0,
            magnitude: 0,
            has_net_costs: false,
            through_millis: None,
        }
    }

    /// Adds the rows of one batch. `file` names the file in errors: `BrokenDelivery` for a cost that is no amount.
    pub(super) fn add(&mut self, file: &str, columns: &TotalColumns<'_>) -> Result<()> {
        let rows = columns.rows;
        let usage = self.accounts.column(Some(columns.usage_account), rows)?;
        let payer = self.accounts.column(columns.payer, rows)?;
        let currency = self.currencies.column(columns.currency, rows)?;
        let usage_name = self.names.column(columns.usage_name, rows)?;
        let payer_name = self.names.column(columns.payer_name, rows)?;
        let costs = columns.cost.map(Costs::of).transpose()?;
        let format = self.format;
        let mut last: GroupKey = (u32::MAX, u32::MAX, u32::MAX);
        let mut place = 0;
        for row in 0..rows {
            let key = (usage[row], payer[row], currency[row]);
            if key != last {
                place = self.place(file, key)?;
                last = key;
            }
            let group = &mut self.groups[place].1;
            group.rows += 1;
            let name = if key.0 == 0 { payer_name[row] } else { usage_name[row] };
            if name != 0 {
                group.name = name;
                group.named_at = self.rows + row as u64;
            }
            let units = match &costs {
                Some(costs) => costs.units(row).map_err(|value| no_amount(format, file, value))?,
                None => None,
            };
            if let Some(units) = units {
                self.magnitude = self.magnitude.checked_add(units.abs()).ok_or_else(|| too_large(file))?;
                // Cannot overflow: its magnitude is at most the one above.
                group.units += units;
                group.priced = true;
            }
        }
        self.rows += rows as u64;
        if let Some(net) = columns.net.filter(|_| !self.has_net_costs) {
            self.has_net_costs = Costs::of(net)?.any_nonzero();
        }
        if let Some(ends) = columns.charge_end {
            self.through_millis = self.through_millis.max(latest_millis(ends)?);
        }
        Ok(())
    }

    fn place(&mut self, file: &str, key: GroupKey) -> Result<usize> {
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        if self.groups.len() >= MAX_GROUPS {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("{file} has more than {MAX_GROUPS} groups of account, payer and currency"),
            ));
        }
        self.groups.push((key, Group::default()));
        self.places.insert(key, self.groups.len() - 1);
        Ok(self.groups.len() - 1)
    }

    /// Ends the file, whose footer says that it has `rows` rows. Errors: `BrokenDelivery` for account ids that are none
    /// and for a control total that is off.
    pub(super) fn finish(self, file: &str, rows: u64) -> Result<FileTotals> {
        if self.magnitude >= 10_i128.pow(u32::from(PRECISION)) {
            return Err(too_large(file));
        }
        let mut owners: BTreeMap<RowOwner, (u64, OwnerTotals)> = BTreeMap::new();
        for ((usage, payer, currency), group) in &self.groups {
            let owner = RowOwner {
                usage_account: self.account(file, self.format.accounts.usage, *usage)?,
                payer: match self.format.accounts.payer {
                    Some(column) => self.account(file, column, *payer)?,
                    None => None,
                },
            };
            let (named_at, totals) = owners.entry(owner).or_insert_with(|| {
                let totals = OwnerTotals {
                    owner,
                    account_name: None,
                    rows: 0,
                    unblended: BTreeMap::new(),
                };
                (0, totals)
            });
            totals.rows += group.rows;
            if group.name != 0 && (totals.account_name.is_none() || group.named_at > *named_at) {
                totals.account_name = self.names.get(group.name).map(str::to_owned);
                *named_at = group.named_at;
            }
            if group.priced {
                let code = self.currencies.get(*currency).unwrap_or_default();
                *totals.unblended.entry(code.to_owned()).or_default() += Amount::from_units(group.units);
            }
        }
        let owners: Vec<OwnerTotals> = owners.into_values().map(|(_, totals)| totals).collect();
        let counted: u64 = owners.iter().map(|owner| owner.rows).sum();
        if counted != rows {
            return Err(Error::new(
                ErrorKind::BrokenDelivery,
                format!("{file} has {counted} rows, and its footer says {rows}"),
            ));
        }
        Ok(FileTotals {
            owners,
            has_net_costs: self.has_net_costs,
            data_through: self.through_millis.and_then(DateTime::from_timestamp_millis),
            magnitude: self.magnitude,
        })
    }

    fn account(&self, file: &str, column: &str, number: u32) -> Result<Option<AccountId>> {
        let Some(text) = self.accounts.get(number) else {
            return Ok(None);
        };
        AccountId::delivered(text).map(Some).map_err(|refused| {
            if refused.kind() == ErrorKind::Limit {
                return Error::new(ErrorKind::Limit, format!("{file}: {}", refused.message()))
                    .with_hint(refused.hint().unwrap_or_default());
            }
            let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
            let more = if shown.len() < text.len() {
                ", shortened here,"
            } else {
                ","
            };
            Error::new(
                ErrorKind::BrokenDelivery,
                format!("{file}: the column {column} holds \"{shown}\"{more} which is not an account id"),
            )
            .with_hint(refused.hint().unwrap_or_default())
        })
    }
}

pub(super) fn no_amount(format: &Format, file: &str, value: f64) -> Error {
    let column = format.cost.unwrap_or_default();
    Error::new(
        ErrorKind::BrokenDelivery,
        format!("{file}: the column {column} holds {value:e}, which is not an amount"),
    )
}

/// The error for sums that may leave the range of decimals.
pub(super) fn too_large(file: &str) -> Error {
    Error::new(
        ErrorKind::BrokenDelivery,
        format!("{file}: its costs are too large to be summed"),
    )
}

/// A column of costs, as doubles or as the decimals of a text.
pub(super) enum Costs {
    Doubles(Float64Array),
    Exact(Decimal128Array),
}

impl Costs {
    pub(super) fn of(array: &ArrayRef) -> Result<Self> {
        match array.data_type() {
            DataType::Decimal128(_, EXACT_SCALE) => {
                let exact = array.as_primitive_opt::<Decimal128Type>().ok_or_else(unexpected)?;
                Ok(Self::Exact(exact.clone()))
            }
            _ => doubles(array).map(Self::Doubles),
        }
    }

    /// The 10⁻¹² units of a row; `None` for NULL. Error: the double that is no amount.
    #[inline]
    pub(super) fn units(&self, row: usize) -> Result<Option<i128>, f64> {
        match self {
            Self::Doubles(costs) if costs.is_null(row) => Ok(None),
            Self::Doubles(costs) => {
                let value = costs.value(row);
                exact(value).map(Some).ok_or(value)
            }
            Self::Exact(costs) => Ok(costs.is_valid(row).then(|| of_exact(costs.value(row)))),
        }
    }

    fn any_nonzero(&self) -> bool {
        match self {
            Self::Doubles(costs) => costs.iter().flatten().any(|value| value != 0.0),
            Self::Exact(costs) => costs.iter().flatten().any(|units| units != 0),
        }
    }
}

fn doubles(array: &ArrayRef) -> Result<Float64Array> {
    let cast = if array.data_type() == &DataType::Float64 {
        ArrayRef::clone(array)
    } else {
        // Integers and single precision are doubles too.
        cast(array, &DataType::Float64).map_err(|e| unexpected().with_source(e))?
    };
    cast.as_primitive_opt().cloned().ok_or_else(unexpected)
}

fn latest_millis(array: &ArrayRef) -> Result<Option<i64>> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return Err(unexpected());
    };
    Ok(match unit {
        TimeUnit::Second => max(array.as_primitive::<TimestampSecondType>()).map(|at| at.saturating_mul(1_000)),
        TimeUnit::Millisecond => max(array.as_primitive::<TimestampMillisecondType>()),
        TimeUnit::Microsecond => max(array.as_primitive::<TimestampMicrosecondType>()).map(|at| at.div_euclid(1_000)),
        TimeUnit::Nanosecond => max(array.as_primitive::<TimestampNanosecondType>()).map(|at| at.div_euclid(1_000_000)),
    })
}
