//! One interface over every way in, and one form of answers, so that a test says the same thing to all of them.

pub mod flight;
pub mod in_process;
pub mod postgres;

use std::fmt;

use async_trait::async_trait;

/// A value that is bound to `$n`.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A boolean.
    Bool(bool),
    /// NULL of a text parameter.
    Null,
}

impl From<&str> for Param {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What a statement gave: values as PostgreSQL prints them, `None` for NULL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Names of the columns; none for statements without rows.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Answer {
    /// The only value.
    ///
    /// # Panics
    /// If there is not exactly one row with one column.
    pub fn single(&self) -> Option<&str> {
        let [row] = self.rows.as_slice() else {
            panic!("one row is expected, not {}: {self:?}", self.rows.len())
        };
        let [value] = row.as_slice() else {
            panic!("one column is expected, not {}: {self:?}", row.len())
        };
        value.as_deref()
    }

    /// A column's values.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn column(&self, name: &str) -> Vec<Option<&str>> {
        let at = self.columns.iter().position(|column| column == name);
        let at = at.unwrap_or_else(|| panic!("no column {name} among {:?}", self.columns));
        self.rows.iter().map(|row| row[at].as_deref()).collect()
    }

    /// Everything as text, for searching.
    pub fn text(&self) -> String {
        let mut text = self.columns.join("\t");
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or("NULL")).collect();
            text.push('\n');
            text.push_str(&cells.join("\t"));
        }
        text
    }

    /// The same rows in order of their text: for queries that promise no order.
    pub fn sorted(mut self) -> Self {
        self.rows.sort();
        self
    }
}

/// A refused statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The SQLSTATE; `?????` where the way in gave none, which is a defect.
    pub sqlstate: String,
    /// Message, detail and hint, as far as the way in carries them.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sqlstate, self.message)
    }
}

impl Refusal {
    /// From an engine error, in the shape that the wire protocols give it.
    pub fn of(error: &farthing_engine::Error) -> Self {
        let mut message = error.message().to_owned();
        for (word, text) in [("Detail", error.detail()), ("Hint", error.hint())] {
            if let Some(text) = text {
                message.push_str(&format!("\n{word}: {text}"));
            }
        }
        Self {
            sqlstate: farthing_sql::SqlState::of(error).code.to_owned(),
            message,
        }
    }

    /// A failure that carries no SQLSTATE.
    pub fn unknown(error: impl fmt::Display) -> Self {
        Self {
            sqlstate: "?????".to_owned(),
            message: error.to_string(),
        }
    }
}

/// One session through one way in.
#[async_trait]
pub trait Client: Send {
    /// Runs one statement to its last row.
    async fn run(&mut self, sql: &str) -> Result<Answer, Refusal> {
        self.run_with(sql, &[]).await
    }

    /// Runs one statement with bound values to its last row.
    async fn run_with(&mut self, sql: &str, params: &[Param]) -> Result<Answer, Refusal>;

    /// Which way in.
    fn way(&self) -> Way;
}

/// The ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// The front end, without a protocol.
    InProcess,
    /// PostgreSQL, simple protocol: text in, text out.
    PostgresSimple,
    /// PostgreSQL, extended protocol: prepared, binary out.
    PostgresExtended,
    /// Flight SQL, prepared statements.
    FlightSql,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::InProcess,
        Self::PostgresSimple,
        Self::PostgresExtended,
        Self::FlightSql,
    ];
}
