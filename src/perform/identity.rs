//! Acting as a Runbook's ServiceAccount: a client for each, by impersonation.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::{Client, Config};

/// Clients by ServiceAccount. One for each identity, and nothing shared between them.
pub struct Identities {
    config: Config,
    clients: Mutex<HashMap<(String, String), Client>>,
}

impl Identities {
    /// Identities on the operator's own connection settings, without retries.
    pub fn new(mut config: Config) -> Self {
        config.default_retry = false;
        Self { config, clients: Mutex::default() }
    }

    /// The client that acts as this ServiceAccount.
    ///
    /// Only the user is set: any group would leave the constrained mode of impersonation for the legacy one.
    ///
    /// # Errors
    /// Where no client can be made of the configuration.
    pub fn client(&self, namespace: &str, service_account: &str) -> kube::Result<Client> {
        let key = (namespace.to_owned(), service_account.to_owned());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:{service_account}"));
        let client = Client::try_from(config)?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}
