//! The approvals of a record against the ballots: whoever edits a record to name an approver has no ballot to show.

use serde_json::Value;

use super::chain::Link;
use super::cover;
use super::evidence::Stored;
use super::finding::{But, Finding, Note};
use super::index::Index;
use crate::api::line::cut;
use crate::api::{APPROVE_ANNOTATION, BREAKGLASS_ANNOTATION, BREAKGLASS_BY_ANNOTATION, BY_ANNOTATION, DENY_ANNOTATION};

/// The plan that was approved: as a rule the record's own. An undo may stand under the approval of what it undoes.
struct Approved<'a> {
    run_uid: &'a str,
    plan_hash: &'a str,
}

/// What the votes of a record must be about; none where that is in the record of another run, which is not here.
fn approved<'a>(link: &Link<'a>, evidence: &Index<'a>, run: Option<&Stored>) -> Option<Approved<'a>> {
    let of = |record: &'a Stored| Approved {
        run_uid: record.text("/spec/runUID"),
        plan_hash: record.text("/spec/planHash"),
    };
    if covered(link, run).is_none() {
        return Some(of(link.record));
    }
    original(link, evidence).map(of)
}

/// What the run of an undo says of the approval that covers it; none where it stands by its own.
fn covered<'a>(link: &Link<'_>, run: Option<&'a Stored>) -> Option<&'a Value> {
    let undoes = !link.record.text("/spec/revertOf").is_empty();
    cover::plan_of(link.record, run).filter(|_| undoes)?.get("covered")
}

/// The record of what a record undoes.
fn original<'a>(link: &Link<'a>, evidence: &Index<'a>) -> Option<&'a Stored> {
    let name = link.record.text("/spec/revertOf");
    evidence.records(link.record.namespace(), name).first().copied()
}

/// Judges what a record says of its approvals.
pub(super) fn judge(
    link: &Link<'_>,
    run: Option<&Stored>,
    evidence: &Index<'_>,
    findings: &mut Vec<Finding>,
    notes: &mut Vec<Note>,
) {
    let Some(asked) = approved(link, evidence, run) else {
        let original = link.record.text("/spec/revertOf").to_owned();
        notes.push(Note::ApprovedElsewhere { record: link.name.to_owned(), original });
        return;
    };
    if let Some(cover) = covered(link, run)
        && let Some(original) = original(link, evidence)
    {
        let not_covered = |beyond| Finding::NotCovered {
            record: link.name.to_owned(),
            seq: link.seq,
            original: original.name().to_owned(),
            beyond,
        };
        findings.extend(cover::judge(link, original, cover, evidence).into_iter().map(not_covered));
    }
    let approvals = link.record.object.pointer("/spec/approvals").and_then(Value::as_array);
    for vote in approvals.into_iter().flatten() {
        let text = |key: &str| vote.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("decidedAs") == "BreakGlass" {
            findings.extend(glass(link, evidence, text("by"), text("why")));
            continue;
        }
        let (by, name) = (text("by"), text("ballot"));
        let named = evidence.ballots(link.record.namespace(), name);
        // In an export that grew, a ballot of the same name may have been made anew.
        let ballot = named.iter().find(|b| b.uid() == text("ballotUID")).or(named.last());
        let but = match ballot {
            None => Some(But::NotThere),
            Some(ballot) => wrong(&asked, ballot, by, text("role"), text("ballotUID"))
                .or_else(|| wrong_leave(ballot, by, text("decidedAs"))),
        };
        findings.extend(but.map(|but| Finding::Ballot {
            record: link.name.to_owned(),
            seq: link.seq,
            by: by.to_owned(),
            ballot: name.to_owned(),
            but,
        }));
    }
}

/// Whoever is said to have broken the glass said so on the run. Where that is gone nobody can tell.
fn glass(link: &Link<'_>, evidence: &Index<'_>, by: &str, why: &str) -> Option<Finding> {
    let run = evidence.run(link.record.namespace(), link.record.text("/spec/runUID"))?;
    let said = |key: &str| mark(run, key).map(str::trim).unwrap_or_default();
    if said(BREAKGLASS_BY_ANNOTATION) == by && cut(said(BREAKGLASS_ANNOTATION), 1024) == why {
        return None;
    }
    Some(Finding::Glass { record: link.name.to_owned(), seq: link.seq, by: by.to_owned(), run: run.name().to_owned() })
}

/// By which leave somebody decided, against what the ballot gave leave to.
fn wrong_leave(ballot: &Stored, by: &str, decided_as: &str) -> Option<But> {
    let asked = ballot.text("/spec/request/requester") == by;
    let opened = ballot.object.pointer("/status/openToRequester") == Some(&Value::Bool(true));
    let right = match decided_as {
        "" => !asked,
        "Requester" => asked && ballot.text("/spec/request/selfApproval") == "Always",
        "Alone" => asked && opened,
        _ => false,
    };
    (!right).then(|| But::WithoutLeave {
        decided_as: if asked { "whoever asked".to_owned() } else { decided_as.to_owned() },
    })
}

fn wrong(asked: &Approved<'_>, ballot: &Stored, by: &str, role: &str, uid: &str) -> Option<But> {
    let request = |key: &str| ballot.text(&format!("/spec/request/{key}")).to_owned();
    if ballot.uid() != uid {
        return Some(But::Another { uid: ballot.uid().to_owned(), recorded: uid.to_owned() });
    }
    if request("runUID") != asked.run_uid {
        return Some(But::AnotherRun { run: request("run") });
    }
    if request("planHash") != asked.plan_hash {
        return Some(But::AnotherPlan { plan: request("planHash") });
    }
    if request("role") != role {
        return Some(But::AnotherRole { role: request("role") });
    }
    let (Some(approve), None) = (mark(ballot, APPROVE_ANNOTATION), mark(ballot, DENY_ANNOTATION)) else {
        return Some(But::NotMarked);
    };
    let code = approve.split_whitespace().next().unwrap_or_default();
    if !code.eq_ignore_ascii_case(&request("code")) {
        return Some(But::AnotherCode { code: code.to_owned() });
    }
    let marked_by = mark(ballot, BY_ANNOTATION).unwrap_or_default().trim();
    if marked_by != by {
        return Some(But::AnotherVoter { by: marked_by.to_owned() });
    }
    let voter = |key: &str| ballot.object.pointer(&format!("/spec/voter/{key}")).and_then(Value::as_str);
    let stamped = voter("key").filter(|key| !key.is_empty()).or_else(|| voter("username"));
    stamped.filter(|stamped| *stamped != by).map(|stamped| But::StampedOtherwise { stamped: stamped.to_owned() })
}

/// What a person wrote on a ballot.
pub(super) fn mark<'a>(ballot: &'a Stored, key: &str) -> Option<&'a str> {
    ballot.object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// Whether a ballot says what it said in an older export. What was not marked then may be marked now.
pub(super) fn changed_since(then: &Stored, evidence: &Index<'_>) -> Option<Finding> {
    let marks = [APPROVE_ANNOTATION, DENY_ANNOTATION, BY_ANNOTATION];
    if marks.iter().all(|key| mark(then, key).is_none()) {
        return None;
    }
    let but = match evidence.ballots(then.namespace(), then.name()).first() {
        None => But::NotThere,
        Some(now) if now.uid() != then.uid() => {
            But::Another { uid: now.uid().to_owned(), recorded: then.uid().to_owned() }
        }
        Some(now) if now.spec() == then.spec() && marks.iter().all(|key| mark(now, key) == mark(then, key)) => {
            return None;
        }
        Some(_) => But::Changed,
    };
    Some(Finding::BallotNotAsExported { ballot: then.name().to_owned(), but })
}
