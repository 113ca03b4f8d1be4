//! J8: whether evidence was taken away.

use serde_json::Value;

use crate::log::{Entry, items, text};
use crate::{Breach, Case, Rule};

/// The kinds that are evidence.
const KINDS: [&str; 3] = ["runbookruns", "approvals", "actionrecords"];
/// Who empties a namespace that is being deleted. Where the controllers share one identity, that is the second name.
const EMPTIES: [&str; 2] = ["system:serviceaccount:kube-system:namespace-controller", "system:kube-controller-manager"];

/// Whether somebody deleted the namespace.
pub fn namespace_goes(entries: &[Entry<'_>]) -> bool {
    entries.iter().any(|entry| {
        entry.verb == "delete"
            && entry.resource == "namespaces"
            && entry.group.is_empty()
            && entry.is_write()
            && entry.succeeded()
    })
}

/// J8: evidence is never deleted.
///
/// *Proved*: no request to delete a run, a ballot or a record (or a whole collection that was not empty) was answered with
/// success, but for those of the controller that empties a namespace; and each of them that the log shows as created is
/// there in the end, unless its namespace went.
///
/// *From*: all requests on these kinds, and the final objects, which must have been read after the last entry.
///
/// *Not seen*: what was created and taken away past the API server. A change of a record or a ballot is for J1 and J7.
pub fn kept(entries: &[Entry<'_>], case: &Case) -> Vec<Breach> {
    let goes = namespace_goes(entries);
    let mut breaches = Vec::new();
    for entry in
        entries.iter().filter(|entry| KINDS.iter().any(|kind| entry.is_about(kind)) && entry.subresource.is_empty())
    {
        if !entry.is_write() || !entry.succeeded() {
            continue;
        }
        let run = run_of(entry, entries);
        match entry.verb {
            "delete" | "deletecollection" if !EMPTIES.contains(&entry.user) && !took_nothing(entry) => {
                breaches.push(Breach::new(
                    Rule::Evidence,
                    run,
                    format!("{} took it away: {}", entry.user, entry.says()),
                ));
            }
            "create" if !goes && !is_there(entry, case) => {
                breaches.push(Breach::new(
                    Rule::Evidence,
                    run,
                    format!("{} {} was made and is gone", entry.resource, entry.name),
                ));
            }
            _ => {}
        }
    }
    breaches
}

/// The run that an entry is about. The answer to a delete need not show what went: then an earlier one does.
fn run_of<'a>(entry: &Entry<'a>, entries: &[Entry<'a>]) -> &'a str {
    let named = |object: &'a Value| match entry.resource {
        "approvals" => text(object, "/spec/request/run"),
        _ => text(object, "/spec/run"),
    };
    if entry.resource == "runbookruns" {
        return entry.name;
    }
    let same =
        |other: &&Entry<'a>| (other.group, other.resource, other.name) == (entry.group, entry.resource, entry.name);
    entries.iter().filter(same).filter_map(Entry::object).map(named).find(|run| !run.is_empty()).unwrap_or_default()
}

/// Whether a collection was deleted that the answer shows to have been empty.
fn took_nothing(entry: &Entry<'_>) -> bool {
    let answer = entry.json.get("responseObject");
    entry.verb == "deletecollection"
        && answer.is_some_and(|answer| answer.get("items").is_some() && items(answer, "/items").next().is_none())
}

fn is_there(entry: &Entry<'_>, case: &Case) -> bool {
    let objects = match entry.resource {
        "runbookruns" => &case.runs,
        "approvals" => &case.ballots,
        _ => &case.records,
    };
    // Where the log holds no body, the name must do.
    objects.iter().any(|object| match entry.object() {
        Some(made) => text(object, "/metadata/uid") == text(made, "/metadata/uid"),
        None => text(object, "/metadata/name") == entry.name,
    })
}
