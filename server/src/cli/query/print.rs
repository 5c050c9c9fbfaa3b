//! Rows as an aligned table, CSV or JSON lines.

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use farthing_engine::Result;

use super::Format;
use crate::cli::output::Output;
use crate::pg::{json_objects, text_cells};

/// Takes batches and prints them; a table waits for its last row, since every row counts for the width of its columns.
pub struct Printer {
    format: Format,
    names: Vec<String>,
    numeric: Vec<bool>,
    max_rows: usize,
    held: Vec<Vec<String>>,
    cut: bool,
    header_due: bool,
}

impl Printer {
    /// A printer for rows of this schema.
    pub fn new(format: Format, max_rows: usize, schema: &Schema) -> Self {
        Self {
            format,
            names: schema.fields().iter().map(|field| field.name().clone()).collect(),
            numeric: schema
                .fields()
                .iter()
                .map(|field| is_number(field.data_type()))
                .collect(),
            max_rows,
            held: Vec::new(),
            cut: false,
            header_due: format == Format::Csv,
        }
    }

    /// Takes a batch.
    pub fn batch(&mut self, batch: &RecordBatch, output: &mut Output) -> Result<()> {
        match self.format {
            Format::Table => {
                let room = self.max_rows - self.held.len();
                self.cut = self.cut || batch.num_rows() > room;
                let shown = batch.slice(0, batch.num_rows().min(room));
                let rows = text_cells(&shown)?.into_iter();
                self.held
                    .extend(rows.map(|row| row.into_iter().map(|cell| one_line(cell.unwrap_or_default())).collect()));
                Ok(())
            }
            Format::Csv => {
                self.csv_header(output)?;
                let mut text = String::new();
                for row in text_cells(batch)? {
                    push_csv(&mut text, row.iter().map(Option::as_deref));
                }
                output.bytes(text.as_bytes())
            }
            Format::Json => {
                let mut text = json_objects(batch)?.join("\n");
                if !text.is_empty() {
                    text.push('\n');
                }
                output.bytes(text.as_bytes())
            }
        }
    }

    /// Whether no more rows would be shown.
    pub fn is_full(&self) -> bool {
        self.cut
    }

    /// Prints what is held back.
    pub fn finish(mut self, output: &mut Output) -> Result<()> {
        match self.format {
            Format::Json => Ok(()),
            Format::Csv => self.csv_header(output),
            Format::Table => {
                output.bytes(self.table().as_bytes())?;
                if self.cut {
                    output.note(format!(
                        "only the first {} rows are shown; --max-rows shows more, --format csv or json all",
                        self.max_rows
                    ));
                }
                Ok(())
            }
        }
    }

    fn csv_header(&mut self, output: &mut Output) -> Result<()> {
        if !std::mem::take(&mut self.header_due) {
            return Ok(());
        }
        let mut text = String::new();
        push_csv(&mut text, self.names.iter().map(|name| Some(name.as_str())));
        output.bytes(text.as_bytes())
    }

    /// As psql draws it: names in the middle, numbers to the right, texts to the left.
    fn table(&self) -> String {
        let widths: Vec<usize> = (0..self.names.len())
            .map(|column| {
                let cells = self.held.iter().filter_map(|row| row.get(column));
                let widest = cells.map(|cell| width(cell)).max().unwrap_or(0);
                widest.max(width(&self.names[column]))
            })
            .collect();
        let mut text = String::new();
        let head: Vec<String> = self
            .names
            .iter()
            .zip(&widths)
            .map(|(name, wide)| {
                let free = wide - width(name);
                format!(" {}{name}{} ", " ".repeat(free / 2), " ".repeat(free - free / 2))
            })
            .collect();
        text.push_str(head.join("|").trim_end());
        text.push('\n');
        let rules: Vec<String> = widths.iter().map(|wide| "-".repeat(wide + 2)).collect();
        text.push_str(&rules.join("+"));
        text.push('\n');
        for row in &self.held {
            let cells: Vec<String> = row
                .iter()
                .enumerate()
                .map(|(column, cell)| {
                    let free = " ".repeat(widths[column] - width(cell));
                    match self.numeric[column] {
                        true => format!(" {free}{cell} "),
                        false => format!(" {cell}{free} "),
                    }
                })
                .collect();
            text.push_str(cells.join("|").trim_end());
            text.push('\n');
        }
        let rows = self.held.len();
        text.push_str(&format!("({rows} row{})\n", if rows == 1 { "" } else { "s" }));
        text
    }
}

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

/// Columns that a text takes on a terminal. Characters of two columns are rare in cost data and only shift their line.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// Line breaks and tabs would break the table.
fn one_line(text: String) -> String {
    if text.contains(['\n', '\r', '\t']) {
        text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
    } else {
        text
    }
}

/// One record of RFC 4180, with `\n` at its end. NULL is empty, and an empty text is quoted, so that they differ.
fn push_csv<'a>(out: &mut String, cells: impl Iterator<Item = Option<&'a str>>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(',');
        }
        match cell {
            None => {}
            Some(text) if text.is_empty() || text.contains([',', '"', '\n', '\r']) => {
                out.push('"');
                out.push_str(&text.replace('"', "\"\""));
                out.push('"');
            }
            Some(text) => out.push_str(text),
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn tables_look_like_those_of_psql() {
        let names = StringArray::from(vec![Some("Amazon EC2"), Some("a\nb"), None]);
        let batch = RecordBatch::try_from_iter([
            ("service", Arc::new(names) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![1, 200, 3])) as ArrayRef),
        ])
        .unwrap();
        let mut printer = Printer::new(Format::Table, 3, &batch.schema());
        printer.batch(&batch, &mut Output::default()).unwrap();
        let wanted = "  service   |  n\n------------+-----\n Amazon EC2 |   1\n a\\nb       | 200\n            |   3\n(3 rows)\n";
        assert_eq!(printer.table(), wanted);
        assert!(!printer.is_full());
        printer.batch(&batch, &mut Output::default()).unwrap();
        assert!(printer.is_full());
        assert_eq!(printer.held.len(), 3);
    }

    #[test]
    fn csv_quotes_what_it_must() {
        let mut text = String::new();
        push_csv(
            &mut text,
            [Some("plain"), None, Some(""), Some("a,\"b\"\nc")].into_iter(),
        );
        assert_eq!(text, "plain,,\"\",\"a,\"\"b\"\"\nc\"\n");
    }
}
