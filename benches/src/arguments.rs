//! The arguments that the benches share, and what their pages say of the machine and the sample.

use std::path::PathBuf;

use clap::Args;
use farthing_server::runtime::Runtimes;

use crate::report::megabytes;
use crate::sample::Sample;
use crate::{Outcome, process};

/// Where and over what a bench runs.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Rows of the sample export, about.
    #[arg(long, default_value_t = 2_000_000)]
    pub rows: u64,
    /// Months of the sample export.
    #[arg(long, default_value_t = 13)]
    pub months: u32,
    /// Where sample exports are made, and kept for the next run.
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// Threads of each contender.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// A Python with benches/requirements.txt.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
    /// Connect every account of the sample, not all but three.
    #[arg(long)]
    pub all_accounts: bool,
    /// Also write the page to this file.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl Arguments {
    /// The sample, made now if it is not there yet.
    pub fn sample(&self, runtimes: &Runtimes) -> Outcome<Sample> {
        let sample = runtimes.block_on(Sample::prepare(&self.data, self.rows, self.months))?;
        Ok(match self.all_accounts {
            true => sample.with_all_accounts(),
            false => sample,
        })
    }
}

/// A line on the sample.
pub fn of_sample(sample: &Sample) -> Outcome<String> {
    let (files, bytes) = sample.size()?;
    Ok(format!(
        "Sample: {} rows, {} of them of the {} connected accounts of {}; {} months, {files} files, {} MB.\n",
        sample.rows(),
        sample.connected_rows(),
        sample.connected().len(),
        sample.accounts(),
        sample.months(),
        megabytes(Some(bytes)),
    ))
}

/// A line on the machine; `load_before` is its load when the questions began.
pub fn of_machine(load_before: Option<f64>) -> String {
    let text = |load: Option<f64>| load.map_or("-".to_owned(), |load| format!("{load:.1}"));
    format!(
        "Machine: {} processors, {}; load before {}, after {}. {} build.\n",
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        process::processor().unwrap_or_default(),
        text(load_before),
        text(process::load()),
        if cfg!(debug_assertions) { "Dev" } else { "Release" },
    )
}
