//! PostgreSQL clients: `tokio-postgres` in both of its ways to ask.

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::{Answer, Client, Param, Refusal, Way};
use crate::render::{PgText, canonical_json};

/// A connection.
pub struct Postgres {
    /// The client itself, for what the interface does not cover.
    pub client: tokio_postgres::Client,
    connection: JoinHandle<()>,
    extended: bool,
}

impl Postgres {
    /// Connects as `user`; `extended` chooses prepared statements with binary results.
    pub async fn connect(
        address: std::net::SocketAddr,
        user: &str,
        password: &str,
        extended: bool,
    ) -> Result<Self, Refusal> {
        let mut config = tokio_postgres::Config::new();
        config.host(address.ip().to_string()).port(address.port());
        config
            .user(user)
            .password(password)
            .dbname("farthing")
            .application_name("tests");
        let (client, connection) = config.connect(NoTls).await.map_err(|error| refusal(&error))?;
        Ok(Self {
            client,
            connection: tokio::spawn(async move {
                // The connection's end is what the client's own calls report.
                let _ = connection.await;
            }),
            extended,
        })
    }

    async fn simple(&self, sql: &str) -> Result<Answer, Refusal> {
        let messages = self.client.simple_query(sql).await.map_err(|error| refusal(&error))?;
        let mut answer = Answer::default();
        let mut json: Vec<bool> = Vec::new();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    answer.columns = columns.iter().map(|column| column.name().to_owned()).collect();
                    json = vec![true; columns.len()];
                }
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|at| row.get(at).map(|text| cell(text, json[at])));
                    answer.rows.push(cells.collect());
                }
                _ => {}
            }
        }
        Ok(answer)
    }

    async fn extended(&self, sql: &str, params: &[Param]) -> Result<Answer, Refusal> {
        let statement = self.client.prepare(sql).await.map_err(|error| refusal(&error))?;
        assert_eq!(statement.params().len(), params.len(), "parameters of {sql}");
        let values: Vec<Box<dyn ToSql + Sync + Send>> = params
            .iter()
            .zip(statement.params())
            .map(|(param, kind)| bound(param, kind))
            .collect();
        let values: Vec<&(dyn ToSql + Sync)> = values
            .iter()
            .map(|value| value.as_ref() as &(dyn ToSql + Sync))
            .collect();
        let rows = self
            .client
            .query(&statement, &values)
            .await
            .map_err(|error| refusal(&error))?;
        let columns = statement
            .columns()
            .iter()
            .map(|column| column.name().to_owned())
            .collect();
        let cells = |row: &tokio_postgres::Row| {
            (0..row.len())
                .map(|at| row.get::<_, Option<PgText>>(at).map(|text| text.0))
                .collect()
        };
        Ok(Answer {
            columns,
            rows: rows.iter().map(cells).collect(),
        })
    }
}

/// A cell of the simple protocol. Types are not known there; only JSON objects look like JSON objects.
fn cell(text: &str, may_be_json: bool) -> String {
    if may_be_json && text.starts_with('{') && text.ends_with('}') {
        return canonical_json(text).unwrap_or_else(|| text.to_owned());
    }
    text.to_owned()
}

fn bound(param: &Param, kind: &Type) -> Box<dyn ToSql + Sync + Send> {
    match (param, kind) {
        (Param::Text(text), _) => Box::new(text.clone()),
        (Param::Int(number), &Type::INT4) => Box::new(i32::try_from(*number).unwrap()),
        (Param::Int(number), &Type::INT2) => Box::new(i16::try_from(*number).unwrap()),
        (Param::Int(number), _) => Box::new(*number),
        (Param::Bool(value), _) => Box::new(*value),
        (Param::Null, _) => Box::new(None::<String>),
    }
}

/// The refusal that a PostgreSQL error is.
pub fn refusal(error: &tokio_postgres::Error) -> Refusal {
    let Some(error) = error.as_db_error() else {
        return Refusal::unknown(error);
    };
    let mut message = error.message().to_owned();
    for (word, text) in [("Detail", error.detail()), ("Hint", error.hint())] {
        if let Some(text) = text {
            message.push_str(&format!("\n{word}: {text}"));
        }
    }
    Refusal {
        sqlstate: error.code().code().to_owned(),
        message,
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

#[async_trait]
impl Client for Postgres {
    async fn run_with(&mut self, sql: &str, params: &[Param]) -> Result<Answer, Refusal> {
        if self.extended || !params.is_empty() {
            self.extended(sql, params).await
        } else {
            self.simple(sql).await
        }
    }

    fn way(&self) -> Way {
        if self.extended {
            Way::PostgresExtended
        } else {
            Way::PostgresSimple
        }
    }
}
