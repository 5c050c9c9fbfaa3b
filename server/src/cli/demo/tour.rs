//! What the demo prints once it is ready: the exact commands to try.

use std::time::Duration;

use farthing_engine::Result;

use super::record::EXPORT;
use super::{Running, env_file};
use crate::cli::output::Output;

/// Prints the tour.
pub fn print(running: &Running<'_>, took: Duration, output: &mut Output) -> Result<()> {
    output.line(text(running, took))
}

fn text(running: &Running<'_>, took: Duration) -> String {
    let record = running.record;
    let password = record.password();
    let (pg, flight, user, password) = (running.pg, running.flight, &record.user, password.open());
    let database = farthing_sql::frontend::CATALOG;
    let mut text = format!(
        r#"
Farthing demo, ready in {:.1} s. A sample organisation of {} rows over {} months to {},
{} accounts connected, {} not. Ctrl-C stops it; everything lies in {}.

psql:
  PGPASSWORD={password} psql -h {} -p {} -U {user} {database}

Python (pip install adbc-driver-flightsql pyarrow):
  import adbc_driver_flightsql.dbapi as flight
  db = flight.connect("grpc://{flight}", db_kwargs={{"username": "{user}", "password": "{password}"}})
  cursor = db.cursor()
  cursor.execute("SELECT service_name, sum(effective_cost) AS cost FROM costs GROUP BY 1 ORDER BY 2 DESC LIMIT 10")
  print(cursor.fetch_arrow_table())

Scripts:
  source {}

Try:
  SELECT date_trunc('month', charge_period_start) AS month, sum(effective_cost) AS cost FROM costs GROUP BY 1 ORDER BY 1;
  SELECT sub_account_id, service_name, sum(effective_cost) AS cost FROM costs GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10;
  SELECT line_item_line_item_type, count(*) FROM exports.{EXPORT} WHERE billing_period = '{}' GROUP BY 1 ORDER BY 2 DESC;
  SELECT * FROM system.account_coverage;
"#,
        took.as_secs_f64(),
        record.totals.grand.rows,
        record.months,
        record.end,
        running.connected.connected.len(),
        running.connected.unconnected.len(),
        running.config.data_dir.display(),
        pg.ip(),
        pg.port(),
        env_file::path(running.config).display(),
        record.end,
    );
    let next = running.connected.unconnected.first();
    if let Some(account) = next.and_then(|id| record.linked.iter().find(|account| account.id == *id)) {
        text.push_str(&format!(
            "\nConnect one more account ({}) and see its whole history at once, then take it away again:\n  \
             CALL connect_aws_linked(access_key_id => '{}', secret_access_key => '{}');\n  \
             CALL disconnect_aws_account(account_id => '{}');\n",
            account.name, account.access_key_id, account.secret_access_key, account.id
        ));
    }
    text
}
