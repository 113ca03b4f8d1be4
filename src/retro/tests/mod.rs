//! A crisis as it was recorded on a real API server, and everything that a stranger could put in its place.

mod documents;
mod hostile;
mod known;
mod parts;

use jiff::Timestamp;
use serde_json::Value;

use super::document::Document;
use super::{Material, Names, retrospective};

/// Runs, ballots and records of two incidents, as an API server stored them, without what nothing here reads; and an
/// Incident, as people would write it.
const CRISIS: &str = include_str!("crisis.jsonl");

/// When the documents of these tests are made.
pub(crate) fn later() -> Timestamp {
    "2026-11-23T16:00:00Z".parse().unwrap()
}

fn material() -> Material {
    Material::read(CRISIS).unwrap()
}

/// The retrospective of the crisis.
pub(crate) fn crisis(names: Names) -> Document {
    of(&material(), names)
}

fn of(material: &Material, names: Names) -> Document {
    retrospective(material, "inc-7f3", later(), names).unwrap()
}

/// The Incident of the crisis.
fn told(material: &mut Material) -> &mut Value {
    &mut material.incidents[0].object
}

/// The crisis as records alone tell it.
fn untold() -> Material {
    Material { incidents: Vec::new(), ..material() }
}
