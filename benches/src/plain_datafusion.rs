//! DataFusion as it comes, as a peer: a listing table with the default configuration over the delivered files.
//!
//! It runs in a process of its own, so that its memory and its bytes are not Farthing's: a bench that is started with
//! [`ARGUMENT`] does nothing but [`serve`], in the protocol of `benches/peer.py`.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::DataType;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::context::SessionContext;
use datafusion::prelude::{SessionConfig, col, lit};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::cell::{self, Cell};
use crate::{Answer, Outcome};

/// The argument that makes a bench this peer.
pub const ARGUMENT: &str = "--as-datafusion";
/// The partition column, as the folders spell it.
const PERIOD: &str = "BILLING_PERIOD";

#[derive(Deserialize)]
struct Request {
    open: Option<Open>,
    sql: Option<String>,
}

#[derive(Deserialize)]
struct Open {
    threads: usize,
    files: String,
    accounts: Option<Vec<String>>,
}

/// Whether this process was started to be the peer.
pub fn is_asked_for() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// Answers commands until the end of the input. The threads are those that `open` names first.
pub fn serve() -> Outcome<()> {
    let mut opened = None;
    for line in std::io::stdin().lock().lines() {
        let reply = match answer(&line?, &mut opened) {
            Ok(reply) => reply,
            Err(failure) => json!({ "error": failure.to_string() }),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{reply}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(line: &str, opened: &mut Option<(tokio::runtime::Runtime, SessionContext)>) -> Outcome<Value> {
    let request: Request = serde_json::from_str(line)?;
    if let Some(open) = request.open {
        let runtime = match opened.take() {
            Some((runtime, _)) => runtime,
            None => Builder::new_multi_thread()
                .worker_threads(open.threads)
                .enable_all()
                .build()?,
        };
        let context = runtime.block_on(open_files(&open))?;
        *opened = Some((runtime, context));
        return Ok(json!({ "version": datafusion::DATAFUSION_VERSION }));
    }
    let (Some(sql), Some((runtime, context))) = (request.sql, opened.as_ref()) else {
        return Err("neither a query nor anything open".into());
    };
    // On a worker, as any program would.
    let (context, sql) = (context.clone(), sql);
    let answer = runtime.block_on(async move { tokio::spawn(async move { ask(&context, &sql).await }).await })??;
    let rows: Vec<Vec<Value>> = answer.rows.iter().map(|row| row.iter().map(value).collect()).collect();
    Ok(json!({ "rows": rows, "seconds": answer.seconds }))
}

/// A session with the files under the name `cur`.
async fn open_files(open: &Open) -> Outcome<SessionContext> {
    let (folder, _) = open
        .files
        .split_once(&format!("/{PERIOD}="))
        .ok_or("the files lie in no folders of billing periods")?;
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(open.threads));
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_extension(".parquet")
        .with_table_partition_cols(vec![(PERIOD.to_owned(), DataType::Utf8)]);
    let config = ListingTableConfig::new(ListingTableUrl::parse(format!("file://{folder}/"))?)
        .with_listing_options(options)
        .infer_schema(&context.state())
        .await?;
    let files = context.read_table(Arc::new(ListingTable::try_new(config)?))?;
    let files = match &open.accounts {
        None => files,
        Some(accounts) => {
            let accounts = accounts.iter().map(|account| lit(account.as_str())).collect();
            files.filter(col("line_item_usage_account_id").in_list(accounts, false))?
        }
    };
    let files = files.with_column_renamed(format!("\"{PERIOD}\""), "billing_period")?;
    context.register_table("cur", files.into_view())?;
    Ok(context)
}

async fn ask(context: &SessionContext, sql: &str) -> Outcome<Answer> {
    let began = Instant::now();
    let state = context.state();
    let plan = state.create_logical_plan(sql).await?;
    let batches = DataFrame::new(state, plan).collect().await?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Answer {
        rows: cell::of_batches(&batches)?,
        seconds,
    })
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Truth(truth) => json!(truth),
        Cell::Text(text) => json!(text),
        Cell::Number(number) => json!(number),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::sample::Sample;

    #[tokio::test]
    async fn it_has_the_rows_of_the_accounts_by_period() {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::prepare(folder.path(), 6_000, 2).await.unwrap();
        let counted = async |sample: &Sample| {
            let source = sample.source();
            let open = Open {
                threads: 1,
                files: source.files,
                accounts: source.accounts,
            };
            let context = open_files(&open).await.unwrap();
            let sql = "SELECT billing_period, count(*) AS line_items FROM cur GROUP BY 1";
            let answer = ask(&context, sql).await.unwrap();
            let number = |cell: &Cell| match cell {
                Cell::Number(number) => *number,
                other => unreachable!("a count is a number, not {other}"),
            };
            let rows: f64 = answer.rows.iter().map(|row| number(&row[1])).sum();
            (answer.rows.len(), rows)
        };
        let connected = counted(&sample).await;
        assert_eq!((connected.0, connected.1 as u64), (2, sample.connected_rows()));
        let sample = sample.with_all_accounts();
        let all = counted(&sample).await;
        assert_eq!((all.0, all.1 as u64), (2, sample.rows()));
        assert!(all.1 > connected.1);
    }
}
