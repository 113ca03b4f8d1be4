//! `firstaid crds`: the kinds, as files.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::api::crds;

/// Where the files go.
#[derive(Args, Clone, Debug)]
pub struct CrdsArgs {
    /// The folder.
    #[arg(long, default_value = "crds")]
    out: PathBuf,
}

/// Writes one file for each kind.
///
/// # Errors
/// Where a file cannot be written.
pub fn run(args: &CrdsArgs) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.out).with_context(|| format!("making the folder {}", args.out.display()))?;
    for (name, text) in files()? {
        let path = args.out.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The files by name.
///
/// # Errors
/// Where a kind cannot be written as YAML.
pub fn files() -> anyhow::Result<Vec<(String, String)>> {
    let header = "# Made by `firstaid crds`; never edited by hand.\n";
    crds::all()?
        .into_iter()
        .map(|(name, crd)| {
            let yaml = serde_yaml::to_string(&crd).with_context(|| format!("writing {name} as YAML"))?;
            Ok((name, format!("{header}{yaml}")))
        })
        .collect()
}
