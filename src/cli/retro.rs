//! `firstaid retro`: the retrospective of an incident, as a document.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
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
    let target = followed(path)?;
    let old = match fs::metadata(&target) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("looking at {}", path.display())),
    };
    if let Some(old) = &old {
        // Before it is opened: whoever opens a pipe waits for its other end, perhaps for ever.
        if !old.is_file() {
            let what = if old.is_dir() { "a folder" } else { "no regular file" };
            bail!(
                "{} is {what}, and a document is put in the place of a file, whole or not at all; name a file, or leave --out out: \
                 the document is printed then, and > or | takes it wherever it is to go",
                path.display()
            );
        }
        if !force {
            is_ours(&target, old).map_err(|why| {
                anyhow!(
                    "{} was not replaced: {why}; name another file with --out, or replace it, whatever is in it: the same \
                     command with --force",
                    path.display()
                )
            })?;
        }
    }
    let (beside, mut file) = beside(&target, old.is_some()).with_context(|| match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            format!("there is no folder {0}; make it: mkdir -p {0}", folder.display())
        }
        _ => format!("writing {}", path.display()),
    })?;
    // Who may read it is decided by whoever owns the old one, before there is anything to be read.
    let permitted = old.map_or(Ok(()), |old| file.set_permissions(old.permissions()));
    let written = permitted
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, &target));
    if written.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("writing {}", path.display()))
}

/// The file itself, where a link leads to it: the link is somebody's arrangement, and stays.
fn followed(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_symlink() {
        return Ok(path.to_owned());
    }
    fs::canonicalize(path).map_err(|error| {
        anyhow!(
            "{} is a link that leads to no file ({error}); name the file itself with --out, or remove the link: rm {0}",
            path.display()
        )
    })
}

/// Whether a file is a document as it was generated, or why it is not to be replaced.
fn is_ours(path: &Path, old: &fs::Metadata) -> Result<(), String> {
    if old.permissions().readonly() {
        return Err("it is read-only, so somebody wants to keep it".to_owned());
    }
    match fs::read_to_string(path) {
        Ok(text) if is_as_generated(&text) => Ok(()),
        // What is no text is not ours.
        Ok(_) => Err("it is not as it was generated, so somebody has written into it".to_owned()),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err("it is no document of ours".to_owned()),
        Err(error) => Err(format!("it cannot be read ({error}), so nobody can tell whether somebody wrote into it")),
    }
}

/// A new file beside another one, which nobody else may read where that one is there.
fn beside(target: &Path, private: bool) -> io::Result<(PathBuf, fs::File)> {
    let name =
        target.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "that is no name of a file"))?;
    let mode = if private { 0o600 } else { 0o666 };
    let mut number = 0;
    loop {
        let mut beside = target.to_owned();
        beside.set_file_name(format!(".{}.{}.{number}", name.to_string_lossy(), std::process::id()));
        // A new one: in a folder of everybody's another could have put a link there that leads elsewhere.
        match fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < 16 => number += 1,
            opened => return opened.map(|file| (beside, file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

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
        assert!(refused.contains("was not replaced: it is not as it was generated"), "{refused}");
        assert!(refused.ends_with("the same command with --force"), "{refused}");
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
    fn a_json_that_somebody_edited_is_kept() {
        let folder = Folder::new("json");
        let path = folder.0.join("retro.json");
        let json = render(&crisis(Names::Roles), Form::Json, &Templates::default()).unwrap();
        write(&path, &json, false).unwrap();
        write(&path, &json, false).unwrap();
        for edited in
            [json.replacen("checkout", "basket", 1), json.replacen("sha256:", "sha256:0", 1), json.replace("  ", "\t")]
        {
            fs::write(&path, &edited).unwrap();
            assert!(write(&path, &json, false).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), edited);
        }
    }

    #[test]
    fn a_file_stays_as_readable_as_it_was_and_a_link_stays_a_link() {
        let folder = Folder::new("modes");
        let (path, link) = (folder.0.join("retro.md"), folder.0.join("latest.md"));
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        write(&path, &page(), false).unwrap();
        std::os::unix::fs::symlink("retro.md", &link).unwrap();
        for kept in [0o600, 0o664] {
            mode(kept);
            fs::write(&path, page().replace("checkout", "basket")).unwrap();
            write(&link, &page(), true).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, kept);
            assert!(link.is_symlink() && fs::read_to_string(&path).unwrap() == page());
        }
        mode(0o444);
        let refused = write(&path, &page(), false).unwrap_err().to_string();
        assert!(refused.contains("it is read-only"), "{refused}");
        fs::remove_file(&path).unwrap();
        let refused = write(&link, &page(), true).unwrap_err().to_string();
        assert!(refused.contains("is a link that leads to no file"), "{refused}");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        use std::os::unix::net::UnixListener;
        let folder = Folder::new("socket");
        let path = folder.0.join("retro.md");
        let _listens = UnixListener::bind(&path).unwrap();
        let pipe = folder.0.join("pipe.md");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for (path, what) in [(&path, "is no regular file"), (&pipe, "is no regular file"), (&folder.0, "is a folder")] {
            for force in [false, true] {
                let refused = write(path, &page(), force).unwrap_err().to_string();
                assert!(refused.contains(what) && refused.contains("leave --out out"), "{refused}");
            }
        }
        let refused = format!("{:#}", write(&folder.0.join("no/retro.md"), &page(), false).unwrap_err());
        assert!(refused.starts_with("there is no folder ") && refused.contains("mkdir -p"), "{refused}");
    }

    #[test]
    fn nothing_is_written_through_what_another_put_beside_it() {
        let folder = Folder::new("beside");
        let (path, elsewhere) = (folder.0.join("retro.md"), folder.0.join("elsewhere"));
        fs::write(&elsewhere, "mine").unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.0.join(format!(".retro.md.{}.0", std::process::id()))).unwrap();
        write(&path, &page(), false).unwrap();
        assert_eq!(
            (fs::read_to_string(&elsewhere).unwrap().as_str(), fs::read_to_string(&path).unwrap()),
            ("mine", page())
        );
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
