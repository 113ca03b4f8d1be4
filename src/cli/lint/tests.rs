//! Files as they are found on a disk.

use super::*;

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("firstaid-lint-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("below")).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks")
}

fn of(path: PathBuf, strict: bool) -> anyhow::Result<u8> {
    lint(&LintArgs {
        filename: vec![path],
        recursive: false,
        strict,
        roles: vec!["sre".to_owned(), "db-owner".to_owned()],
    })
}

#[test]
fn the_runbooks_of_this_repository_are_clean() {
    assert_eq!(of(shipped(), true).unwrap(), CLEAN);
}

#[test]
fn each_end_has_its_code() {
    let folder = Folder::new("codes");
    let good = fs::read_to_string(shipped().join("shed-load.yaml")).unwrap();
    let bad = folder.file("bad.yaml", good.replace("gate: on-call", "gate: oncall").as_bytes());
    assert_eq!(of(bad, false).unwrap(), FINDINGS);
    let gate = good.replace("    gate: on-call\n    disable", "    gate: None\n    disable");
    assert_ne!(gate, good);
    let warned = folder.file("warned.yaml", gate.as_bytes());
    assert_eq!((of(warned.clone(), false).unwrap(), of(warned, true).unwrap()), (CLEAN, FINDINGS));
}

#[test]
fn what_cannot_be_read_is_said_in_a_sentence() {
    let folder = Folder::new("unreadable");
    for (name, bytes, sentence) in [
        ("zero.yaml", &b"a: b\0c"[..], "is no text: it holds a zero byte"),
        ("latin.yaml", b"# one\nsummary: gr\xf6\xdfer\n", "is no UTF-8: line 2 holds bytes that are no letters"),
        ("wide.yaml", b"\xff\xfea\0:\0", "is UTF-16, and kubectl reads UTF-8"),
    ] {
        let path = folder.file(name, bytes);
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
        assert_eq!(of(path, false).unwrap(), UNREADABLE);
    }
    let large = folder.file("large.yaml", &vec![b'#'; LARGEST + 1]);
    assert!(read(&large).unwrap_err().to_string().contains("is larger than 16 MiB"));
    assert!(read(&folder.0.join("gone.yaml")).unwrap_err().to_string().starts_with("there is no file "));
}

#[test]
fn where_there_is_no_runbook_nothing_is_green() {
    let folder = Folder::new("none");
    let error = of(folder.0.clone(), false).unwrap_err().to_string();
    assert!(error.contains("there is no .yaml, .yml or .json file") && error.contains("; -R also looks"), "{error}");
    folder.file("below/map.yaml", b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    let recursive = LintArgs { filename: vec![folder.0.clone()], recursive: true, strict: false, roles: Vec::new() };
    let error = lint(&recursive).unwrap_err().to_string();
    assert!(error.contains("there is no Runbook in ") && error.contains("nothing was looked at"), "{error}");
    fs::copy(shipped().join("shed-load.yaml"), folder.0.join("below/a.yml")).unwrap();
    assert_eq!(lint(&recursive).unwrap(), CLEAN);
}
