//! The archive: a directory with one file for each run that has ended. A file is whole or it is not there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::perform;

/// What a file has at its end as long as it is not whole.
const PART: &str = ".part";
/// The longest file that is read back, in bytes: a run, its ballots and its records are a fraction of it. A longer one was
/// made by somebody else.
const LONGEST: u64 = 16 << 20;

/// Why the archive could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A name that would be another path.
    #[error("{0:?} cannot be part of the name of a file")]
    Name(String),
    /// The disk, or whatever is mounted there.
    #[error("{doing} {}: {error}", path.display())]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The work was given up.
    #[error("the archive was not asked: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// A directory of files `<namespace>/<run>-<uid>.jsonl`.
#[derive(Clone, Debug)]
pub struct Archive {
    directory: PathBuf,
}

impl Archive {
    /// The archive in this directory, which must be there when it is used.
    pub fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The file of a run.
    ///
    /// # Errors
    /// [`ArchiveError::Name`] where one of these is no name that the API server would take.
    pub fn file_of(&self, namespace: &str, run: &str, uid: &str) -> Result<PathBuf, ArchiveError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        for name in [namespace, run, uid] {
            let named = name.starts_with(plain) && name.chars().all(|c| plain(c) || matches!(c, '-' | '.'));
            if !named || name.len() > 100 {
                return Err(ArchiveError::Name(name.to_owned()));
            }
        }
        Ok(self.directory.join(namespace).join(format!("{run}-{uid}.jsonl")))
    }

    /// The text of a file, as it is on the disk; none where there is no such file.
    ///
    /// # Errors
    /// [`ArchiveError`] where that could not be told.
    pub async fn read(&self, file: &Path) -> Result<Option<String>, ArchiveError> {
        let file = file.to_owned();
        tokio::task::spawn_blocking(move || match read(&file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ArchiveError::Disk { doing: "reading", path: file, error }),
        })
        .await?
    }

    /// Writes a file, whole: under another name in the same directory, brought to the disk, then renamed. Whoever dies in
    /// between leaves the file as it was.
    ///
    /// # Errors
    /// [`ArchiveError`] where it was not written, as far as is known.
    pub async fn write(&self, file: &Path, text: String) -> Result<(), ArchiveError> {
        let file = file.to_owned();
        tokio::task::spawn_blocking(move || write(&file, &text)).await?
    }

    /// Takes away what writers have left who died. Where one is at work, its write fails and is tried again.
    ///
    /// # Errors
    /// [`ArchiveError`] where a directory could not be looked through.
    pub async fn sweep(&self) -> Result<(), ArchiveError> {
        let directory = self.directory.clone();
        tokio::task::spawn_blocking(move || {
            sweep(&directory).map_err(|error| ArchiveError::Disk { doing: "tidying up", path: directory, error })
        })
        .await?
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    let read = File::open(file)?.take(LONGEST + 1).read_to_end(&mut text)?;
    if read as u64 > LONGEST {
        return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
    }
    // What is no text is no JSON either, and said to be none by whoever reads it.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn write(file: &Path, text: &str) -> Result<(), ArchiveError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |error| ArchiveError::Disk { doing, path, error }
    };
    let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Err(ArchiveError::Name(file.display().to_string()));
    };
    match DirBuilder::new().mode(0o750).create(directory) {
        // The name of a directory that is new is brought to the disk, too.
        Ok(()) => directory.parent().map_or(Ok(()), sync).map_err(failed("making", directory))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("making", directory)(error)),
    }
    // Nobody else's: another replica may write the same file at the same time.
    let part = directory.join(format!(".{name}.{}-{}{PART}", std::process::id(), perform::now().as_nanosecond()));
    let written = write_new(&part, text).map_err(failed("writing", &part));
    let written = written.and_then(|()| fs::rename(&part, file).map_err(failed("renaming", &part)));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written?;
    sync(directory).map_err(failed("bringing to the disk", directory))
}

fn write_new(part: &Path, text: &str) -> io::Result<()> {
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o640).open(part)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn sweep(directory: &Path) -> io::Result<()> {
    for namespace in fs::read_dir(directory)? {
        let namespace = namespace?;
        if !namespace.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(namespace.path())? {
            let file = file?;
            let name = file.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') && name.contains(".jsonl.") && name.ends_with(PART) {
                fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("firstaid-archive-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.0.join("shop")).unwrap();
            let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_name_is_never_a_path() {
        let archive = Archive::at(PathBuf::from("/archive"));
        let file = archive.file_of("shop", "shed.load-1", "0c41a77b-1").unwrap();
        assert_eq!(file, Path::new("/archive/shop/shed.load-1-0c41a77b-1.jsonl"));
        for wrong in ["", ".", "..", "../etc", "a/b", "a\\b", "A", ".a", "-a", "a\0", "ä", &"a".repeat(101)] {
            assert!(archive.file_of(wrong, "run", "uid").is_err(), "{wrong:?}");
            assert!(archive.file_of("shop", wrong, "uid").is_err(), "{wrong:?}");
            assert!(archive.file_of("shop", "run", wrong).is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn what_was_written_is_read_back_and_nothing_else_is_left() {
        let folder = Folder::new("written");
        let archive = Archive::at(folder.0.clone());
        let file = archive.file_of("shop", "run", "uid").unwrap();
        assert_eq!(archive.read(&file).await.unwrap(), None);
        for text in ["one\n", "another\n"] {
            archive.write(&file, text.to_owned()).await.unwrap();
            assert_eq!(archive.read(&file).await.unwrap().as_deref(), Some(text));
        }
        assert_eq!(folder.names(), ["run-uid.jsonl"]);
    }

    #[tokio::test]
    async fn what_a_dead_writer_left_is_taken_away_and_nothing_else() {
        let folder = Folder::new("swept");
        let archive = Archive::at(folder.0.clone());
        let file = archive.file_of("shop", "run", "uid").unwrap();
        archive.write(&file, "one\n".to_owned()).await.unwrap();
        for name in [".run-uid.jsonl.1-2.part", "notes.part", ".hidden"] {
            fs::write(folder.0.join("shop").join(name), "half").unwrap();
        }
        archive.sweep().await.unwrap();
        assert_eq!(folder.names(), [".hidden", "notes.part", "run-uid.jsonl"]);
    }

    #[tokio::test]
    async fn an_archive_that_is_not_there_is_named() {
        let archive = Archive::at(PathBuf::from("/nowhere/archive"));
        let file = archive.file_of("shop", "run", "uid").unwrap();
        let said = archive.write(&file, String::new()).await.unwrap_err().to_string();
        assert!(said.starts_with("making /nowhere/archive/shop: "), "{said}");
        assert!(archive.sweep().await.is_err());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_ours_is_not_read_into_memory() {
        let folder = Folder::new("long");
        let path = folder.0.join("long.jsonl");
        File::create(&path).unwrap().set_len(LONGEST + 1).unwrap();
        let said = Archive::at(folder.0.clone()).read(&path).await.unwrap_err().to_string();
        assert!(said.ends_with("it is longer than 16777216 bytes"), "{said}");
    }
}
