//! `farthing sample`: writes the sample organisation's export.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use farthing_engine::port::Clock;
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sandbox::sample::{
    ControlTotals, CostSums, DeliveryMode, Granularity, SampleError, SampleSpec, TimestampEncoding, YearMonth, deliver,
    deliver_restated,
};
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use url::Url;

use super::output::Output;
use super::progress::RowsBar;
use crate::config::{Machine, aws_environment};
use crate::private_file;
use crate::runtime::Runtimes;
use crate::wiring::SystemClock;

/// Write a sample CUR 2.0 export: a believable AWS organisation, the same for the same options.
///
/// The export is written as AWS delivers it: monthly partitions of Snappy Parquet files, the manifest of a month after
/// its files. At the end the control totals are printed: what the costs of the export add up to, exactly.
#[derive(Debug, Args)]
pub struct SampleArgs {
    /// Folder or s3://bucket/prefix to write to. For S3, keys come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
    /// AWS_SESSION_TOKEN.
    #[arg(long, value_name = "FOLDER|S3_URL")]
    output: String,
    /// Endpoint to use in place of AWS's S3: https, or http on this machine.
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    endpoint_url: Option<Url>,
    /// Region of the bucket.
    #[arg(long, default_value = "us-east-1", env = "AWS_REGION")]
    region: String,
    /// Rows over all months, approximately; 500k and 1M may be written so.
    #[arg(long, default_value = "1M", value_parser = parse_count)]
    rows: u64,
    /// Linked accounts, besides the payer.
    #[arg(long, default_value_t = 12, value_name = "COUNT")]
    accounts: u32,
    /// Account id of the payer.
    #[arg(long, default_value = "111122223333", value_name = "ACCOUNT_ID")]
    payer: String,
    /// Months.
    #[arg(long, default_value_t = 13, value_name = "COUNT")]
    months: u32,
    /// Last month [default: the present one].
    #[arg(long, value_name = "YYYY-MM")]
    end: Option<YearMonth>,
    /// One row for each resource and hour.
    #[arg(long, conflicts_with = "daily")]
    hourly: bool,
    /// One row for each resource and day (the default).
    #[arg(long)]
    daily: bool,
    /// Write times as INT96, as some real deliveries do, in place of int64 milliseconds.
    #[arg(long)]
    int96: bool,
    /// Deliver into a new folder each time, in place of overwriting.
    #[arg(long)]
    create_new: bool,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rows of one file, approximately.
    #[arg(long, default_value = "1M", value_parser = parse_count)]
    rows_per_file: u64,
    /// Name of the export.
    #[arg(long, default_value = "cur2", value_name = "NAME")]
    export_name: String,
    /// Bucket that the manifests name when the output is a folder.
    #[arg(long, default_value = "example-billing", value_name = "NAME")]
    bucket: String,
    /// Deliver this one month again, restated: late credits and corrected usage. Give all other options as before.
    #[arg(long, value_name = "YYYY-MM")]
    restate: Option<YearMonth>,
    /// Write the control totals to this file, as JSON. With --restate an existing file is brought up to date.
    #[arg(long, value_name = "FILE")]
    totals: Option<PathBuf>,
    /// Files that are generated at the same time [default: one for each processor].
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
}

/// A number with `_` or `,` between digits and `k`, `M` or `G` at its end.
pub fn parse_count(text: &str) -> std::result::Result<u64, String> {
    let plain: String = text.chars().filter(|c| !matches!(c, '_' | ',')).collect();
    let (digits, factor) = match plain.strip_suffix(['k', 'K', 'M', 'm', 'G', 'g']) {
        Some(digits) => (
            digits,
            match plain.chars().last() {
                Some('k' | 'K') => 1_000,
                Some('M' | 'm') => 1_000_000,
                _ => 1_000_000_000,
            },
        ),
        None => (plain.as_str(), 1),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "give a whole number, for example 250000, 250k or 1M".to_owned())?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "the number is too large".to_owned())
}

/// Runs the command.
pub fn run(args: &SampleArgs, output: &mut Output) -> Result<()> {
    let (store, bucket, prefix) = open_output(args)?;
    let end = match args.end {
        Some(end) => end,
        None => present_month()?,
    };
    let mut spec = SampleSpec::new(
        args.seed,
        args.rows,
        args.months,
        end,
        &bucket,
        &prefix,
        &args.export_name,
    )
    .with_linked_accounts(args.accounts)
    .with_rows_per_file(args.rows_per_file);
    spec.payer.clone_from(&args.payer);
    if args.hourly {
        spec = spec.with_granularity(Granularity::Hourly);
    }
    if args.int96 {
        spec = spec.with_timestamps(TimestampEncoding::Int96);
    }
    if args.create_new {
        spec = spec.with_mode(DeliveryMode::CreateNew);
    }
    if let Some(threads) = args.threads {
        spec = spec.with_threads(threads);
    }
    let runtimes = Runtimes::try_new(Machine::detect().cores)?;
    let bar = RowsBar::new();
    let began = Instant::now();
    let delivered = runtimes.block_on(async {
        match args.restate {
            Some(month) => deliver_restated(&spec, month, store, &bar).await,
            None => deliver(&spec, store, &bar).await,
        }
    });
    bar.finish();
    let totals = delivered.map_err(sample_error)?;
    let seconds = began.elapsed().as_secs_f64();
    print_totals(&totals, output)?;
    output.note(format!(
        "{} rows in {seconds:.1} s, {:.0} rows a second; seed {}, {} months to {end}",
        totals.grand.rows,
        totals.grand.rows as f64 / seconds.max(1e-9),
        args.seed,
        args.months,
    ));
    if let Some(path) = &args.totals {
        write_totals(path, totals, args.restate.is_some())?;
    }
    Ok(())
}

/// The month that holds this instant.
pub fn present_month() -> Result<YearMonth> {
    use chrono::Datelike;
    let now = SystemClock.now();
    YearMonth::new(now.year(), now.month()).map_err(sample_error)
}

/// The generator's error as the command line's.
pub fn sample_error(error: SampleError) -> Error {
    let kind = match &error {
        SampleError::Spec(_) => ErrorKind::BadValue,
        SampleError::Store { .. } => ErrorKind::State,
        SampleError::Encode { .. } => ErrorKind::Defect,
    };
    Error::new(kind, error.to_string())
}

/// The store to write to, rooted at the bucket; the bucket's name; the prefix below it.
fn open_output(args: &SampleArgs) -> Result<(Arc<dyn ObjectStore>, String, String)> {
    let Some(rest) = args.output.strip_prefix("s3://") else {
        let folder = PathBuf::from(args.output.strip_prefix("file://").unwrap_or(&args.output));
        std::fs::create_dir_all(&folder).map_err(|error| private_file::refused("created", &folder, &error))?;
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| cannot_open(&args.output, &error))?;
        return Ok((Arc::new(store), args.bucket.clone(), String::new()));
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let key = aws_environment().ok_or_else(|| {
        Error::new(
            ErrorKind::BadCredentials,
            format!("there is no AWS key to write to {} with", args.output),
        )
        .with_hint("Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, if there is one).")
    })?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&args.region)
        .with_access_key_id(&key.access_key_id)
        .with_secret_access_key(key.secret_access_key.open());
    if let Some(token) = &key.session_token {
        builder = builder.with_token(token.open());
    }
    if let Some(url) = &args.endpoint_url {
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !loopback {
            return Err(Error::new(
                ErrorKind::BadValue,
                "the endpoint URL is neither https nor on this machine",
            )
            .with_hint("Give 'https://host:port', or 'http://127.0.0.1:port' on this machine."));
        }
        builder = builder
            .with_endpoint(url.as_str().trim_end_matches('/'))
            .with_allow_http(loopback);
    }
    let store = builder.build().map_err(|error| cannot_open(&args.output, &error))?;
    Ok((Arc::new(store), bucket.to_owned(), prefix.trim_matches('/').to_owned()))
}

fn cannot_open(output: &str, error: &object_store::Error) -> Error {
    Error::new(
        ErrorKind::BadValue,
        format!("the output {output} cannot be opened: {error}"),
    )
    .with_hint("Give a folder, or s3://bucket/prefix.")
}

fn print_totals(totals: &ControlTotals, output: &mut Output) -> Result<()> {
    let line = |name: &str, sums: &CostSums| {
        format!(
            "{name:<8} {:>12} {:>26} {:>26} {:>26} {:>26}",
            sums.rows,
            sums.unblended.to_string(),
            sums.net_unblended.to_string(),
            sums.amortized.to_string(),
            sums.net_amortized.to_string()
        )
    };
    output.line(format!(
        "{:<8} {:>12} {:>26} {:>26} {:>26} {:>26}",
        "month", "rows", "unblended", "net unblended", "amortized", "net amortized"
    ))?;
    for period in totals.periods.keys() {
        output.line(line(period, &totals.of_period(period)))?;
    }
    output.line(line("total", &totals.grand))
}

fn write_totals(path: &PathBuf, totals: ControlTotals, restated: bool) -> Result<()> {
    let mut all = totals;
    if restated && path.exists() {
        let text = std::fs::read_to_string(path).map_err(|error| private_file::refused("read", path, &error))?;
        let mut former: ControlTotals = serde_json::from_str(&text).map_err(|error| {
            Error::new(
                ErrorKind::BadValue,
                format!("{} does not hold control totals: {error}", path.display()),
            )
            .with_hint("Name the file that --totals wrote for the first delivery, or a new one.")
        })?;
        former.restate(&all);
        all = former;
    }
    let json = serde_json::to_vec_pretty(&all)
        .map_err(|error| Error::defect("the control totals cannot be written as JSON").with_source(error))?;
    std::fs::write(path, json).map_err(|error| private_file::refused("written", path, &error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn counts_may_have_a_unit() {
        for (text, number) in [
            ("12", 12),
            ("500k", 500_000),
            ("1M", 1_000_000),
            ("1_000,000", 1_000_000),
        ] {
            assert_eq!(parse_count(text).unwrap(), number);
        }
        for bad in ["", "k", "-1", "1.5M", "99999999999G"] {
            assert!(parse_count(bad).is_err(), "{bad}");
        }
    }
}
