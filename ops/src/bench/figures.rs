//! What was measured, as a table and as JSON.

use std::path::Path;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;

use super::BenchSettings;
use crate::failure::Failure;

/// One figure, from one or more repetitions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    pub scenario: &'static str,
    pub name: String,
    pub unit: &'static str,
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub repetitions: usize,
}

/// Everything measured in one go.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    version: &'static str,
    cores: usize,
    in_flight: usize,
    shards: u16,
    durability: &'static str,
    figures: Vec<Figure>,
}

impl Report {
    pub fn new(settings: &BenchSettings) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            in_flight: settings.in_flight,
            shards: settings.shards,
            durability: "fsync before acknowledgement",
            figures: Vec::new(),
        }
    }

    /// Adds a figure from its repetitions, and says it at once.
    pub fn add(&mut self, scenario: &'static str, name: impl Into<String>, unit: &'static str, values: &[f64]) {
        let Some(figure) = figure(scenario, name.into(), unit, values) else { return };
        eprintln!(
            "  {:<44} {:>12} {} ({} - {})",
            figure.name,
            shown(figure.median),
            unit,
            shown(figure.min),
            shown(figure.max)
        );
        self.figures.push(figure);
    }

    /// Adds the percentiles of single measurements.
    pub fn add_percentiles(&mut self, scenario: &'static str, name: &str, took: &[Duration]) {
        for (label, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
            if let Some(value) = percentile(took, share) {
                self.add(scenario, format!("{name} {label}"), "ms", &[value.as_secs_f64() * 1e3]);
            }
        }
    }

    pub fn print(&self, out: Option<&Path>) -> Result<(), Failure> {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["scenario", "figure", "median", "min", "max", "unit"]);
        for figure in &self.figures {
            let number = |value| Cell::new(shown(value)).set_alignment(CellAlignment::Right);
            table.add_row([
                Cell::new(figure.scenario),
                Cell::new(&figure.name),
                number(figure.median),
                number(figure.min),
                number(figure.max),
                Cell::new(figure.unit),
            ]);
        }
        eprintln!("\n{table}");
        let json = serde_json::to_string_pretty(self).map_err(|error| Failure::of(&error))?;
        println!("{json}");
        match out {
            Some(path) => std::fs::write(path, json + "\n").map_err(|error| Failure::of(&error)),
            None => Ok(()),
        }
    }
}

fn figure(scenario: &'static str, name: String, unit: &'static str, values: &[f64]) -> Option<Figure> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    Some(Figure { scenario, name, unit, median: sorted[sorted.len() / 2], min, max, repetitions: values.len() })
}

/// The value that a `share` of all values does not exceed.
pub fn percentile(values: &[Duration], share: f64) -> Option<Duration> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied()
}

fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
