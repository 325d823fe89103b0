//! How answers look: tables for people, the API's data for programs.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::client::Output;

/// The narrowest terminal that tables are fitted to.
const COLUMNS_MIN: u16 = 80;

/// Prints an answer on standard output.
pub fn answer(output: Output, data: &Value, table: impl FnOnce() -> String) {
    match output {
        Output::Json => println!("{data:#}"),
        Output::Table => println!("{}", table()),
    }
}

/// Lays rows out in columns.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = plain();
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    table.trim_fmt()
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // Narrower than that, broken words are worse than long lines.
    if table.width().is_some_and(|columns| columns >= COLUMNS_MIN) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// Lays out one thing: a line for each of its properties.
pub fn card(properties: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let mut table = plain();
    for (name, value) in properties {
        table.add_row([name.to_owned(), value]);
    }
    table.trim_fmt()
}

/// Returns the items of a list in an answer.
pub fn items<'d>(data: &'d Value, name: &str) -> impl Iterator<Item = &'d Value> {
    data[name].as_array().into_iter().flatten()
}

/// A value in a cell: text as it is, nothing as a dash, the rest as JSON.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Who asked, as they said; a dash where nobody did.
pub fn actor(value: &Value) -> String {
    cell(value.get("claimed").unwrap_or(value))
}

/// Shows a value in a table whose rows should stay lines: the JSON output has the whole of it.
pub fn glance(value: &Value) -> String {
    const CHARACTERS_MAX: usize = 60;
    let text = cell(value);
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Says how to see the next page, where there is one.
pub fn next_page(data: &Value) {
    if let Some(next) = data["next"].as_str() {
        eprintln!("there are more: --cursor {next}");
    }
}
