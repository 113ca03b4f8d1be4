//! Gates as teams need them: whoever is alone at night, whoever wrote the runbook, robots, credentials, broken glass, what
//! is ratified afterwards, what the platform asks at least, and who is the same person.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use crate::refusal::{create, refused, refused_mark, robot, run};
use crate::town::{Leg, Town, WITHIN, number, text};

/// A runbook with one gate of these fields, which scales checkout by one.
fn runbook(name: &str, gate: &str) -> String {
    format!(
        "---\napiVersion: firstaid.dev/v1alpha1\nkind: Runbook\nmetadata: {{name: {name}}}\nspec:\n  summary: {name}\n  \
         gates: [{{name: on-call, requires: [{{role: sre}}]{gate}}}]\n  steps:\n  \
         - {{name: scale-out, gate: on-call, scale: {{target: {{kind: Deployment, name: checkout}}, by: 1}}}}\n"
    )
}

/// The whole of a run's condition `Ratified`.
fn ratified(run: &Value) -> Option<(String, String, String)> {
    let conditions = run.pointer("/status/conditions")?.as_array()?;
    let condition = conditions.iter().find(|c| text(c, "/type") == "Ratified")?;
    let field = |name: &str| text(condition, name).to_owned();
    Some((field("/status"), field("/reason"), field("/message")))
}

fn wait_ratified(town: &Town, run: &str, reason: &str) -> Result<(String, String, String)> {
    poll(&format!("run {run} to be {reason}"), WITHIN, || {
        let found = ratified(&town.get("rbr", run)?).context("no condition Ratified")?;
        ensure!(found.1 == reason, "{found:?}");
        Ok(found)
    })
}

/// An approval as a person would type it.
fn approve(ballot: &Value) -> String {
    format!("approve={} nobody else answers", text(ballot, "/spec/request/code"))
}

/// The ballot on which a run's decision is to be ratified.
fn ratification(town: &Town, run: &str) -> Result<Value> {
    let name = text(&town.get("rbr", run)?, "/status/ratification").to_owned();
    ensure!(!name.is_empty(), "{run} asks for no ratification");
    town.get("apv", &name)
}

const NO_VOTE_AS: &str = "a vote must carry a credential id here; impersonation (--as) is not accepted";
const NO_GLASS_AS: &str = "broken glass must carry a credential id here; impersonation (--as) is not accepted";
/// What somebody says who breaks the glass.
pub const GLASS: &str = "breakglass=the database is down and nobody answers";

/// Breaking the glass as dave by impersonation, which carries no credential id.
fn glass_as_dave(run: &str) -> [&str; 7] {
    ["--as=dave", "--as-group=sre", "annotate", "rbr", run, GLASS, "breakglass-by=dave"]
}

/// Lets dave break the glass, and waits until that is in force.
pub fn dave_may_break_the_glass(town: &Town, run: &str) -> Result<()> {
    let binding = ["create", "rolebinding", "commands", "--clusterrole=firstaid-incident-commander", "--user=dave"];
    town.kubectl("root", &binding)?.ok()?;
    let short = ["annotate", "rbr", run, "breakglass=down", "breakglass-by=dave"];
    poll("the role to be in force", WITHIN, || refused(town, "dave", &short, "say in at least 20 characters"))
}

fn alone_at_night(town: &Town) -> Result<()> {
    town.start("lonely", "night")?;
    town.wait_phase("night", "Waiting")?;
    let ballot = town.ballot("night")?;
    let name = text(&ballot, "/metadata/name");
    refused_mark(
        town,
        "alice",
        name,
        &approve(&ballot),
        "you (alice) asked for this run; somebody else must approve it; if nobody else decides, this ballot opens to you, when the run says so: kubectl get rbr -n ",
    )?;
    town.wait_held("night", "alice may decide too, since nobody else has")?;
    // The role is asked of her like of everybody, and nobody but the operator opens a ballot.
    refused_mark(town, "carol", name, &approve(&ballot), "you may not approve runbook lonely as sre")?;
    town.mark("alice", name, &approve(&ballot))?.ok()?;
    let done = town.wait_phase("night", "Succeeded")?;
    let record = town.only_record("night")?;
    assert_eq!(text(&record, "/spec/approvals/0/decidedAs"), "Alone");
    assert_eq!(text(&record, "/spec/approvedBy"), "alice as sre, ALONE");
    let message = text(&done, "/status/message");
    assert!(message.contains("alice as sre, ALONE, to be ratified by somebody else"), "{message}");
    let (status, reason, _) = ratified(&done).context("Ratified")?;
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Alone"));

    let ballot = ratification(town, "night")?;
    let name = text(&ballot, "/metadata/name");
    assert_eq!(text(&done, "/status/nextCommands/0"), format!("kubectl describe apv -n {} {name}", town.namespace));
    let sentence = "you (alice) asked for this run; somebody else must ratify it";
    refused_mark(town, "alice", name, &approve(&ballot), sentence)?;
    refused_mark(town, "alice", name, "deny=not me", sentence)?;
    town.mark("bob", name, &approve(&ballot))?.ok()?;
    let (status, _, message) = wait_ratified(town, "night", "Ratified")?;
    assert_eq!((status.as_str(), message.as_str()), ("True", "bob ratified it as sre: nobody else answers"));
    poll("the label to go", WITHIN, || {
        let labels = town.get("apv", name)?.pointer("/metadata/labels").cloned().context("labels")?;
        ensure!(labels.get("firstaid.dev/live").is_none(), "{labels}");
        Ok(())
    })
}

fn broken_glass(town: &Town) -> Result<()> {
    town.start("never", "glass")?;
    town.wait_phase("glass", "Waiting")?;
    let word = GLASS;
    let annotate = |person: &str, words: &[&str]| {
        let mut args = vec!["annotate", "rbr", "glass"];
        args.extend(words);
        let by = format!("breakglass-by={person}");
        if town.leg == Leg::Plain {
            args.push(&by);
        }
        town.kubectl(person, &args)
    };
    let try_in_vain = |person: &str, words: &[&str], sentence: &str| {
        let output = annotate(person, words)?;
        ensure!(!output.success() && output.stderr.contains(sentence), "{person}: {}{}", output.stdout, output.stderr);
        Ok(())
    };
    dave_may_break_the_glass(town, "glass")?;
    for person in ["alice", "bob", "mallory"] {
        try_in_vain(
            person,
            &[word],
            &format!(
                "you may not break the glass of never; ask somebody who may approve (kubectl get apv -n {}), or for the role firstaid-incident-commander",
                town.namespace
            ),
        )?;
    }
    try_in_vain("dave", &[word, "note=x"], "a run takes abort=\"why\"")?;
    refused(
        town,
        "dave",
        &["annotate", "rbr", "glass", word, "breakglass-by=bob"],
        "you are dave: write breakglass-by=dave",
    )?;
    if town.leg == Leg::Plain {
        refused(
            town,
            "dave",
            &["annotate", "rbr", "glass", word],
            "this cluster does not fill in names: add breakglass-by=dave to the command",
        )?;
    }
    let robot = robot(town)?;
    refused(town, &robot, &["annotate", "rbr", "glass", word], "a service account cannot break the glass")?;
    let before = number(&town.get("deployment", "checkout")?, "/spec/replicas");
    annotate("dave", &[word])?.ok()?;
    let done = town.wait_phase("glass", "Succeeded")?;
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), before + 1);
    let record = town.only_record("glass")?;
    assert_eq!(text(&record, "/spec/approvedBy"), "BREAK GLASS by dave");
    assert_eq!(text(&record, "/spec/approvals/0/why"), "the database is down and nobody answers");
    assert!(text(&done, "/status/message").contains("BREAK GLASS by dave"), "{done:#}");
    refused(
        town,
        "dave",
        &["annotate", "rbr", "glass", "breakglass=the database is up and somebody answers", "--overwrite"],
        "what was said about a run stays: its glass is already broken",
    )?;
    poll("an Event that says so", WITHIN, || {
        let events = town.kubectl("root", &["get", "events.events.k8s.io", "-o", "json"])?.ok()?;
        let events: Value = serde_json::from_str(&events)?;
        let told = |event: &&Value| {
            text(event, "/reason") == "NotRatified" && text(event, "/note").starts_with("BREAK GLASS by dave")
        };
        let event = events.pointer("/items").and_then(Value::as_array).into_iter().flatten().find(told).cloned();
        let event = event.with_context(|| format!("{events}"))?;
        assert_eq!((text(&event, "/type"), text(&event, "/regarding/name")), ("Warning", "glass"));
        Ok(())
    })?;

    let ballot = ratification(town, "glass")?;
    let name = text(&ballot, "/metadata/name");
    let sentence = "you (dave) decided this yourself; somebody else must ratify it";
    refused_mark(town, "dave", name, &approve(&ballot), sentence)?;
    refused_mark(town, "dave", name, "deny=not me", sentence)?;
    refused_mark(town, "mallory", name, &approve(&ballot), "you may not approve runbook never as sre")?;
    town.mark("bob", name, "deny=the database was never down")?.ok()?;
    let (status, _, message) = wait_ratified(town, "glass", "Disowned")?;
    assert_eq!((status.as_str(), message.as_str()), ("False", "bob disowned it: the database was never down"));
    Ok(())
}

fn who_else_may_vote(town: &Town) -> Result<()> {
    // Whoever asked, where the gate lets them; and whoever wrote it, where the cluster knows.
    town.start("always", "mine")?;
    town.wait_phase("mine", "Waiting")?;
    town.approve("alice", "mine")?;
    town.wait_phase("mine", "Succeeded")?;
    assert_eq!(text(&town.only_record("mine")?, "/spec/approvals/0/decidedAs"), "Requester");

    town.start("never", "author")?;
    town.wait_phase("author", "Waiting")?;
    let ballot = town.ballot("author")?;
    let name = text(&ballot, "/metadata/name");
    let stamped = town.leg == Leg::Stamping;
    let excluded = if stamped { json!(["author"]) } else { json!([]) };
    assert_eq!(ballot.pointer("/spec/request/excluded"), Some(&excluded));
    for role in ["firstaid-approver", "firstaid-approver-as-sre"] {
        let name = format!("author-{role}");
        let role = format!("--clusterrole={role}");
        town.kubectl("root", &["create", "rolebinding", &name, &role, "--user=author"])?.ok()?;
    }
    if stamped {
        let sentence = "you (author) last changed what this runbook does; somebody else must approve it";
        poll("the role to be in force", WITHIN, || refused_mark(town, "author", name, &approve(&ballot), sentence))?;
    }
    poll("the author's no", WITHIN, || town.mark("author", name, "deny=it is broken")?.ok())?;
    assert_eq!(text(&town.wait_phase("author", "Denied")?, "/status/message"), "author said no: it is broken");

    // Robots, where the gate lets them.
    let robot = format!("robot-{}", town.namespace);
    town.start("robots", "beep")?;
    town.wait_phase("beep", "Waiting")?;
    let ballot = town.ballot("beep")?;
    let account = format!("by=system:serviceaccount:{}:bot", town.namespace);
    let vote = approve(&ballot);
    let mut args = vec!["annotate", "apv", text(&ballot, "/metadata/name"), &vote];
    if town.leg == Leg::Plain {
        args.push(&account);
    }
    town.kubectl(&robot, &args)?.ok()?;
    town.wait_phase("beep", "Succeeded")?;
    // One that asked for the run adds nobody to the count.
    let mut asked = run(town.leg, "robots", "beep-beep", "");
    if town.leg == Leg::Plain {
        asked["spec"]["requestedBy"] = json!({"username": account.trim_start_matches("by=")});
    }
    create(town, &robot, &asked)?.ok()?;
    town.wait_phase("beep-beep", "Waiting")?;
    let ballot = town.ballot("beep-beep")?;
    let vote = approve(&ballot);
    let mut args = vec!["annotate", "apv", text(&ballot, "/metadata/name"), &vote];
    if town.leg == Leg::Plain {
        args.push(&account);
    }
    refused(town, &robot, &args, "a service account cannot vote")?;

    // A credential, where the gate asks for one: impersonation has none.
    town.start("verified", "strict")?;
    town.wait_phase("strict", "Waiting")?;
    let ballot = town.ballot("strict")?;
    let vote = approve(&ballot);
    let name = text(&ballot, "/metadata/name");
    let as_eve = ["--as=eve", "--as-group=sre", "annotate", "apv", name, &vote, "by=eve"];
    refused(town, "root", &as_eve, NO_VOTE_AS)?;
    refused(town, "root", &glass_as_dave("strict"), NO_GLASS_AS)?;
    town.mark("bob", name, &vote)?.ok()?;
    town.wait_phase("strict", "Succeeded")?;
    Ok(())
}

/// Who last changed what a runbook does is written by the API server, and by nobody else.
fn the_author_of_a_runbook(town: &Town) -> Result<()> {
    let author = |town: &Town| -> Result<String> {
        let found = town.get("rbk", "never")?;
        Ok(text(&found, "/metadata/annotations/firstaid.dev~1author").to_owned())
    };
    let stamped = town.leg == Leg::Stamping;
    assert_eq!(author(town)?, if stamped { "author" } else { "" });
    let patch = |person: &str, patch: Value| {
        town.kubectl(person, &["patch", "rbk", "never", "--type=merge", "-p", &patch.to_string()])
    };
    let forged = json!({"metadata": {"annotations": {"firstaid.dev/author": "bob"}}});
    if stamped {
        // It is put back.
        patch("author", forged.clone())?.ok()?;
        assert_eq!(author(town)?, "author");
        let mut both = forged;
        both["spec"] = json!({"parameters": [{"name": "speed", "type": "string", "default": "9"}]});
        patch("root", both)?.ok()?;
        assert_eq!(author(town)?, "root", "whoever changed what it does");
        patch("author", json!({"spec": {"summary": "said otherwise"}}))?.ok()?;
        assert_eq!(author(town)?, "root", "words are no effect");
        patch("author", json!({"spec": {"parameters": null}}))?.ok()?;
        assert_eq!(author(town)?, "author");
    } else {
        let output = patch("author", forged)?;
        let sentence = "says who last changed what the runbook does; leave it as it is (out)";
        ensure!(output.stderr.contains(sentence), "{}", output.stderr);
    }
    Ok(())
}

fn gates_as_teams_need_them(leg: Leg) -> Result<()> {
    let town = Town::open(leg, "alone")?;
    let runbooks: String = [
        ("lonely", ", aloneAfter: 3s"),
        ("never", ", selfApproval: Never"),
        ("always", ", selfApproval: Always"),
        ("robots", ", allowServiceAccounts: true, selfApproval: Always"),
        ("verified", ", verifiedCredential: true"),
    ]
    .map(|(name, gate)| runbook(name, gate))
    .concat();
    town.runbook(&runbooks)?;
    alone_at_night(&town)?;
    broken_glass(&town)?;
    who_else_may_vote(&town)?;
    the_author_of_a_runbook(&town)
}

#[test]
fn gates_as_teams_need_them_where_the_cluster_stamps() -> Result<()> {
    gates_as_teams_need_them(Leg::Stamping)
}

#[test]
fn gates_as_teams_need_them_where_people_type_their_names() -> Result<()> {
    gates_as_teams_need_them(Leg::Plain)
}

#[test]
fn what_the_platform_asks_at_least_is_in_the_plan() -> Result<()> {
    let mut town = Town::empty(Leg::Stamping, "floors")?;
    town.sandbox.open_shop(&town.namespace)?;
    let floors = json!([{"action": "scale", "requires": [{"role": "sre", "count": 2}], "selfApproval": "Never"}]);
    town.start_operator_with(&["--floors", &floors.to_string()])?;
    let free = "---\napiVersion: firstaid.dev/v1alpha1\nkind: Runbook\nmetadata: {name: free}\nspec:\n  summary: free\n  steps:\n  \
         - {name: down, gate: None, scale: {target: {kind: Deployment, name: checkout}, by: -1}}\n";
    town.runbook(&format!("{}{free}", runbook("room", "")))?;
    let stalled = town.wait_condition("free", "Stalled")?;
    assert_eq!(text(&stalled, "/reason"), "FloorUnmet");
    let sentence = "the platform asks for more than this runbook (scale: at least 2 of sre, never by whoever asked): the step has gate: None";
    assert!(text(&stalled, "/message").contains(sentence), "{stalled}");
    town.start("free", "refused")?;
    ensure!(town.failed("refused")?.contains(sentence));
    town.start("room", "two")?;
    let waiting = town.wait_phase("two", "Waiting")?;
    assert!(text(&waiting, "/status/waitingOn").starts_with("approval by 2 of sre"), "{waiting:#}");
    let ballot = town.ballot("two")?;
    let lines = ballot.pointer("/spec/request/effects").context("lines")?.to_string();
    assert!(lines.contains("the platform asks for scale: at least 2 of sre, never by whoever asked"), "{lines}");
    town.approve("bob", "two")?;
    town.approve("dave", "two")?;
    town.wait_phase("two", "Succeeded")?;
    Ok(())
}

/// The chart's value asks of every gate what the runbook's gate may ask of itself.
fn where_the_platform_asks_for_a_credential(leg: Leg) -> Result<()> {
    let value = [("ballots.requireCredential", "true")];
    let town = Town::open_alone_with(leg, "credential", &value, &["--ballot-credential=true"])?;
    town.runbook(&runbook("room", ""))?;
    town.start("room", "voted")?;
    town.wait_phase("voted", "Waiting")?;
    let ballot = town.ballot("voted")?;
    let asks = ballot.pointer("/spec/request/verifiedCredential");
    assert_eq!(asks, Some(&Value::Bool(false)), "the gate itself asks for none: {ballot:#}");
    let (name, vote) = (text(&ballot, "/metadata/name"), approve(&ballot));
    let as_bob = |mark| ["--as=bob", "--as-group=sre", "annotate", "apv", name, mark, "by=bob"];
    refused(&town, "root", &as_bob(&vote), NO_VOTE_AS)?;
    refused(&town, "root", &as_bob("deny=not me"), NO_VOTE_AS)?;
    town.mark("bob", name, &vote)?.ok()?;
    let done = town.wait_phase("voted", "Succeeded")?;
    let outcome = "/status/steps/scale-out.1/outcome/approvals/0/by";
    assert_eq!(text(&done, outcome), "bob");

    town.start("room", "broken")?;
    town.wait_phase("broken", "Waiting")?;
    dave_may_break_the_glass(&town, "broken")?;
    refused(&town, "root", &glass_as_dave("broken"), NO_GLASS_AS)?;
    let mut args = vec!["annotate", "rbr", "broken", GLASS];
    let credential;
    if leg == Leg::Plain {
        args.push("breakglass-by=dave");
        let output = town.kubectl("dave", &args)?;
        let (_, after) = output.stderr.split_once("this cluster does not fill it in: add ").context("what to add")?;
        credential = after.split(' ').next().unwrap_or_default().to_owned();
        args.push(&credential);
        let somebody = credential.replace('=', "=0");
        let forged = ["annotate", "rbr", "broken", GLASS, "breakglass-by=dave", &somebody];
        refused(&town, "dave", &forged, &format!("add {credential} to the command"))?;
    }
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 5, "no glass is broken yet");
    town.kubectl("dave", &args)?.ok()?;
    town.wait_phase("broken", "Succeeded")?;
    assert_eq!(text(&town.only_record("broken")?, "/spec/approvedBy"), "BREAK GLASS by dave");
    Ok(())
}

#[test]
fn the_platform_asks_for_a_credential_where_the_cluster_stamps() -> Result<()> {
    where_the_platform_asks_for_a_credential(Leg::Stamping)
}

#[test]
fn the_platform_asks_for_a_credential_where_people_type_their_names() -> Result<()> {
    where_the_platform_asks_for_a_credential(Leg::Plain)
}

/// One person with two user names is one person, in every comparison.
#[test]
fn who_is_the_same_person_is_the_platforms_to_say() -> Result<()> {
    for leg in [Leg::Stamping, Leg::Plain] {
        let key = "request.userInfo.username.split('@')[0]";
        let town = Town::open_alone_with(leg, "person", &[("identity.personKey", key)], &["--person-key", key])?;
        town.runbook(&runbook("two", ", requires: [{role: sre, count: 2}]").replacen(
            "requires: [{role: sre}], ",
            "",
            1,
        ))?;
        let mut asked = run(Leg::Stamping, "two", "same", "");
        if leg == Leg::Plain {
            asked["spec"]["requestedBy"] = json!({"username": "alice@laptop"});
        }
        let as_user = |user: &str, args: &[&str]| {
            let user = format!("--as={user}");
            let mut all = vec![user.as_str(), "--as-group=sre", "--as-group=system:authenticated"];
            all.extend(args);
            town.kubectl("root", &all)
        };
        let create_as = |asked: &Value| {
            let args = ["create", "-n", &town.namespace, "-f", "-", "--as=alice@laptop", "--as-group=sre"];
            town.sandbox.kubectl_input("root", &args, &asked.to_string())
        };
        if leg == Leg::Plain {
            let output = create_as(&asked)?;
            let sentence =
                "you are alice: write requestedBy: {username: alice@laptop, key: alice} in the spec of the run";
            ensure!(output.stderr.contains(sentence), "{}", output.stderr);
            asked["spec"]["requestedBy"]["key"] = json!("alice");
        }
        create_as(&asked)?.ok()?;
        town.wait_phase("same", "Waiting")?;
        let [first, second] = &poll("two ballots", WITHIN, || {
            let ballots = town.list("apv")?;
            <[Value; 2]>::try_from(ballots).map_err(|ballots| anyhow::anyhow!("{} ballots", ballots.len()))
        })?;
        assert_eq!(text(first, "/spec/request/requester"), "alice");
        let vote = |user: &str, ballot: &Value, by: &str| {
            let (name, vote, by) = (text(ballot, "/metadata/name"), approve(ballot), format!("by={by}"));
            let mut args = vec!["annotate", "apv", name, &vote];
            if leg == Leg::Plain {
                args.push(&by);
            }
            as_user(user, &args)
        };
        let in_vain = |output: firstaid_sandbox::Output, sentence: &str| {
            ensure!(output.stderr.contains(sentence), "{}{}", output.stdout, output.stderr);
            Ok(())
        };
        in_vain(vote("alice@phone", first, "alice")?, "you (alice) asked for this run; somebody else must approve it")?;
        vote("bob@phone", first, "bob")?.ok()?;
        poll("bob's other name to be refused", WITHIN, || {
            in_vain(vote("bob@laptop", second, "bob")?, "you already voted on this gate (same-1)")
        })?;
        vote("dave@phone", second, "dave")?.ok()?;
        town.wait_phase("same", "Succeeded")?;
        assert_eq!(text(&town.only_record("same")?, "/spec/approvedBy"), "bob as sre, dave as sre");
    }
    Ok(())
}
