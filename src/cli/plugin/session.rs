//! The connection to a cluster, as somebody: read, write, and who that somebody is. What goes wrong is said in sentences.
#![allow(clippy::disallowed_types)]

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ended::{Ended, Failure};
use super::out::Screen;
use super::usual::Usual;
use crate::perform::person::{self, Sending};
use crate::perform::{list_stored, now};

/// An object, as its kind says and as the server has it.
#[derive(Clone, Debug)]
pub struct Found<K> {
    /// As its kind says.
    pub object: K,
    /// As the server has it.
    pub raw: Value,
}

/// Who somebody is, as the API server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Me {
    /// User name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

/// A connection to a cluster.
pub struct Session {
    client: Client,
    timeout: Duration,
    /// The context of the kubeconfig, or what it was made from.
    pub context: String,
    /// The namespace that was asked for, or that of the context.
    pub namespace: String,
    /// Where it is shown.
    pub screen: Screen,
    operator: (String, String),
}

impl Session {
    /// Connects, as the options say. Nothing is asked of the server yet.
    ///
    /// # Errors
    /// Where there is no configuration, or it is not understood.
    pub async fn open(usual: &Usual) -> Result<Self, Failure> {
        let (mut config, context) = configured(usual).await?;
        // A write that a client sends twice is one that nobody decided.
        config.default_retry = false;
        config.connect_timeout = Some(usual.request_timeout);
        if let Some(user) = &usual.act_as {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = (!usual.act_as_group.is_empty()).then(|| usual.act_as_group.clone());
        }
        let namespace = usual.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| {
            Failure::error(format!("making a client of the kubeconfig: {error}")).next("see: kubectl config view")
        })?;
        Ok(Self {
            client,
            timeout: usual.request_timeout,
            context,
            namespace,
            screen: Screen::new(usual.color, usual.icons),
            operator: (usual.operator_namespace.clone(), usual.operator_lease.clone()),
        })
    }

    /// The client, for what reads on its own.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        now()
    }

    /// The namespace to list: empty for all.
    pub fn place(&self, all: bool) -> &str {
        if all { "" } else { &self.namespace }
    }

    async fn timely<T>(&self, doing: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer.map_err(|error| Failure::of(&error, doing)),
            Err(_) => Err(late(doing, self.timeout)),
        }
    }

    /// The same for a write: without an answer it is not known whether it was done.
    async fn once<T>(&self, doing: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer.map_err(|error| match &error {
                kube::Error::Api(_) => Failure::of(&error, doing),
                _ => Failure::of(&error, doing).next("it may have been done all the same: look before you repeat it"),
            }),
            Err(_) => {
                Err(late(doing, self.timeout).next("it may have been done all the same: look before you repeat it"))
            }
        }
    }

    /// An object.
    ///
    /// # Errors
    /// Where it is not there, or cannot be read.
    pub async fn get<K>(&self, namespace: &str, name: &str) -> Result<Found<K>, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.find(namespace, name).await?.ok_or_else(|| {
            let (kind, plural) = (K::kind(&()), K::plural(&()));
            Failure::error(format!("there is no {kind} {name} in {namespace}"))
                .next(format!("see what there is: kubectl get {plural}.{} -n {namespace}", K::group(&())))
        })
    }

    /// An object, if it is there.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn find<K>(&self, namespace: &str, name: &str) -> Result<Option<Found<K>>, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let resource = ApiResource::erase::<K>(&());
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource);
        let doing = format!("reading {} {name} in {namespace}", K::kind(&()));
        let Some(object) = self.timely(&doing, api.get_opt(name)).await? else { return Ok(None) };
        let raw = serde_json::to_value(object).map_err(|error| Failure::error(format!("{doing}: {error}")))?;
        typed(raw).map(Some)
    }

    /// All objects of a kind in a namespace, in all where it is empty, as far as the selectors say.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn list<K>(
        &self,
        namespace: &str,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Vec<Found<K>>, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.list_known(namespace, labels, fields).await.map(|(found, _)| found)
    }

    /// The same, and how many there are beside these that this version cannot read: for whoever would say of none that there
    /// is none.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn list_known<K>(
        &self,
        namespace: &str,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<(Vec<Found<K>>, usize), Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let params = ListParams {
            label_selector: labels.map(str::to_owned),
            field_selector: fields.map(str::to_owned),
            ..ListParams::default()
        };
        let doing = format!(
            "listing {} in {}",
            K::plural(&()),
            if namespace.is_empty() { "all namespaces" } else { namespace }
        );
        let listed = list_stored::<K>(&self.client, namespace, params);
        let (found, unread) = known(self.timely(&doing, listed).await?);
        unread.iter().for_each(|failure| self.screen.aside(&format!("warning: left out: {}", failure.said)));
        Ok((found, unread.len()))
    }

    /// Sets annotations on an object, once. Where the cluster does not fill in who does it, its refusal says what is to be
    /// added, and that is added: the name is the server's own.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn annotate<K: Resource<DynamicType = ()>>(
        &self,
        name: &str,
        marks: &[(&str, &str)],
        sending: Sending,
    ) -> Result<Value, Failure> {
        let doing = format!("marking {} {name}", K::kind(&()));
        let mut marks: Vec<(String, String)> =
            marks.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        // Who, and with which credential: each is asked for by itself.
        for _ in 0..2 {
            let sent = person::annotate::<K>(&self.client, &self.namespace, name, &marks, sending);
            match self.once(&doing, sent).await {
                Err(failure) => match wanted(&failure.said) {
                    Some(mark) if !marks.iter().any(|(key, _)| *key == mark.0) => marks.push(mark),
                    _ => return Err(failure),
                },
                Ok(object) => return Ok(object),
            }
        }
        self.once(&doing, person::annotate::<K>(&self.client, &self.namespace, name, &marks, sending)).await
    }

    /// Changes an object by a merge patch, once.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn merge<K: Resource<DynamicType = ()>>(&self, name: &str, patch: &Value) -> Result<Value, Failure> {
        let doing = format!("changing {} {name}", K::kind(&()));
        self.once(&doing, person::merge::<K>(&self.client, &self.namespace, name, patch, Sending::Real)).await
    }

    /// Makes an object, once.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn make<K: Resource<DynamicType = ()>>(
        &self,
        object: &Value,
        sending: Sending,
    ) -> Result<Value, Failure> {
        let doing = format!("making a {}", K::kind(&()));
        self.once(&doing, person::make::<K>(&self.client, &self.namespace, object, sending)).await
    }

    /// Who we are, as the API server says.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn me(&self) -> Result<Me, Failure> {
        let review = self.timely("asking who you are", person::who_am_i(&self.client)).await?;
        let user = review.status.and_then(|status| status.user_info).unwrap_or_default();
        Ok(Me { name: user.username.unwrap_or_default(), groups: user.groups.unwrap_or_default() })
    }

    /// Whether the API server lets us do this with a kind of ours. `subresource` and `name` may be empty.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn may(
        &self,
        verb: &str,
        resource: &str,
        subresource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<bool, Failure> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let what = ResourceAttributes {
            group: text("firstaid.dev"),
            resource: text(resource),
            subresource: text(subresource),
            verb: text(verb),
            namespace: text(namespace),
            name: text(name),
            ..ResourceAttributes::default()
        };
        self.timely("asking what you may do", person::may_i(&self.client, what)).await
    }

    /// When the operator was last seen to work, by its Lease. `None` where it cannot be told: most people may not read it.
    pub async fn operator_seen(&self) -> Option<Timestamp> {
        let leases = Api::<Lease>::namespaced(self.client.clone(), &self.operator.0);
        let lease = self.timely("reading the operator's lease", leases.get(&self.operator.1)).await.ok()?;
        lease.spec?.renew_time.map(|time| time.0)
    }

    /// The raw answer of the server to a path, as JSON.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn path(&self, path: &str) -> Result<Value, Failure> {
        let request =
            axum::http::Request::get(path).body(Vec::new()).map_err(|error| Failure::error(error.to_string()))?;
        self.timely(&format!("reading {path}"), self.client.request(request)).await
    }
}

fn late(doing: &str, timeout: Duration) -> Failure {
    Failure {
        ended: Ended::TimedOut,
        said: format!("{doing}: no answer within {} s", timeout.as_secs()),
        next: Vec::new(),
    }
    .next("wait longer with --request-timeout; does the API server answer? see: kubectl cluster-info")
}

/// Those that this version knows, and why it does not know the others: one of them must not hide all the rest.
fn known<K: DeserializeOwned>(raw: Vec<Value>) -> (Vec<Found<K>>, Vec<Failure>) {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for object in raw {
        match typed(object) {
            Ok(object) => found.push(object),
            Err(failure) => unread.push(failure),
        }
    }
    (found, unread)
}

fn typed<K: DeserializeOwned>(raw: Value) -> Result<Found<K>, Failure> {
    let object = serde_json::from_value(raw.clone()).map_err(|error| {
        let name = raw.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("an object").to_owned();
        Failure::error(format!("{name} is of a shape that this version does not know: {error}"))
            .next("is the plugin older than the operator? see: kubectl firstaid version")
    })?;
    Ok(Found { object, raw })
}

/// What a refusal asks to be added to a mark: `this cluster does not fill in names: add by=bob to the command`.
fn wanted(said: &str) -> Option<(String, String)> {
    let (_, rest) = said.split_once("this cluster does not fill ")?;
    let (_, rest) = rest.split_once(": add ")?;
    let (mark, _) = rest.rsplit_once(" to the command")?;
    let (key, value) = mark.split_once('=')?;
    matches!(key, "by" | "breakglass-by" | "breakglass-credential").then(|| (key.to_owned(), value.to_owned()))
}

async fn configured(usual: &Usual) -> Result<(Config, String), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::error(format!("reading the kubeconfig: {error}")).next("see: kubectl config view")
    };
    let kubeconfig = match &usual.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig = match kubeconfig {
        Ok(kubeconfig) => kubeconfig,
        // In a pod there is none, and none is needed.
        Err(error) if usual.kubeconfig.is_none() && usual.context.is_none() => {
            let config = Config::incluster().map_err(|_| unreadable(&error))?;
            return Ok((config, "in-cluster".to_owned()));
        }
        Err(error) => return Err(unreadable(&error)),
    };
    let context = usual.context.clone().or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
    let options = KubeConfigOptions { context: usual.context.clone(), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unreadable(&error))?;
    Ok((config, context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_asks_for_is_added_and_nothing_else() {
        let said = |text: &str| wanted(text).map(|(key, value)| format!("{key}={value}"));
        assert_eq!(
            said("this cluster does not fill in names: add by=bob smith to the command").as_deref(),
            Some("by=bob smith")
        );
        assert_eq!(
            said("this cluster does not fill it in: add breakglass-credential=X509SHA256=ab to the command").as_deref(),
            Some("breakglass-credential=X509SHA256=ab")
        );
        assert_eq!(said("you are bob: write by=bob, or leave by out where the cluster fills it in"), None);
        assert_eq!(said("this cluster does not fill in names: add role=root to the command"), None);
    }

    #[test]
    fn what_is_not_known_is_counted_and_hides_nothing() {
        use crate::api::ActionRecord;

        // As an API server stored it.
        let crisis = include_str!("../../retro/tests/crisis.jsonl");
        let records = crisis.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut records: Vec<Value> = records.filter(|object| object["kind"] == "ActionRecord").collect();
        let (all, unread) = known::<ActionRecord>(records.clone());
        assert_eq!((all.len(), unread.len()), (records.len(), 0));
        records[0]["status"]["state"] = serde_json::json!("Unheard");
        let (found, unread) = known::<ActionRecord>(records);
        assert_eq!((found.len(), unread.len()), (all.len() - 1, 1));
        assert!(unread[0].said.contains("of a shape that this version does not know"), "{}", unread[0].said);
    }
}
