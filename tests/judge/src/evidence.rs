//! J8: whether evidence was taken away.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::log::{Entry, is_true, items, text, version};
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

/// J8: evidence is never deleted, but for what an archive holds.
///
/// *Proved*: no request to delete a run, a ballot or a record (or a whole collection that was not empty) was answered with
/// success, but for those of the controller that empties a namespace, and of whoever writes journals, where the archive holds
/// that very object as the log showed it last, of a run that had ended; and each of them that the log shows as created is
/// there in the end, or in the archive, unless its namespace went.
///
/// *From*: all requests on these kinds, and the final objects and the archive, which must have been read after the last
/// entry.
///
/// *Not seen*: what was created and taken away past the API server; whether the archive held it before it was deleted. A
/// change of a record or a ballot is for J1 and J7.
pub fn kept(entries: &[Entry<'_>], case: &Case, operators: &BTreeSet<&str>) -> Vec<Breach> {
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
            "delete" if operators.contains(entry.user) && is_archived(entry, entries, case) => {}
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

/// Whether the archive holds what was deleted, just as it was, and its run had ended.
fn is_archived(entry: &Entry<'_>, entries: &[Entry<'_>], case: &Case) -> bool {
    let answer = entry.json.get("responseObject").unwrap_or(&Value::Null);
    let uid = [text(answer, "/details/uid"), text(answer, "/metadata/uid")].into_iter().find(|uid| !uid.is_empty());
    let held = |uid: &str| case.archive.iter().find(|object| text(object, "/metadata/uid") == uid);
    let Some(kept) = uid.and_then(held) else { return false };
    let versions = entries
        .iter()
        .filter_map(Entry::object)
        .filter(|object| text(object, "/metadata/uid") == uid.unwrap_or_default());
    let Some(last) = versions.max_by_key(|object| version(object)) else { return false };
    let same = |place: &str| kept.pointer(place) == last.pointer(place);
    let run = match entry.resource {
        "runbookruns" => Some(kept),
        "approvals" => held(text(kept, "/spec/request/runUID")),
        _ => held(text(kept, "/spec/runUID")),
    };
    run.is_some_and(|run| is_true(run, "/status/finished"))
        && ["/spec", "/status", "/metadata/annotations"].into_iter().all(same)
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
