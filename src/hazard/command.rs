//! `gupconv model`, behind the argument parser.

use super::{SCENARIOS, run, svg, text};
use crate::error::UserError;
use std::fmt::Write as _;

/// How a story is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// A sequence diagram.
    Svg,
}

/// What was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ModelArgs {
    /// Name of the scenario; none lists them.
    pub scenario: Option<String>,
    /// List the scenarios even if one is named.
    pub list: bool,
    /// `knob=value`, each knob once.
    pub set: Vec<String>,
    /// Output.
    pub format: Format,
}

/// The text for standard output.
///
/// # Errors
/// An unknown scenario, knob or value; the message lists the valid ones.
pub fn command(args: &ModelArgs) -> Result<String, UserError> {
    let Some(name) = args.scenario.as_deref().filter(|_| !args.list) else {
        return list(args.format);
    };
    let story = run(name, &args.set)?;
    match args.format {
        Format::Text => Ok(text(&story)),
        Format::Svg => Ok(svg(&story)),
        Format::Json => json(&story),
    }
}

/// The scenarios with their titles.
///
/// # Errors
/// A list has no diagram.
pub fn list(format: Format) -> Result<String, UserError> {
    let mut out = String::new();
    match format {
        Format::Text => {
            for s in SCENARIOS {
                let _ = writeln!(out, "{:<21} {}", s.name, s.title);
            }
        }
        Format::Json => {
            let all: Vec<_> = SCENARIOS
                .iter()
                .map(|s| {
                    let knobs: Vec<_> = s.settings().pairs().iter().map(|(n, v)| format!("{n}={v}")).collect();
                    serde_json::json!({"scenario": s.name, "part": s.part, "title": s.title, "knobs": knobs})
                })
                .collect();
            return json(&all);
        }
        Format::Svg => {
            return Err(UserError::new(
                "the list of scenarios has no diagram",
                "--format svg draws one scenario",
                "name a scenario, or use --format text",
            ));
        }
    }
    Ok(out)
}

fn json(value: &impl serde::Serialize) -> Result<String, UserError> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|e| UserError::new("cannot write JSON", e.to_string(), "report this as a bug"))
}
