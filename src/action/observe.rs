//! Questions to the world and their answers: the only way in which the pure core learns anything.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Effect, Obstacle, reason, refused};
use crate::api::run::{SeenVersion, Target};
use crate::api::step::TargetRef;
use crate::api::{Person, TOKEN_ANNOTATION};

/// An object of the run's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// API group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

impl ObjectRef {
    /// The object that a runbook names.
    ///
    /// # Errors
    /// Refused where the API version is missing and the kind is not one of the well-known ones.
    pub fn of(target: &TargetRef) -> Result<Self, Obstacle> {
        if target.kind == "Secret" {
            return Err(refused(
                reason::INVALID,
                "a Secret is nothing for a runbook: what it holds would stand in plans and records",
            ));
        }
        let Some(api_version) = target.resolved_api_version() else {
            return Err(refused(
                reason::INVALID,
                format!("target {}/{} needs an apiVersion, such as apps/v1", target.kind, target.name),
            ));
        };
        Ok(Self { api_version: api_version.to_owned(), kind: target.kind.clone(), name: target.name.clone() })
    }

    /// The kind as kubectl takes it for this one and no other: custom kinds of different groups may have the same name.
    pub fn typed(&self) -> String {
        let kind = self.kind.to_lowercase();
        match self.api_version.split_once('/') {
            None | Some(("apps", _)) => kind,
            Some((group, _)) => format!("{kind}.{group}"),
        }
    }

    /// Whether the name can be one. It becomes a part of the request's path, and an expression may have made it: a slash,
    /// a question mark or two dots would lead the request elsewhere.
    ///
    /// # Errors
    /// The sentence that says so.
    pub fn named(&self) -> Result<(), String> {
        if is_object_name(&self.name) {
            return Ok(());
        }
        let shown = crate::api::condition::cut(&self.name, 80);
        Err(format!("{shown:?} is no name of a {}: a name has lower-case letters, digits, dashes and dots", self.kind))
    }
}

/// Whether a text can be the name of an object: it cannot lead a request elsewhere, nor end a word of a shell.
pub fn is_object_name(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= 253
        && bytes.iter().all(|b| letter(*b) || matches!(b, b'-' | b'.'))
        && bytes.first().is_some_and(|b| letter(*b))
        && bytes.last().is_some_and(|b| letter(*b))
        && !text.contains("..")
}

/// A question. Objects are read live, in the run's namespace, as the Runbook's ServiceAccount, unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// The run itself and its ballots, read live as the operator.
    Journal,
    /// The runbook, as the operator.
    Runbook(String),
    /// Another run of the namespace, as the operator.
    Run(String),
    /// A record of the namespace, as the operator.
    Record(String),
    /// A ballot of the namespace, as the operator.
    Ballot(String),
    /// An object.
    Object(ObjectRef),
    /// The HorizontalPodAutoscalers of the namespace.
    Autoscalers,
    /// All objects of a kind in the namespace.
    Objects {
        /// API group and version.
        api_version: String,
        /// Kind.
        kind: String,
    },
    /// Where a kind keeps its replicas; as the operator, from the kind's definition.
    ScalePaths {
        /// API group and version.
        api_version: String,
        /// Kind.
        kind: String,
    },
    /// Whether the API server would accept the write.
    DryRun(Box<Effect>),
    /// Whether a voter may still approve in the role; as the operator.
    Access {
        /// The voter, with the groups of the vote.
        voter: Box<Person>,
        /// The role.
        role: String,
        /// The runbook.
        runbook: String,
    },
    /// The global brake; as the operator.
    Brake,
    /// Whether the approval policies are in force; as the operator.
    Guards,
    /// Whether the run that holds a target is still active; as the operator.
    Holder {
        /// Name of the run.
        run: String,
        /// Uid of the run.
        uid: String,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To [`Query::Object`], [`Query::Runbook`], [`Query::Run`], [`Query::Record`] and [`Query::Ballot`]: the object, or none where there is none.
    Object(Option<Value>),
    /// To [`Query::Autoscalers`].
    Autoscalers(Vec<AutoscalerFacts>),
    /// To [`Query::Objects`].
    Objects(Vec<Value>),
    /// To [`Query::ScalePaths`]: none where the kind has no scale subresource.
    ScalePaths(Option<ScalePaths>),
    /// To [`Query::Journal`] (always true), [`Query::Access`], [`Query::Guards`], [`Query::Holder`] and [`Query::DryRun`].
    Yes,
    /// To [`Query::Guards`]: they are in force, and may have been away at these times, the newest last.
    InForce(Vec<Gap>),
    /// The opposite, and why.
    No(String),
    /// To [`Query::Brake`]: none where it is off, else its reason.
    Brake(Option<String>),
    /// The ServiceAccount may not.
    Forbidden(String),
    /// It could not be read; a later try may succeed.
    Unreadable(String),
}

/// A time in which the approval policies may have been away, by the operator's clock: what people said then may have been
/// judged by nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// When it began at the latest; none where nobody has seen what was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// From then on they were in force again.
    pub until: Timestamp,
}

impl Gap {
    /// Whether it was then. The API server's times are whole seconds. In the last one they were in force: they count only
    /// when they have been seen to stand for some seconds.
    pub fn covers(self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from.as_second() <= at.as_second()) && self.ends_after(at)
    }

    /// Whether it ended after that.
    pub fn ends_after(self, at: Timestamp) -> bool {
        at.as_second() < self.until.as_second()
    }
}

/// What matters of a HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoscalerFacts {
    /// Name.
    pub name: String,
    /// Kind of what it scales.
    pub kind: String,
    /// Name of what it scales.
    pub target: String,
    /// The least number of replicas.
    pub min: i64,
    /// The greatest number of replicas.
    pub max: i64,
}

/// Where a kind keeps its replicas, as JSON pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// The wanted number.
    pub spec: String,
    /// The observed number.
    pub status: String,
}

/// What has been seen in this pass.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Where the objects are, for commands; empty where nobody has said.
    namespace: String,
    answers: Vec<(Query, Answer)>,
}

impl Seen {
    /// The same, of the objects of this namespace.
    pub fn within(self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self }
    }

    /// Adds an answer.
    pub fn add(&mut self, query: Query, answer: Answer) {
        self.answers.retain(|(known, _)| *known != query);
        self.answers.push((query, answer));
    }

    /// Forgets the answers to these, so that they are asked again.
    pub fn forget(&mut self, queries: &[Query]) {
        self.answers.retain(|(query, _)| !queries.contains(query));
    }

    /// Forgets everything: after a write, what was seen before it is old.
    pub fn clear(&mut self) {
        self.answers.clear();
    }

    /// The answer to a question, if it has been asked.
    pub fn answer(&self, query: &Query) -> Option<&Answer> {
        self.answers.iter().find(|(known, _)| known == query).map(|(_, answer)| answer)
    }

    /// What a dry run of this effect said. The time that a restart writes moves on from one look to the next, so the act is
    /// recognised by its token and by the version of the object on which it was made, not by what it writes.
    pub fn dry_run(&self, effect: &Effect) -> Option<&Answer> {
        self.answers.iter().find_map(|(query, answer)| match query {
            Query::DryRun(known)
                if (&known.token, &known.target, &known.seen) == (&effect.token, &effect.target, &effect.seen) =>
            {
                Some(answer)
            }
            _ => None,
        })
    }

    /// Those of the questions that have no answer yet.
    pub fn missing(&self, queries: &[Query]) -> Vec<Query> {
        queries.iter().filter(|query| self.answer(query).is_none()).cloned().collect()
    }

    /// An object of the namespace.
    ///
    /// # Errors
    /// Unseen, unreadable, forbidden to the ServiceAccount, or not there.
    pub fn object(&self, object: &ObjectRef) -> Result<&Value, Obstacle> {
        let query = Query::Object(object.clone());
        match self.answer(&query) {
            None => Err(Obstacle::Unseen(vec![query])),
            Some(Answer::Object(Some(found))) => Ok(found),
            Some(Answer::Object(None)) => Err(refused(
                reason::TARGET_GONE,
                format!(
                    "{}/{} does not exist in this namespace; look with: kubectl get {}{}",
                    object.kind,
                    object.name,
                    if self.namespace.is_empty() { String::new() } else { format!("-n {} ", self.namespace) },
                    object.typed()
                ),
            )),
            Some(other) => Err(obstacle(other, &format!("read {}/{}", object.kind, object.name))),
        }
    }

    /// The autoscalers of the namespace.
    ///
    /// # Errors
    /// Unseen, unreadable, or forbidden to the ServiceAccount.
    pub fn autoscalers(&self) -> Result<&[AutoscalerFacts], Obstacle> {
        match self.answer(&Query::Autoscalers) {
            None => Err(Obstacle::Unseen(vec![Query::Autoscalers])),
            Some(Answer::Autoscalers(found)) => Ok(found),
            Some(other) => Err(obstacle(other, "list the HorizontalPodAutoscalers")),
        }
    }

    /// Where a kind keeps its replicas.
    ///
    /// # Errors
    /// Unseen, unreadable, or the kind has no scale subresource.
    pub fn scale_paths(&self, api_version: &str, kind: &str) -> Result<&ScalePaths, Obstacle> {
        let query = Query::ScalePaths { api_version: api_version.to_owned(), kind: kind.to_owned() };
        match self.answer(&query) {
            None => Err(Obstacle::Unseen(vec![query])),
            Some(Answer::ScalePaths(Some(paths))) => Ok(paths),
            Some(Answer::ScalePaths(None)) => Err(refused(
                reason::INVALID,
                format!("kind {kind} of {api_version} has no scale subresource, so its size cannot be changed"),
            )),
            Some(other) => Err(obstacle(other, &format!("look up the kind {kind} of {api_version}"))),
        }
    }
}

/// An answer that is not the wanted one, as an obstacle.
pub(crate) fn obstacle(answer: &Answer, doing: &str) -> Obstacle {
    match answer {
        Answer::Forbidden(message) => refused(
            reason::PERMISSION_MISSING,
            format!(
                "the runbook's ServiceAccount may not {doing}: {message}; grant it with: firstaid onboard -n NAMESPACE --from ALL-ITS-RUNBOOKS | kubectl apply -f -"
            ),
        ),
        Answer::Unreadable(message) => Obstacle::Unreadable(format!("could not {doing}: {message}")),
        other => Obstacle::Unreadable(format!("could not {doing}: unexpected answer {other:?}")),
    }
}

/// A text inside an object.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The token that the last act left on an object.
pub fn token_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/annotations")?.get(TOKEN_ANNOTATION)?.as_str()
}

/// The version of an object.
pub fn version_of(object: &Value) -> SeenVersion {
    SeenVersion {
        generation: object.pointer("/metadata/generation").and_then(Value::as_i64),
        resource_version: text(object, "/metadata/resourceVersion").to_owned(),
    }
}

/// An object as a target.
pub(super) fn target_of(reference: &ObjectRef, namespace: &str, object: &Value) -> Target {
    Target {
        api_version: reference.api_version.clone(),
        kind: reference.kind.clone(),
        namespace: namespace.to_owned(),
        name: reference.name.clone(),
        uid: text(object, "/metadata/uid").to_owned(),
    }
}

/// Why an object is not the planned one, if it is not.
pub(super) fn other_object(planned: &Target, object: &Value) -> Option<String> {
    (text(object, "/metadata/uid") != planned.uid)
        .then(|| format!("{} was deleted and made anew since it was planned", planned.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(api_version: &str, kind: &str) -> ObjectRef {
        ObjectRef { api_version: api_version.to_owned(), kind: kind.to_owned(), name: "main".to_owned() }
    }

    #[test]
    fn a_kind_is_typed_so_that_it_means_no_other() {
        for (api_version, kind, typed) in [
            ("v1", "ConfigMap", "configmap"),
            ("apps/v1", "Deployment", "deployment"),
            ("test.example/v1", "Kitchen", "kitchen.test.example"),
            ("other.example/v1", "Deployment", "deployment.other.example"),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterrole.rbac.authorization.k8s.io"),
        ] {
            assert_eq!(object(api_version, kind).typed(), typed);
        }
    }

    #[test]
    fn what_is_not_there_is_looked_for_in_its_namespace() {
        let kitchen = object("test.example/v1", "Kitchen");
        let mut seen = Seen::default();
        seen.add(Query::Object(kitchen.clone()), Answer::Object(None));
        let said = |seen: &Seen| seen.object(&kitchen).unwrap_err().to_string();
        let words = "Kitchen/main does not exist in this namespace; look with: kubectl get";
        assert_eq!(said(&seen), format!("{words} kitchen.test.example"));
        assert_eq!(said(&seen.clone().within("shop")), format!("{words} -n shop kitchen.test.example"));
    }
}
