//! Which ServiceAccount an author may name in a runbook.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use rstest::rstest;
use serde_json::json;

use crate::town::{Leg, Town, WITHIN};

fn runbook(name: &str, account: &str) -> String {
    let step =
        json!({"name": "a", "gate": "on-call", "restart": {"target": {"kind": "Deployment", "name": "checkout"}}});
    let spec = json!({"summary": "s", "serviceAccountName": account, "steps": [step],
        "gates": [{"name": "on-call", "requires": [{"role": "sre"}]}]});
    json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": name}, "spec": spec})
        .to_string()
}

/// The refusal of a runbook of the author's that names this ServiceAccount; none where it is taken.
fn refusal(town: &Town, account: &str) -> Result<Option<String>> {
    let yaml = runbook("named", account);
    let args = ["create", "-n", &town.namespace, "--dry-run=server", "-f", "-"];
    let output = town.sandbox.kubectl_input("author", &args, &yaml)?;
    Ok((!output.success()).then_some(output.stderr))
}

fn refused(town: &Town, account: &str) -> Result<String> {
    let said = refusal(town, account)?.with_context(|| format!("a runbook that acts as {account} was taken"))?;
    let sentence = format!("you may not act as service account {account}, so you may not write a runbook that does");
    ensure!(said.contains(&sentence), "{said}");
    Ok(said)
}

/// Roles reach the authorizer a moment after they are written.
fn soon_taken(town: &Town, account: &str) -> Result<()> {
    poll("the runbook to be taken", WITHIN, || {
        let said = refusal(town, account)?;
        ensure!(said.is_none(), "{said:?}");
        Ok(())
    })
}

#[rstest]
fn an_author_names_whom_they_could_act_as_or_who_is_offered(
    #[values(Leg::Stamping, Leg::Plain)] leg: Leg,
) -> Result<()> {
    let town = Town::empty(leg, "named")?;
    let namespace = town.namespace.as_str();
    let root = |args: &[&str]| town.kubectl("root", args)?.ok();
    for account in ["payer", "almighty"] {
        root(&["create", "serviceaccount", account])?;
    }
    // The sandbox lets the author impersonate `firstaid`, and nobody else.
    soon_taken(&town, "firstaid")?;
    let said = refused(&town, "payer")?;
    let offer = format!(
        "kubectl create rolebinding -n {namespace} payer-offered --clusterrole=firstaid-offered --serviceaccount={namespace}:payer"
    );
    ensure!(said.contains(&offer), "{said}");

    // Who may give roles, but does not hold this one, offers nobody. `edit` may not even give roles, nor does a label help.
    root(&["create", "role", "gives-roles", "--verb=create,get", "--resource=rolebindings.rbac.authorization.k8s.io"])?;
    root(&["create", "rolebinding", "viewer-gives-roles", "--role=gives-roles", "--user=viewer"])?;
    let give: Vec<&str> = offer.split(' ').skip(1).collect();
    let held_back = poll("viewer to be held back for want of the right itself", WITHIN, || {
        let output = town.sandbox.kubectl_run("viewer", &give)?;
        ensure!(output.stderr.contains("attempting to grant RBAC permissions not currently held"), "{}", output.stderr);
        Ok(output)
    })?;
    ensure!(!held_back.success(), "viewer offered payer");
    ensure!(!town.sandbox.kubectl_run("mallory", &give)?.success(), "mallory offered payer");
    town.kubectl("mallory", &["label", "serviceaccount", "payer", "firstaid.dev/runbooks=allowed"])?.ok()?;
    refused(&town, "payer")?;

    // The command that the refusal shows is the one that helps.
    town.sandbox.kubectl_run("root", &give)?.ok()?;
    soon_taken(&town, "payer")?;
    refused(&town, "somebody-who-comes-later")?;

    // What may do everything has been offered by nobody.
    let all = ["create", "rolebinding", "almighty", "--clusterrole=cluster-admin"];
    let subject = format!("--serviceaccount={namespace}:almighty");
    root(&[&all[..], &[&subject]].concat())?;
    let almighty = format!("--as=system:serviceaccount:{namespace}:almighty");
    poll("almighty to be so", WITHIN, || root(&["auth", "can-i", "serve", "runbooks.firstaid.dev", &almighty]))?;
    refused(&town, "almighty")?;

    // Taken back, it is felt by the next write.
    root(&["delete", "rolebinding", "payer-offered"])?;
    poll("payer to be offered no more", WITHIN, || refused(&town, "payer"))?;
    Ok(())
}
