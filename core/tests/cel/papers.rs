//! Whether `docs/definitions.md` is true of the functions it shows: each example is evaluated.

use serde_json::Value;

use super::evaluate;

/// The rows of the tables of functions: name, example, what it is worth.
fn rows() -> Vec<[String; 3]> {
    let text = include_str!("../../../docs/definitions.md");
    let tables = text.split("| function | gives | example | is |\n").skip(1);
    let rows = tables.flat_map(|table| table.lines().skip(1).take_while(|line| line.starts_with('|')));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, _, example, worth] = cells.as_slice() else { panic!("four cells: {row}") };
        [name, example, worth].map(|cell| cell.trim_matches('`').to_owned())
    })
    .collect()
}

#[test]
fn each_example_of_a_function_is_worth_what_stands_beside_it() {
    let rows = rows();
    assert!(rows.len() > 30, "{} rows", rows.len());
    for [name, example, worth] in rows {
        let worth: Value = serde_json::from_str(&worth).unwrap_or_else(|error| panic!("{name}: {worth}: {error}"));
        assert_eq!(evaluate(&example, &Value::Null), Ok(worth), "{example}");
        let called = name.split('(').next().unwrap_or_default();
        assert!(example.contains(&format!("{called}(")), "`{example}` does not call {name}");
    }
}
