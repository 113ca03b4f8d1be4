//! A flag in the text of a ConfigMap: which bytes change, and what of them must be kept so that all come back.

use serde_json::{Map, Value};

use super::super::flag::{self, DocumentError, Pointer, PointerError, Spellings};
use super::super::{Change, Obstacle, pointer_token, reason, refused};
use super::differences;
use crate::api::step::{ConfigMapFlag, Disable, Format};

/// So many bytes of what a flag's places are written in are kept at most: they stand in plan, journal and record.
const LONGEST_WRITTEN: usize = 4 * 1024;

/// What brings the flag to another value.
pub(super) struct Edit {
    pub change: Change,
    /// How the places that change are written now, by their pointers below the flag; empty where their values alone bring
    /// back the same bytes, and where it is too much to be kept.
    pub written: Map<String, Value>,
    /// What the undo cannot bring back, or only with `written`.
    pub warning: Option<String>,
}

/// A flag in the text of a ConfigMap.
#[derive(Clone, Copy)]
pub(super) struct InText<'a> {
    flag: &'a str,
    map: &'a ConfigMapFlag,
}

impl<'a> InText<'a> {
    /// Where the flag stands; none where it is not in a ConfigMap.
    pub fn of(disable: &'a Disable) -> Option<Self> {
        Some(Self { flag: &disable.flag, map: disable.config_map.as_ref()? })
    }

    /// The flag's value, the document around it (null where its format knows no such), and the flag's name there.
    pub fn find(self, live: &Value) -> Result<(Value, Value, String), Obstacle> {
        let (text, format, place) = (self.text(live)?, self.format(), self.place()?);
        let read = |at: &Pointer| flag::read(text, format, at).map_err(|e| self.unfit(&e));
        let key = place.tokens().last().cloned().unwrap_or_else(|| self.flag.to_owned());
        let document = match self.map.format {
            Format::Json | Format::Yaml => read(&Pointer::root()),
            Format::Plain | Format::Properties => Ok(Value::Null),
        };
        Ok((read(&place)?, document?, key))
    }

    /// The edit that brings the flag from one value to another; none where both are the same. Where `written` has words for
    /// a place they are taken, else the value is written anew.
    pub fn edit(
        self,
        live: &Value,
        (now, after): (&Value, &Value),
        written: Option<&Value>,
    ) -> Result<Option<Edit>, Obstacle> {
        let (text, format, place) = (self.text(live)?, self.format(), self.place()?);
        let (mut places, mut to, mut back, mut words) = (Vec::new(), Vec::new(), Vec::new(), Spellings::new());
        for (pointer, value) in differences(now, after) {
            let (at, key) = (place.join(&pointer), pointer.to_string());
            let Some(value) = value else {
                let why = "what is written here is not taken out; do it by hand".to_owned();
                return Err(self.unfit(&DocumentError::NotEditable { pointer: at, why }));
            };
            let word = written.and_then(|written| written.get(&key)).and_then(Value::as_str);
            words.extend(word.map(|word| (at.clone(), word.to_owned())));
            back.extend(now.pointer(&key).map(|value| (at.clone(), value.clone())));
            places.push((at.clone(), key));
            to.push((at, value));
        }
        if to.is_empty() {
            return Ok(None);
        }
        let edited = flag::write_as(text, format, &to, &words).map_err(|e| self.unfit(&e))?;
        let mut written = Map::new();
        if !flag::write(&edited.text, format, &back).is_ok_and(|back| back.text == text) {
            for (at, key) in &places {
                let spelling = flag::spelling(text, format, at).map_err(|e| self.unfit(&e))?;
                written.insert(key.clone(), Value::String(spelling));
            }
        }
        let length: usize = written.values().filter_map(Value::as_str).map(str::len).sum();
        let warning = if length > LONGEST_WRITTEN {
            written.clear();
            let places = places.iter().map(|(at, _)| at.shown()).collect::<Vec<_>>().join(", ");
            Some(format!(
                "what stands at {places} is too long to be kept as it is written ({length} bytes, at most {LONGEST_WRITTEN}): the undo \
                 brings back the value without its layout and comments"
            ))
        } else {
            let places = edited.commented.iter().map(Pointer::shown).collect::<Vec<_>>().join(", ");
            (!places.is_empty())
                .then(|| format!("comments inside {places} go with it; the record keeps them, and the undo brings them back if they still fit"))
        };
        let path = format!("/data/{}", pointer_token(&self.map.key));
        let change = Change { path, old: Some(Value::from(text)), new: Some(Value::String(edited.text)) };
        Ok(Some(Edit { change, written, warning }))
    }

    /// The text of the ConfigMap's key.
    fn text(self, live: &Value) -> Result<&str, Obstacle> {
        let data = live.get("data").and_then(Value::as_object);
        data.and_then(|data| data.get(&self.map.key)).and_then(Value::as_str).ok_or_else(|| {
            let known: Vec<&str> = data.into_iter().flat_map(Map::keys).map(String::as_str).collect();
            refused(
                reason::FLAG_UNKNOWN,
                format!("ConfigMap/{} has no key {:?}; it has: {}", self.map.name, self.map.key, known.join(", ")),
            )
        })
    }

    fn unfit(self, error: &DocumentError) -> Obstacle {
        let reason = match error {
            DocumentError::NotFound { .. } | DocumentError::ThroughScalar { .. } => reason::FLAG_UNKNOWN,
            _ => reason::DOCUMENT_UNFIT,
        };
        let ConfigMapFlag { name, key, .. } = self.map;
        refused(reason, format!("flag {} in key {key} of ConfigMap/{name}: {error}", self.flag))
    }

    fn place(self) -> Result<Pointer, Obstacle> {
        self.map.pointer.as_deref().map_or(Ok(Pointer::root()), |text| {
            text.parse().map_err(|e: PointerError| refused(reason::INVALID, e.to_string()))
        })
    }

    fn format(self) -> flag::Format {
        match self.map.format {
            Format::Plain => flag::Format::Plain,
            Format::Json => flag::Format::Json,
            Format::Yaml => flag::Format::Yaml,
            Format::Properties => flag::Format::Properties,
        }
    }
}
