//! `kubectl firstaid export`: all evidence of an incident in one file, to keep when it has left the cluster.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::ended::{Ended, Failure};
use super::session::Session;
use crate::cli::material::live;
use crate::digest;
use crate::retro::material::Joined;

/// Of which incident, and to where.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Key of the incident.
    incident: String,
    /// All namespaces: one incident may have runs in several.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// The file. It is there whole or not at all. Default: standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl ExportArgs {
    /// Writes an object a line: runs, ballots, records, the incident; and says its digest.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let material = live(session.client(), session.place(self.all_namespaces)).await?;
        let Some(joined) = material.of(&self.incident) else {
            return Err(Failure::error(format!(
                "there is nothing of an incident {}; there is: {}",
                self.incident,
                material.keys().join(", ")
            ))
            .next("-n NAMESPACE looks in another namespace, -A in all"));
        };
        let (text, objects) = lines(&joined);
        let digest = digest::sha256(text.as_bytes());
        match &self.out {
            None => std::io::stdout().write_all(text.as_bytes()).context("writing to standard output")?,
            Some(path) => write(path, &text)?,
        }
        // Beside the file, so that it stays what `verify` reads: whoever keeps the file keeps this line too.
        session.screen.aside(&format!("{objects} objects, {digest}"));
        if let Some(path) = &self.out {
            session.screen.aside(&format!("check     kubectl firstaid verify -f {}", path.display()));
        }
        Ok(Ended::Done)
    }
}

fn lines(joined: &Joined<'_>) -> (String, usize) {
    let all = [&joined.runs, &joined.ballots, &joined.records, &joined.incidents];
    let objects: Vec<String> = all.into_iter().flatten().map(|stored| format!("{}\n", stored.object)).collect();
    (objects.concat(), objects.len())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let name = path.file_name().with_context(|| format!("{} is no name of a file", path.display()))?;
    let mut beside = path.to_owned();
    beside.set_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = fs::File::create_new(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("writing {}", path.display()))
}
