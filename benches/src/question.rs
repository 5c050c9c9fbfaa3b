//! Questions: files in `benches/questions`, each with a title, the SQL of Farthing and that of DuckDB.
//!
//! ```text
//! -- title: Cost by service
//! -- set: look-up
//! -- engine: farthing
//! SELECT ...
//! -- engine: duckdb
//! SELECT ...
//! ```
//!
//! The set is left out by most. Other peers get DuckDB's SQL, where there is no `-- engine: chdb` with SQL of their own.
//! `{name}` in the SQL stands for a value that depends on the sample, or for the text of `benches/parts/name.sql`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cell::Cell;
use crate::peer::{Engine, Peer};
use crate::sample::{EXPORT, Sample};
use crate::{Failure, Outcome};

/// The set of a question that names none.
pub const DASHBOARD: &str = "dashboard";

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The file's name without its end: `03-services`.
    pub name: String,
    /// What is asked, for people.
    pub title: String,
    /// What it belongs to, beside all of them: `dashboard`, `look-up`, `delivered columns`.
    pub set: String,
    /// For Farthing.
    pub farthing: String,
    /// For its peers over the view `cur`, by [`Engine::key`]; DuckDB's is always there.
    peers: BTreeMap<String, String>,
}

impl Question {
    /// The SQL for a peer.
    pub fn sql(&self, engine: Engine) -> &str {
        let own = self.peers.get(engine.key());
        own.or_else(|| self.peers.get(Engine::DuckDb.key()))
            .map_or("", String::as_str)
    }
}

/// The texts that stand for names in the SQL.
pub type Values = BTreeMap<String, String>;

/// The values of a sample. The resource is a database that lives through most of the months: DuckDB finds it.
pub fn values(sample: &Sample, duckdb: &mut Peer) -> Outcome<Values> {
    let last = sample.last_month();
    let resource = duckdb.ask(
        "SELECT line_item_resource_id FROM cur WHERE line_item_resource_id LIKE 'arn:aws:rds:%' \
         GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
    )?;
    let Some(Cell::Text(resource)) = resource.rows.first().and_then(|row| row.first()) else {
        return Err("the sample has no database instance".into());
    };
    let account = sample
        .connected_linked()
        .into_iter()
        .next()
        .ok_or("the sample has no account")?;
    let values = [
        ("last_month", last.to_string()),
        ("last_month_start", format!("{last}-01")),
        ("next_month_start", format!("{}-01", last.plus(1))),
        ("previous_month", last.plus(-1).to_string()),
        ("account", account),
        ("resource", resource.clone()),
        ("export", format!("exports.{EXPORT}")),
    ];
    Ok(values.map(|(name, value)| (name.to_owned(), value)).into())
}

/// All questions in order of name; of a choice, those whose name starts with one of `only`.
pub fn load(values: &Values, only: &[String]) -> Outcome<Vec<Question>> {
    let values: Values = texts("parts")?.into_iter().chain(values.clone()).collect();
    let mut questions = Vec::new();
    for (name, text) in texts("questions")? {
        if only.is_empty() || only.iter().any(|start| name.starts_with(start)) {
            questions.push(parse(&name, &text, &values)?);
        }
    }
    if questions.is_empty() {
        return Err(format!("no question has a name that starts with {}", only.join(" or ")).into());
    }
    Ok(questions)
}

/// The SQL files of a folder of the benches, by name.
fn texts(folder: &str) -> Outcome<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for entry in std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str());
        if let (Some(name), true) = (name, path.extension().is_some_and(|end| end == "sql")) {
            texts.insert(name.to_owned(), std::fs::read_to_string(&path)?.trim().to_owned());
        }
    }
    Ok(texts)
}

fn parse(name: &str, text: &str, values: &Values) -> Outcome<Question> {
    let lacks = |what: &str| Failure::from(format!("the question {name} lacks the line '-- {what}'"));
    let mut sections = text.split("-- engine: ");
    let head = sections.next().unwrap_or_default();
    let of_head = |key: &str| head.lines().find_map(|line| line.strip_prefix(key));
    let title = of_head("-- title: ").ok_or_else(|| lacks("title: ..."))?;
    let mut engines = BTreeMap::new();
    for section in sections {
        let (engine, sql) = section.split_once('\n').unwrap_or((section, ""));
        engines.insert(engine.trim().to_owned(), fill(name, sql, values)?);
    }
    let farthing = engines.remove("farthing").ok_or_else(|| lacks("engine: farthing"))?;
    if !engines.contains_key(Engine::DuckDb.key()) {
        return Err(lacks("engine: duckdb"));
    }
    Ok(Question {
        name: name.to_owned(),
        title: title.to_owned(),
        set: of_head("-- set: ").unwrap_or(DASHBOARD).to_owned(),
        farthing,
        peers: engines,
    })
}

fn fill(question: &str, sql: &str, values: &Values) -> Outcome<String> {
    let mut filled = sql.trim().to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    match filled.find('{') {
        Some(at) => Err(format!("the question {question} has a name without a value: {}", &filled[at..]).into()),
        None => Ok(filled),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TEXT: &str = "-- title: A month\n-- set: look-up\n-- engine: farthing\nSELECT '{last_month}';\n\
        -- engine: duckdb\nSELECT 2\n-- engine: chdb\nSELECT 3\n";

    #[test]
    fn every_text_is_read_and_filled_and_peers_without_one_get_duckdbs() {
        let values = Values::from([("last_month".to_owned(), "2026-08".to_owned())]);
        let question = parse("01-a", TEXT, &values).unwrap();
        assert_eq!((question.title.as_str(), question.set.as_str()), ("A month", "look-up"));
        assert_eq!(question.farthing, "SELECT '2026-08';");
        assert_eq!(question.sql(Engine::DuckDb), "SELECT 2");
        assert_eq!(question.sql(Engine::ChDb), "SELECT 3");
        assert_eq!(question.sql(Engine::Polars), "SELECT 2");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = parse("01-a", TEXT, &Values::new()).unwrap_err().to_string();
        assert!(error.contains("{last_month}"), "{error}");
        let error = parse("01-a", "SELECT 1", &Values::new()).unwrap_err().to_string();
        assert!(error.contains("01-a") && error.contains("title"), "{error}");
        let one = "-- title: A\n-- engine: farthing\nSELECT 1\n";
        let error = parse("01-a", one, &Values::new()).unwrap_err().to_string();
        assert!(error.contains("engine: duckdb"), "{error}");
    }

    #[test]
    fn the_questions_of_the_benches_are_whole() {
        let names = [
            "last_month",
            "last_month_start",
            "next_month_start",
            "previous_month",
            "account",
            "resource",
            "export",
        ];
        let values: Values = names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        assert!(load(&values, &[]).unwrap().len() >= 40);
        assert_eq!(load(&values, &["17".to_owned()]).unwrap()[0].set, "look-up");
        assert!(load(&values, &["no-such".to_owned()]).is_err());
    }
}
