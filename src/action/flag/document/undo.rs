//! Undoing an edit of a text on which others may have worked since: a three-way comparison.

use serde_json::Value;

use super::{DocumentError, Format, Pointer, Splice, parse, shown, spliced};

/// What undoing an edit comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// The places hold what they held before: nothing to write.
    Already,
    /// Nobody touched the document since: the whole prior text.
    Exact(String),
    /// Others changed other things: the live text with only our places as they were, in their old spelling.
    Inverse(String),
    /// Somebody changed a place since (or it cannot be found any more): the sentence says what is there. Left alone.
    Changed(String),
}

/// Undoes the edit that made `ours` from `before` at `places`, in the `live` text.
pub fn undo(before: &str, ours: &str, live: &str, format: Format, places: &[Pointer]) -> Undo {
    if live == before {
        Undo::Already
    } else if live == ours {
        Undo::Exact(before.to_owned())
    } else {
        inverse(before, ours, live, format, places).unwrap_or_else(|error| Undo::Changed(error.to_string()))
    }
}

/// The same question about one value: who wrote what is there now?
pub(in super::super) enum Holder {
    /// It is as it was.
    Nobody,
    /// It is as we wrote it.
    Us,
    /// It is something else.
    Others,
}

pub(in super::super) fn holder<T: PartialEq>(before: &T, ours: &T, live: &T) -> Holder {
    if live == before {
        Holder::Nobody
    } else if live == ours {
        Holder::Us
    } else {
        Holder::Others
    }
}

fn inverse(before: &str, ours: &str, live: &str, format: Format, places: &[Pointer]) -> Result<Undo, DocumentError> {
    let (old, written, now) = (parse(before, format)?, parse(ours, format)?, parse(live, format)?);
    let mut splices = Vec::new();
    let mut wanted: Vec<(Pointer, Value)> = Vec::new();
    for at in places {
        let (was, wrote, is) = (old.get(at)?, written.get(at)?, now.get(at)?);
        match holder(&was, &wrote, &is) {
            Holder::Nobody => {}
            Holder::Us => {
                let spelling = before.get(old.place(at)?.span).unwrap_or_default().to_owned();
                splices.push(Splice { span: now.place(at)?.span, with: spelling });
                wanted.push((at.clone(), was));
            }
            Holder::Others => {
                let (was, wrote, is) = (shown(&was), shown(&wrote), shown(&is));
                let at = at.shown();
                return Ok(Undo::Changed(format!(
                    "{at} was {was}, First Aid wrote {wrote}, and since then somebody made it {is}: it is left alone"
                )));
            }
        }
    }
    if wanted.is_empty() {
        return Ok(Undo::Already);
    }
    Ok(Undo::Inverse(spliced(live, &*now, format, splices, &wanted)?))
}
