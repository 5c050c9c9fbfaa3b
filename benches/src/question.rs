//! Questions: files in `benches/questions`, each with a title and the SQL of both peers.
//!
//! ```text
//! -- title: Cost by service
//! -- engine: farthing
//! SELECT ...
//! -- engine: duckdb
//! SELECT ...
//! ```
//!
//! `{name}` in the SQL stands for a value that depends on the sample.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Failure, Outcome};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The file's name without its end: `03-services`.
    pub name: String,
    /// What is asked, for people.
    pub title: String,
    /// For Farthing.
    pub farthing: String,
    /// For DuckDB, over the view `cur`.
    pub duckdb: String,
}

/// The values of the names in the SQL.
pub type Values = BTreeMap<&'static str, String>;

/// All questions in order of name.
pub fn load(values: &Values) -> Outcome<Vec<Question>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("questions");
    let mut questions = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
            continue;
        };
        if path.extension().is_some_and(|end| end == "sql") {
            let text = std::fs::read_to_string(&path)?;
            questions.push(parse(name, &text, values)?);
        }
    }
    questions.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(questions)
}

fn parse(name: &str, text: &str, values: &Values) -> Outcome<Question> {
    let lacks = |what: &str| Failure::from(format!("the question {name} lacks the line '-- {what}'"));
    let title = text
        .lines()
        .find_map(|line| line.strip_prefix("-- title: "))
        .ok_or_else(|| lacks("title: ..."))?;
    let (_, after) = text
        .split_once("-- engine: farthing\n")
        .ok_or_else(|| lacks("engine: farthing"))?;
    let (farthing, duckdb) = after
        .split_once("-- engine: duckdb\n")
        .ok_or_else(|| lacks("engine: duckdb"))?;
    Ok(Question {
        name: name.to_owned(),
        title: title.to_owned(),
        farthing: fill(name, farthing, values)?,
        duckdb: fill(name, duckdb, values)?,
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

    const TEXT: &str = "-- title: A month\n-- engine: farthing\nSELECT '{last_month}';\n-- engine: duckdb\nSELECT 2\n";

    #[test]
    fn both_texts_are_read_and_filled() {
        let values = Values::from([("last_month", "2026-08".to_owned())]);
        let question = parse("01-a", TEXT, &values).unwrap();
        assert_eq!(question.title, "A month");
        assert_eq!(question.farthing, "SELECT '2026-08';");
        assert_eq!(question.duckdb, "SELECT 2");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = parse("01-a", TEXT, &Values::new()).unwrap_err().to_string();
        assert!(error.contains("{last_month}"), "{error}");
        let error = parse("01-a", "SELECT 1", &Values::new()).unwrap_err().to_string();
        assert!(error.contains("01-a") && error.contains("title"), "{error}");
    }
}
