//! Where attacks take place: a namespace with a folder in which the attacker's shell runs, and what is checked after each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::{Output, poll};
use serde_json::{Value, json};

use super::{By, Row, Seen, stage, table};
use crate::audit::Audit;
use crate::town::{Leg, Town, WITHIN, text};

/// The kinds in which a refused attempt might have left something.
const KINDS: [&str; 8] = ["rbk", "rbr", "apv", "arec", "deployment", "statefulset", "daemonset", "configmap"];

pub struct Scene {
    pub town: Town,
    folder: PathBuf,
    /// What the attacker's shell knows: `$BALLOT` and the like.
    words: BTreeMap<String, String>,
    audit: Audit,
    tried: Vec<(&'static str, String, Seen)>,
}

impl Scene {
    /// Begins the attacks in a town.
    pub fn begin(town: Town) -> Result<Self> {
        let folder = town.sandbox.data().join("attacks").join(&town.namespace);
        std::fs::create_dir_all(folder.join("bin"))?;
        std::os::unix::fs::symlink(&town.sandbox.programs().kubectl, folder.join("bin/kubectl"))?;
        let mut words = BTreeMap::from([
            ("NS".to_owned(), town.namespace.clone()),
            ("SERVER".to_owned(), town.sandbox.server().to_owned()),
            ("KEYS".to_owned(), town.sandbox.data().join("keys").to_string_lossy().into_owned()),
        ]);
        if let Some(operator) = &town.operator {
            words.insert("OPERATOR".to_owned(), operator.address());
        }
        Ok(Self { audit: Audit::begin(&town)?, folder, words, tried: Vec::new(), town })
    }

    /// A word that the attacker's shell knows.
    pub fn word(&mut self, name: &str, value: &str) {
        self.words.insert(name.to_owned(), value.to_owned());
    }

    /// A file in the folder where the attacker's shell runs.
    pub fn file(&self, name: &str, content: &Value) -> Result<()> {
        let content = content.as_str().map_or_else(|| format!("{content:#}\n"), str::to_owned);
        Ok(std::fs::write(self.folder.join(name), content)?)
    }

    /// Runs what somebody types, in a shell of their own, with their kubeconfig set to this namespace.
    pub fn shell(&self, who: &str, call: &str) -> Result<Output> {
        let kubeconfig = self.folder.join(format!("{who}.kubeconfig"));
        if !kubeconfig.exists() {
            let signed_in = if who == "bot" { format!("robot-{}", self.town.namespace) } else { who.to_owned() };
            let text = std::fs::read_to_string(self.town.sandbox.kubeconfig(&signed_in))?;
            let mut config: Value = serde_json::from_str(&text)?;
            config["contexts"][0]["context"]["namespace"] = json!(self.town.namespace);
            std::fs::write(&kubeconfig, config.to_string())?;
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let typed = |word: &str| match self.town.leg {
            Leg::Plain => format!("{word}={}", stage::user(self, who)),
            Leg::Stamping => String::new(),
        };
        Output::of(
            Command::new("bash")
                .args(["-c", call])
                .current_dir(&self.folder)
                .env_clear()
                .env("PATH", format!("{}:{path}", self.folder.join("bin").display()))
                .env("HOME", &self.folder)
                .env("KUBECONFIG", kubeconfig)
                .env("KUBECACHEDIR", self.town.sandbox.data().join("kubectl-cache"))
                // What people add where the cluster does not fill in names.
                .env("BY", typed("by"))
                .env("BREAKS", typed("breakglass-by"))
                .envs(&self.words),
        )
    }

    /// The call of a row, and what came back.
    pub fn types(&self, row: &Row) -> Result<Seen> {
        let output = self.shell(row.who, row.call)?;
        let by = who_refused(&output);
        let raw = sentence(&output, by);
        Ok(Seen { by, says: self.fixed_words(&raw)?, raw })
    }

    /// What the operator or the world says, for a row in which no command is refused.
    pub fn saw(&self, by: By, words: &str) -> Result<Seen> {
        Ok(Seen { by, says: self.fixed_words(words)?, raw: words.to_owned() })
    }

    /// The same words in every run.
    fn fixed_words(&self, words: &str) -> Result<String> {
        let mut words = words.replace(&self.town.namespace, "NAMESPACE").replace(self.town.sandbox.server(), "SERVER");
        for ballot in self.town.list("apv")? {
            words = whole_word(&words, text(&ballot, "/spec/request/code"), "CODE");
        }
        Ok(without_times(&words))
    }

    /// All that might have changed, as it stands.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Value>> {
        let mut all = BTreeMap::new();
        for kind in KINDS {
            for mut object in self.town.list(kind)? {
                if kind == "rbk" {
                    // The operator rehearses runbooks at times of its own.
                    object["status"] = Value::Null;
                    object["metadata"]["managedFields"] = Value::Null;
                    object["metadata"]["resourceVersion"] = Value::Null;
                }
                all.insert(format!("{kind}/{}", text(&object, "/metadata/name")), object);
            }
        }
        Ok(all)
    }

    /// Nothing is different from before, down to the resource versions.
    pub fn unchanged(&self, before: &BTreeMap<String, Value>) -> Result<()> {
        let now = self.snapshot()?;
        for (name, object) in &now {
            let Some(was) = before.get(name) else { anyhow::bail!("{name} is new: {object:#}") };
            ensure!(was == object, "{name} has changed, from {was:#}\nto {object:#}");
        }
        ensure!(before.len() == now.len(), "something is gone: {:?}", before.keys().filter(|k| !now.contains_key(*k)));
        Ok(())
    }

    /// Plays all rows of a list that there are in this leg. What was not as the row says is told at the end, all at once.
    pub fn play(&mut self, rows: &[&'static [Row]]) -> Result<()> {
        let mut wrong = Vec::new();
        for row in rows.iter().copied().flatten() {
            let Some((by, says)) = row.sees.in_leg(self.town.leg) else { continue };
            match (row.play)(self, row) {
                Ok(seen) => {
                    if (seen.by, seen.says.as_str()) != (by, says) {
                        wrong.push(format!(
                            "{}: wanted {by:?} {says:?}\n    got    {:?} {:?}",
                            row.id, seen.by, seen.says
                        ));
                    }
                    self.tried.push((row.id, row.call.to_owned(), seen));
                }
                Err(error) => wrong.push(format!("{}: {error:#}", row.id)),
            }
        }
        ensure!(wrong.is_empty(), "{:?}, {}:\n{}", self.town.leg, self.town.namespace, wrong.join("\n"));
        Ok(())
    }

    /// The attempts stand in the audit log, nothing was done to the targets but these many acts, and what was seen is
    /// kept for the table.
    pub fn end(self, group: &str, effects: usize) -> Result<()> {
        let done = self.audit.effects()?;
        ensure!(done.len() == effects, "{} acts instead of {effects}: {done:#?}", done.len());
        poll("the attempts to be in the audit log", WITHIN, || self.all_are_logged())?;
        let leg = if self.town.leg == Leg::Stamping { "stamping" } else { "plain" };
        let seen = self.tried.iter().map(|(id, _, seen)| (*id, seen));
        table::keep(&format!("{group}-{leg}"), seen)
    }

    fn all_are_logged(&self) -> Result<()> {
        let refused = self.refusals()?;
        for (id, call, seen) in &self.tried {
            let (code, policy) = match seen.by {
                By::Policy(policy) => (403, Some(policy)),
                By::Rbac => (403, None),
                By::Kind => (422, None),
                By::ApiServer | By::Dropped | By::Operator | By::Chain | By::Nobody => continue,
            };
            let first = seen.raw.lines().next().unwrap_or_default();
            let entry = refused
                .iter()
                .find(|entry| {
                    entry.pointer("/responseStatus/code") == Some(&json!(code))
                        && text(entry, "/responseStatus/message").contains(first)
                })
                .with_context(|| format!("the audit log does not tell of {id}: {first}"))?;
            let Some(policy) = policy else { continue };
            let failure = text(entry, "/annotations/validation.policy.admission.k8s.io~1validation_failure");
            ensure!(failure.contains(&format!("\"policy\":\"{policy}\"")), "{id}: {entry:#}");
            let marks = call.contains("annotate apv") && (call.contains(" approve=") || call.contains(" deny="));
            let votes = policy == "firstaid-ballot" && marks;
            if votes && !seen.says.starts_with("this ballot is already decided") {
                let vote = text(entry, "/annotations/firstaid-ballot~1vote");
                ensure!(vote.contains(&self.town.namespace), "{id}: the vote is not told: {entry:#}");
            }
        }
        Ok(())
    }

    /// Everything that was refused since the scene began.
    fn refusals(&self) -> Result<Vec<Value>> {
        self.audit.lines("\"status\":\"Failure\"", |_| true)
    }

    /// Everything that was asked in this namespace since the scene began.
    pub fn requests(&self) -> Result<Vec<Value>> {
        self.audit.lines(&self.town.namespace, |_| true)
    }
}

/// Who refused, by the shape of what kubectl prints.
fn who_refused(output: &Output) -> By {
    let words = &output.stderr;
    if let Some((_, after)) = words.split_once("ValidatingAdmissionPolicy '") {
        let name = after.split('\'').next().unwrap_or_default();
        return super::table::POLICIES.iter().find(|p| **p == name).map_or(By::ApiServer, |p| By::Policy(p));
    }
    if output.success() {
        // What curl says of the operator's answer.
        if output.stdout.contains("HTTP 40") {
            return By::Operator;
        }
        return if words.contains("Warning: unknown field") { By::Dropped } else { By::Nobody };
    }
    if words.contains("is invalid:") {
        By::Kind
    } else if words.contains("is forbidden: User ") {
        By::Rbac
    } else {
        By::ApiServer
    }
}

/// The refusal without what kubectl and the API server put before it, each sentence once.
fn sentence(output: &Output, by: By) -> String {
    let printed = if matches!(by, By::Nobody | By::Operator) { &output.stdout } else { &output.stderr };
    let mut sentences: Vec<&str> = Vec::new();
    for line in printed.lines() {
        let trimmed = match by {
            By::Policy(_) => line.split_once(" denied request: ").map(|(_, after)| after),
            By::Rbac => line.split_once(" is forbidden: ").map(|(_, after)| after),
            By::Kind => line.split_once(" is invalid: ").map(|(_, after)| after).or_else(|| line.strip_prefix("* ")),
            _ => Some(line),
        };
        let trimmed = trimmed.unwrap_or_default().trim().trim_start_matches("<nil>: Invalid value: ");
        if !trimmed.is_empty() && !sentences.contains(&trimmed) {
            sentences.push(trimmed);
        }
    }
    sentences.join("\n")
}

/// Replaces a word where it stands by itself.
fn whole_word(text: &str, word: &str, by: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(word).filter(|_| !word.is_empty()) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let alone = !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
        parts.push(before);
        parts.push(if alone { by } else { word });
        rest = after;
    }
    parts.push(rest);
    parts.concat()
}

/// Moments, such as 2026-11-22T03:25:00Z or 03:25:00Z, as TIME.
fn without_times(text: &str) -> String {
    let mut words = text.to_owned();
    for moment in ["0000-00-00T00:00:00Z", "00:00:00Z"] {
        while let Some(at) = shape_of(&words).find(moment) {
            words.replace_range(at..at + moment.len(), "TIME");
        }
    }
    words
}

/// The text with each digit as a nought: the bytes stand where they stood.
fn shape_of(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}
