//! What a request asks of the API server, read from its method and its path.

use http::{Method, Request, Uri};

/// A request as the API server would name it in its audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`; or the method, where the path is of no resource.
    pub verb: String,
    /// The resource in the plural, with its subresource: `runbookruns/status`. Empty where the path is of none.
    pub resource: String,
    /// Namespace; empty where there is none.
    pub namespace: String,
    /// Name of the object; empty where there is none.
    pub name: String,
    /// As whom it is asked, where somebody is impersonated.
    pub user: String,
    /// Whether nothing is to be stored.
    pub dry_run: bool,
}

impl Asked {
    /// What the request asks.
    pub fn of<B>(request: &Request<B>) -> Self {
        let user = request.headers().get("impersonate-user").and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self { user: user.to_owned(), ..Self::parse(request.method(), request.uri()) }
    }

    fn parse(method: &Method, uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let has = |word: &str| query.split('&').any(|part| part == word || part.starts_with(&format!("{word}=")));
        let watches = query.split('&').any(|part| part == "watch=true" || part == "watch=1");
        let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
        match parts.next() {
            Some("api") => {
                parts.next();
            }
            Some("apis") => {
                parts.next();
                parts.next();
            }
            _ => return Self { verb: method.as_str().to_lowercase(), ..Self::default() },
        }
        let mut parts: Vec<&str> = parts.collect();
        let mut namespace = "";
        if let ["namespaces", within, rest @ ..] = parts.as_slice()
            && !rest.is_empty()
        {
            namespace = within;
            parts = rest.to_vec();
        }
        let (resource, name, subresource) = match parts.as_slice() {
            [] => return Self { verb: method.as_str().to_lowercase(), ..Self::default() },
            [resource] => (*resource, "", ""),
            [resource, name] => (*resource, *name, ""),
            [resource, name, subresource, ..] => (*resource, *name, *subresource),
        };
        let verb = match (method.as_str(), name.is_empty()) {
            ("GET", _) if watches => "watch",
            ("GET", true) => "list",
            ("GET", false) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "deletecollection",
            ("DELETE", false) => "delete",
            (other, _) => other,
        };
        let resource = if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
        Self {
            verb: verb.to_owned(),
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            user: String::new(),
            dry_run: has("dryRun"),
        }
    }

    /// Whether it changes anything that is stored.
    pub fn writes(&self) -> bool {
        !self.dry_run && matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dry = if self.dry_run { " (dry run)" } else { "" };
        write!(out, "{} {}{dry}", self.verb, self.resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, uri: &str) -> String {
        let asked = Asked::parse(&method.parse().unwrap(), &uri.parse().unwrap());
        format!("{asked} {}/{}", asked.namespace, asked.name)
    }

    #[test]
    fn requests_are_named_as_the_audit_log_names_them() {
        let ours = "/apis/firstaid.dev/v1alpha1";
        for (method, uri, named) in [
            ("GET", &*format!("{ours}/namespaces/shop/runbookruns/r"), "get runbookruns shop/r"),
            ("GET", &*format!("{ours}/runbookruns?limit=50"), "list runbookruns /"),
            (
                "GET",
                &*format!("{ours}/namespaces/shop/runbookruns?watch=true&timeoutSeconds=30"),
                "watch runbookruns shop/",
            ),
            ("PUT", &*format!("{ours}/namespaces/shop/runbookruns/r/status?"), "update runbookruns/status shop/r"),
            ("POST", &*format!("{ours}/namespaces/shop/approvals?dryRun=All"), "create approvals (dry run) shop/"),
            ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web", "patch deployments shop/web"),
            ("GET", "/api/v1/namespaces/kube-system", "get namespaces /kube-system"),
            ("GET", "/api/v1/namespaces/s/configmaps/firstaid-brake", "get configmaps s/firstaid-brake"),
            ("GET", "/readyz", "get  /"),
            ("GET", "/apis/apps/v1", "get  /"),
        ] {
            assert_eq!(asked(method, uri), named, "{method} {uri}");
        }
    }
}
