//! Deliveries: which rows go into which file, the files of a month in parallel, and its manifest after them.

use std::sync::Arc;

use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde_json::json;
use tokio::sync::mpsc;

use super::calendar::{YearMonth, instant_millis};
use super::file::FileRows;
use super::model::Model;
use super::random::{Stream, at, below, uuid};
use super::totals::{ControlTotals, CostSums};
use super::upload::{Event, PartWriter, WAITING, upload};
use super::{Delivery, DeliveryMode, ExportForm, Progress, SampleError, SampleSpec, charges, emit};

/// A piece of a month that is written as a whole.
#[derive(Clone, Copy, Debug)]
enum Piece {
    /// Block of resources.
    Block(usize),
    /// Fees of a plan.
    Plan(usize),
    /// Fees of a reservation.
    Reservation(usize),
    /// Charges of an account.
    Account(usize),
}

/// One file of a month.
struct FilePlan {
    month: usize,
    number: usize,
    pieces: Vec<Piece>,
    path: Path,
}

/// A month with the keys of its delivery.
struct MonthPlan {
    files: usize,
    /// Keys of the manifests, the latest one last.
    manifests: Vec<Path>,
    execution: String,
    period: YearMonth,
    /// Keys of the data files.
    keys: Vec<String>,
}

/// Generates the export and writes it to `store`, which is rooted at the bucket: for each month the data files, then the
/// manifest. Answers with the sums of all rows. A failed delivery leaves complete files and no manifest of that month.
pub async fn deliver(
    spec: &SampleSpec,
    store: Arc<dyn ObjectStore>,
    progress: &dyn Progress,
) -> Result<ControlTotals, SampleError> {
    let model = build(spec).await?;
    let months = (0..model.calendar.months.len()).collect();
    deliver_months(model, months, Delivery::First, store, progress).await
}

/// Delivers one month of the export again, restated: some usage is corrected, and each account has a late credit. Answers
/// with the sums of that month; [`ControlTotals::restate`] puts them in place of the former ones.
pub async fn deliver_restated(
    spec: &SampleSpec,
    period: YearMonth,
    store: Arc<dyn ObjectStore>,
    progress: &dyn Progress,
) -> Result<ControlTotals, SampleError> {
    let model = build(spec).await?;
    let month = model
        .calendar
        .months
        .iter()
        .position(|month| *month == period)
        .ok_or_else(|| {
            SampleError::Spec(format!(
                "the sample has no month {period} to restate: it ends with {}",
                spec.end
            ))
        })?;
    deliver_months(model, vec![month], Delivery::Restated, store, progress).await
}

async fn build(spec: &SampleSpec) -> Result<Arc<Model>, SampleError> {
    spec.check()?;
    let spec = spec.clone();
    let built = tokio::task::spawn_blocking(move || Arc::new(Model::new(&spec))).await;
    built.map_err(|stopped| SampleError::Spec(format!("building the organisation was interrupted: {stopped}")))
}

async fn deliver_months(
    model: Arc<Model>,
    months: Vec<usize>,
    delivery: Delivery,
    store: Arc<dyn ObjectStore>,
    progress: &dyn Progress,
) -> Result<ControlTotals, SampleError> {
    let mut plans = Vec::new();
    let mut files = Vec::new();
    let mut rows = 0;
    for &month in &months {
        let (plan, of_month, rows_of_month) = plan_month(&model, month, delivery)?;
        plans.push(plan);
        files.extend(of_month);
        rows += rows_of_month;
    }
    progress.planned(rows, files.len() as u64);
    let mut totals = ControlTotals::default();
    let mut left: Vec<usize> = plans.iter().map(|plan| plan.files).collect();
    let written = files
        .into_iter()
        .map(|file| write_file(model.clone(), file, delivery, store.clone(), progress));
    let mut written = futures::stream::iter(written).buffer_unordered(model.spec.threads);
    while let Some(done) = written.next().await {
        let (month, sums) = done?;
        let period = model.calendar.months[month].to_string();
        for (account, sums) in model.accounts.iter().zip(&sums) {
            totals.add(&period, &account.id, sums);
        }
        let Some(index) = months.iter().position(|&m| m == month) else {
            continue;
        };
        left[index] -= 1;
        if left[index] == 0 {
            write_manifests(&model, &plans[index], &store, progress).await?;
        }
    }
    Ok(totals)
}

/// Deals a month's pieces into files.
fn plan_month(model: &Model, month: usize, delivery: Delivery) -> Result<(MonthPlan, Vec<FilePlan>, u64), SampleError> {
    let units = model.calendar.units(month);
    let mut pieces: Vec<(Piece, u64)> = Vec::new();
    for (number, block) in model.blocks.blocks.iter().enumerate() {
        let rows = model.blocks.rows(block, units.clone(), model.hourly());
        if rows > 0 {
            pieces.push((Piece::Block(number), rows));
        }
    }
    pieces.extend((0..model.plans.len()).map(|n| (Piece::Plan(n), u64::from(units.end.abs_diff(units.start)))));
    pieces.extend((0..model.reservations.len()).map(|n| (Piece::Reservation(n), 2)));
    pieces.extend((0..model.accounts.len()).map(|n| (Piece::Account(n), 8)));
    // AWS promises no order: accounts and services lie mixed.
    let mut stream = Stream::new(at(model.spec.seed, &[73, month as u64]));
    for last in (1..pieces.len()).rev() {
        pieces.swap(last, below(stream.next(), last as u64 + 1) as usize);
    }
    let all: u64 = pieces.iter().map(|(_, rows)| rows).sum();
    // Files of about the same size, so that no thread is left with a stub at the end.
    let per_file = all.div_ceil(all.div_ceil(model.spec.rows_per_file).max(1));
    let mut dealt: Vec<Vec<Piece>> = vec![Vec::new()];
    let mut rows = 0;
    for (piece, more) in pieces {
        if rows >= per_file {
            dealt.push(Vec::new());
            rows = 0;
        }
        if let Some(file) = dealt.last_mut() {
            file.push(piece);
        }
        rows += more;
    }
    let keys = MonthKeys::new(model, month, delivery);
    let mut plan = MonthPlan {
        files: dealt.len(),
        manifests: keys.manifests()?,
        keys: Vec::new(),
        period: keys.period,
        execution: keys.execution.clone(),
    };
    let mut files = Vec::new();
    for (index, pieces) in dealt.into_iter().enumerate() {
        let key = keys.data(index + 1);
        files.push(FilePlan {
            month,
            number: index,
            pieces,
            path: path(&key)?,
        });
        plan.keys.push(key);
    }
    Ok((plan, files, all))
}

fn path(key: &str) -> Result<Path, SampleError> {
    Path::parse(key).map_err(|error| SampleError::Spec(format!("'{key}' is no object key: {error}")))
}

/// Keys of one delivery of a month.
struct MonthKeys<'a> {
    spec: &'a SampleSpec,
    period: YearMonth,
    /// UUID of the delivery.
    execution: String,
    /// When the delivery ran.
    time: String,
}

impl<'a> MonthKeys<'a> {
    fn new(model: &'a Model, month: usize, delivery: Delivery) -> Self {
        let period = model.calendar.months[month];
        // In the days after the month, as AWS finalises it.
        let (days, word) = match delivery {
            Delivery::First => (3, 0),
            Delivery::Restated => (12, 1),
        };
        let time = instant_millis(period.end() + days * 86_400 + 5 * 3600 + 9);
        let execution = uuid(at(model.spec.seed, &[74, month as u64, word]));
        Self {
            spec: &model.spec,
            period,
            execution,
            time,
        }
    }

    /// Folder `kind` (`data` or `metadata`) of the month.
    fn folder(&self, kind: &str) -> String {
        let prefix = if self.spec.prefix.is_empty() {
            String::new()
        } else {
            format!("{}/", self.spec.prefix)
        };
        // FOCUS exports have been seen with this one, CUR 2.0 with the other.
        let partition = match self.spec.form {
            ExportForm::Focus => "billing_period",
            _ => "BILLING_PERIOD",
        };
        format!("{prefix}{}/{kind}/{partition}={}", self.spec.export_name, self.period)
    }

    fn run(&self) -> String {
        format!("{}-{}", self.time, self.execution)
    }

    fn data(&self, number: usize) -> String {
        let name = format!("{}-{number:05}.snappy.parquet", self.spec.export_name);
        if self.spec.form == ExportForm::LegacyParquet {
            return format!("{}/{name}", self.athena_folder());
        }
        match self.spec.overwrite {
            DeliveryMode::Overwrite => format!("{}/{name}", self.folder("data")),
            DeliveryMode::CreateNew => format!("{}/{}/{name}", self.folder("data"), self.run()),
        }
    }

    /// Folder of the month's data in a legacy report; the report's name comes twice.
    fn athena_folder(&self) -> String {
        let (prefix, name) = (&self.spec.prefix, &self.spec.export_name);
        let (year, month) = (self.period.year(), self.period.month());
        format!("{prefix}/{name}/{name}/year={year}/month={month}")
    }

    /// Folder of the month in a legacy report. The end is exclusive.
    fn period_folder(&self) -> String {
        let first = |month: YearMonth| format!("{:04}{:02}01", month.year(), month.month());
        let (from, to) = (first(self.period), first(self.period.plus(1)));
        format!("{}/{}/{from}-{to}", self.spec.prefix, self.spec.export_name)
    }

    fn manifests(&self) -> Result<Vec<Path>, SampleError> {
        let name = format!("{}-Manifest.json", self.spec.export_name);
        if self.spec.form == ExportForm::LegacyParquet {
            let folders = [self.athena_folder(), self.period_folder()];
            return folders.iter().map(|folder| path(&format!("{folder}/{name}"))).collect();
        }
        let folder = self.folder("metadata");
        let latest = path(&format!("{folder}/{name}"))?;
        Ok(match self.spec.overwrite {
            DeliveryMode::Overwrite => vec![latest],
            DeliveryMode::CreateNew => vec![path(&format!("{folder}/{}/{name}", self.run()))?, latest],
        })
    }
}

async fn write_file(
    model: Arc<Model>,
    file: FilePlan,
    delivery: Delivery,
    store: Arc<dyn ObjectStore>,
    progress: &dyn Progress,
) -> Result<(usize, Vec<CostSums>), SampleError> {
    let (sender, mut events) = mpsc::channel(WAITING);
    let (path, month) = (file.path.clone(), file.month);
    let thread = tokio::task::spawn_blocking(move || rows(&model, &file, delivery, sender));
    let uploaded = upload(&store, &path, &mut events, progress).await;
    // A store that refuses ends the thread at its next part.
    drop(events);
    let failed = |reason: String| SampleError::Encode {
        key: path.to_string(),
        reason,
    };
    let generated = thread.await;
    // The store's own words come first; a thread that was cut off by them can only say that it was.
    if let Err(refused @ SampleError::Store { .. }) = uploaded {
        return Err(refused);
    }
    let sums = generated
        .map_err(|stopped| failed(stopped.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    uploaded?;
    progress.written(path.as_ref());
    Ok((month, sums))
}

/// Generates the rows of a file, on a thread of its own.
fn rows(
    model: &Model,
    file: &FilePlan,
    delivery: Delivery,
    sender: mpsc::Sender<Event>,
) -> parquet::errors::Result<Vec<CostSums>> {
    let reports = sender.clone();
    // If nobody listens any more, the next part says so.
    let progress = Box::new(move |rows| drop(reports.blocking_send(Event::Rows(rows))));
    let mut out = FileRows::new(
        model,
        (file.month, file.number, delivery),
        PartWriter::new(sender),
        progress,
    )?;
    for &piece in &file.pieces {
        match piece {
            Piece::Block(number) => emit::block(&mut out, number)?,
            Piece::Plan(number) => charges::plan(&mut out, number)?,
            Piece::Reservation(number) => charges::reservation(&mut out, number)?,
            Piece::Account(number) => charges::account(&mut out, number)?,
        }
    }
    let (parts, sums) = out.finish()?;
    parts.finish()?;
    Ok(sums)
}

async fn write_manifests(
    model: &Model,
    plan: &MonthPlan,
    store: &Arc<dyn ObjectStore>,
    progress: &dyn Progress,
) -> Result<(), SampleError> {
    let spec = &model.spec;
    let manifest = match spec.form {
        ExportForm::Cur2 | ExportForm::Focus => {
            let export = uuid(at(spec.seed, &[75]));
            let arn = format!(
                "arn:aws:bcm-data-exports:us-east-1:{}:export/{}-{export}",
                spec.payer, spec.export_name
            );
            json!({
                "executionId": plan.execution,
                "exportArn": arn,
                "columns": model.shape.manifest_columns(),
                "dataFiles": plan.keys.iter().map(|key| format!("s3://{}/{key}", spec.bucket)).collect::<Vec<_>>(),
            })
        }
        ExportForm::LegacyParquet => {
            let midnight = |month: YearMonth| format!("{:04}{:02}01T000000.000Z", month.year(), month.month());
            json!({
                "assemblyId": plan.execution,
                "account": spec.payer,
                "columns": model.shape.manifest_columns(),
                "charset": "UTF-8",
                "compression": "Parquet",
                "contentType": "Parquet",
                "reportId": uuid(at(spec.seed, &[76])).replace('-', ""),
                "reportName": spec.export_name,
                "billingPeriod": { "start": midnight(plan.period), "end": midnight(plan.period.plus(1)) },
                "bucket": spec.bucket,
                "reportKeys": plan.keys,
                "additionalArtifactKeys": [],
            })
        }
    };
    let text = format!("{manifest:#}\n");
    for path in &plan.manifests {
        let put = store.put(path, PutPayload::from(text.clone())).await;
        put.map_err(|source| SampleError::Store {
            key: path.to_string(),
            source,
        })?;
        progress.written(path.as_ref());
    }
    Ok(())
}
