//! `firstaid retro`: the retrospective of an incident, as a document.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::material::{Reading, document};
use crate::retro::Names;
use crate::retro::document::Document;
use crate::retro::render::{Form, Templates, is_as_generated, render};

/// Of which incident, and how it is written.
#[derive(Args, Clone, Debug)]
pub struct RetroArgs {
    #[command(flatten)]
    from: Reading,
    #[command(flatten)]
    written: Written,
}

/// How it is written.
#[derive(Args, Clone, Debug)]
pub struct Written {
    /// The form. JSON is the source of the others.
    #[arg(short, long, value_enum, default_value_t = Output::Md)]
    output: Output,
    /// The file. It is there whole or not at all; without it the document is printed.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Replace the file where it is there and was edited since.
    #[arg(long)]
    force: bool,
    /// Roles in the document, or names for an audit.
    #[arg(long, value_enum, default_value_t = Shown::Roles)]
    names: Shown,
    /// A folder with templates of your own: retrospective.md, retrospective.html, style.css, timeline.svg, and what they
    /// include. What is not there is as it comes with the program.
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
}

/// Forms of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Markdown, with diagrams in Mermaid.
    Md,
    /// One page that needs nothing else.
    Html,
    /// All of it, as data.
    Json,
}

/// Who is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// Roles: `sre 1`.
    Roles,
    /// Names and roles.
    Full,
}

/// Reads, renders, and writes.
///
/// # Errors
/// Where it cannot be read, a template fails, or the file cannot be written. Then there is no new file, and an old one is
/// as it was.
pub async fn run(args: &RetroArgs) -> anyhow::Result<()> {
    produce(&document(&args.from, args.written.names()).await?, &args.written)
}

impl Written {
    /// Names, or roles.
    pub fn names(&self) -> Names {
        match self.names {
            Shown::Roles => Names::Roles,
            Shown::Full => Names::Full,
        }
    }
}

/// Renders a document, and writes it.
///
/// # Errors
/// Where a template fails, or the file cannot be written. Then there is no new file, and an old one is as it was.
pub fn produce(document: &Document, args: &Written) -> anyhow::Result<()> {
    let templates = args.templates.as_deref().map_or_else(|| Ok(Templates::default()), read_templates)?;
    let form = match args.output {
        Output::Md => Form::Markdown,
        Output::Html => Form::Html,
        Output::Json => Form::Json,
    };
    let text = render(document, form, &templates)?;
    match &args.out {
        Some(path) => write(path, &text, args.force),
        None => super::print(&text),
    }
}

/// The templates, with those of a folder in their place.
fn read_templates(folder: &Path) -> anyhow::Result<Templates> {
    let mut templates = Templates::default();
    let entries =
        fs::read_dir(folder).with_context(|| format!("reading the folder of templates {}", folder.display()))?;
    let mut found = 0;
    for entry in entries {
        let path = entry.with_context(|| format!("reading the folder of templates {}", folder.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        // What an editor leaves behind is no template.
        let is_template = ["html", "md", "css", "svg"].iter().any(|end| path.extension().is_some_and(|e| e == *end));
        if path.is_file() && is_template && !name.starts_with('.') {
            let text = fs::read_to_string(&path).with_context(|| format!("reading the template {}", path.display()))?;
            templates.replace(&name, text);
            found += 1;
        }
    }
    if found == 0 {
        bail!("there is no template in {}: a template ends in .html, .md, .css or .svg", folder.display());
    }
    Ok(templates)
}

/// Writes a file whole or not at all: beside it first, then under its name.
fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    // What somebody wrote into it would be lost without a word.
    let edited = path.exists() && !fs::read_to_string(path).is_ok_and(|old| is_as_generated(&old));
    if edited && !force {
        bail!("{} is there, and is not as it was generated; --force replaces it", path.display());
    }
    let name = path.file_name().with_context(|| format!("{} is no name of a file", path.display()))?;
    let mut beside = path.to_owned();
    beside.set_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = fs::File::create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retro::tests::crisis;

    /// A folder that is gone with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("firstaid-retro-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn page() -> String {
        render(&crisis(Names::Roles), Form::Markdown, &Templates::default()).unwrap()
    }

    #[test]
    fn a_file_is_replaced_until_somebody_writes_into_it() {
        let folder = Folder::new("edited");
        let path = folder.0.join("retro.md");
        write(&path, &page(), false).unwrap();
        write(&path, &page(), false).unwrap();
        fs::write(&path, page().replace("checkout", "basket")).unwrap();
        let refused = write(&path, &page(), false).unwrap_err().to_string();
        assert!(refused.ends_with("is there, and is not as it was generated; --force replaces it"), "{refused}");
        write(&path, &page(), true).unwrap();
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(write(&path, &page(), false).is_err(), "what is no text is not ours");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn where_it_cannot_be_written_nothing_is() {
        let folder = Folder::new("folder");
        let path = folder.0.join("retro.md");
        fs::create_dir_all(path.join("inside")).unwrap();
        assert!(write(&path, &page(), true).is_err());
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_folder_without_templates_is_a_mistake() {
        let folder = Folder::new("templates");
        fs::write(folder.0.join("notes.txt"), "x").unwrap();
        let error = read_templates(&folder.0).unwrap_err().to_string();
        assert!(error.starts_with("there is no template in "), "{error}");
        assert!(read_templates(&folder.0.join("gone")).is_err());
    }
}
