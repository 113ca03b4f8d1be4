//! Reading what a retrospective is made from: the cluster, as your kubeconfig says, or an export alone.
#![allow(clippy::disallowed_types)]

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Client, Config};

use super::stored;
use crate::api::line::one_line;
use crate::api::{ActionRecord, Approval, Incident, RunbookRun};
use crate::perform::{list_stored, now};
use crate::retro::document::Document;
use crate::retro::{Material, Names, retrospective};

/// Of which incident, and from where it is read.
#[derive(Args, Clone, Debug)]
pub struct Reading {
    #[command(flatten)]
    asked: Asked,
    /// The namespace. Default: that of your kubeconfig.
    #[arg(short, long, conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// All namespaces: one incident may have runs in several.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// Of which incident, and whether it is read from a file.
#[derive(Args, Clone, Debug)]
pub struct Asked {
    /// The key of the incident: what its runs have in spec.incident.
    pub(super) incident: String,
    /// An export in place of the cluster; `-` is standard input. Made with:
    /// kubectl get rbr,apv,arec,inc -n NAMESPACE -o json --show-managed-fields > export.json
    #[arg(short = 'f', long = "file")]
    pub(super) file: Option<PathBuf>,
    /// The time to which ages are counted, such as 2026-11-22T15:00:00Z. Default: now.
    #[arg(long)]
    pub(super) as_of: Option<Timestamp>,
}

/// Reads everything, and makes the document.
///
/// # Errors
/// Where something cannot be read, or there is nothing of this incident.
pub async fn document(from: &Reading, names: Names) -> anyhow::Result<Document> {
    let asked = &from.asked;
    let material = match &asked.file {
        Some(path) => read(path)?,
        None => inferred(from).await?,
    };
    found(&material, asked, from.all_namespaces, names)
}

/// The same with a client that is there, in a namespace, or in all of them where its name is empty.
///
/// # Errors
/// Where something cannot be read, or there is nothing of this incident.
pub(super) async fn document_of(
    client: &Client,
    namespace: &str,
    asked: &Asked,
    names: Names,
) -> anyhow::Result<Document> {
    let material = match &asked.file {
        Some(path) => read(path)?,
        None => live(client, namespace).await?,
    };
    found(&material, asked, namespace.is_empty(), names)
}

fn found(material: &Material, from: &Asked, all_namespaces: bool, names: Names) -> anyhow::Result<Document> {
    let now = from.as_of.unwrap_or_else(now);
    if let Some(document) = retrospective(material, &from.incident, now, names) {
        return Ok(document);
    }
    let place = match (&from.file, all_namespaces) {
        (Some(path), _) => format!("in {}", path.display()),
        (None, true) => "in any namespace".to_owned(),
        (None, false) => "in this namespace (-n NAMESPACE looks in another one, -A in all)".to_owned(),
    };
    match material.keys().as_slice() {
        [] => {
            bail!("there is no incident {} {place}: no run or record carries any key in spec.incident", from.incident)
        }
        keys => {
            let shown = keys.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
            bail!("there is no incident {} {place}; there is: {shown}", from.incident)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Material> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    }
    Material::read(&text).with_context(|| {
        format!(
            "{} is no export; make one with: kubectl get rbr,apv,arec,inc -n NAMESPACE -o json --show-managed-fields > export.json",
            path.display()
        )
    })
}

async fn inferred(from: &Reading) -> anyhow::Result<Material> {
    let config =
        Config::infer().await.context("finding the API server: is there a kubeconfig? see: kubectl cluster-info")?;
    let namespace = match from.all_namespaces {
        true => String::new(),
        false => from.namespace.as_deref().unwrap_or(&config.default_namespace).to_owned(),
    };
    live(&Client::try_from(config).context("making a client")?, &namespace).await
}

/// Why Incidents could not be listed, for a document; none where there is no such kind, and so nobody wrote one. Not in the words
/// of the API server, which names whoever asked.
fn unread(error: &kube::Error) -> Option<String> {
    match error {
        kube::Error::Api(status) if status.code == 404 => None,
        kube::Error::Api(status) => {
            Some(format!("the API server refused to list Incidents, with code {}", status.code))
        }
        _ => Some("the API server gave no answer to a list of Incidents".to_owned()),
    }
}

/// All that is stored in a namespace, or in all of them where its name is empty.
pub(super) async fn live(client: &Client, namespace: &str) -> anyhow::Result<Material> {
    let (runs, ballots, records, incidents) = tokio::join!(
        stored::list::<RunbookRun>(client, namespace),
        stored::list::<Approval>(client, namespace),
        stored::list::<ActionRecord>(client, namespace),
        list_stored::<Incident>(client, namespace, ListParams::default()),
    );
    let mut material = Material::default();
    material.extend(runs?.into_iter().chain(ballots?).chain(records?));
    match incidents {
        Ok(incidents) => material.extend(incidents),
        // Incidents are optional: a cluster may not have the kind, and a person may not be let to read them.
        Err(error) => {
            eprintln!("firstaid: Incidents are left out: {}", one_line(&error.to_string()));
            material.incidents_unread = unread(&error);
        }
    }
    Ok(material)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn incidents_that_may_not_be_listed_are_unread_and_a_kind_that_is_not_there_has_none() {
        let answer = |code| {
            let message = "User \"bob\" cannot list resource \"incidents\"".to_owned();
            unread(&kube::Error::Api(Box::new(Status { code, message, ..Status::default() })))
        };
        assert_eq!(answer(403).as_deref(), Some("the API server refused to list Incidents, with code 403"));
        assert_eq!(answer(404), None);
        assert!(unread(&kube::Error::LinesCodecMaxLineLengthExceeded).is_some());
    }
}
