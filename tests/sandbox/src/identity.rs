//! Who signs in: certificates for people and components, tokens for ServiceAccounts, and their kubeconfigs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

/// The issuer of ServiceAccount tokens, as the API server is told; also the only audience.
pub(crate) const TOKEN_ISSUER: &str = "https://kubernetes.default.svc";

/// The certificate authority and the token key of one sandbox, with the folder where its files are.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    token_key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Authority {
    /// Makes both keys and writes `ca.crt`, `sa.key` and `sa.pub`.
    pub(crate) fn new(folder: &Path) -> Result<Authority> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "firstaid sandbox");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();

        let token_pair = KeyPair::generate()?;
        let random = SystemRandom::new();
        let token_key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, token_pair.serialized_der(), &random)
                .map_err(|reason| anyhow!("the token key is refused: {reason}"))?;
        fs::write(folder.join("ca.crt"), &certificate)?;
        fs::write(folder.join("sa.key"), token_pair.serialize_pem())?;
        fs::write(folder.join("sa.pub"), token_pair.public_key_pem())?;
        Ok(Authority { folder: folder.to_owned(), issuer: Issuer::new(params, key), certificate, token_key, random })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes `server.crt` and `server.key` of the API server.
    pub(crate) fn write_server_certificate(&self) -> Result<()> {
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (certificate, key) = self.sign(params)?;
        fs::write(self.file("server.crt"), certificate)?;
        fs::write(self.file("server.key"), key)?;
        Ok(())
    }

    /// A kubeconfig with a certificate for this user. One group at most: rcgen keeps one value per kind of name.
    pub(crate) fn kubeconfig_for_user(&self, server: &str, user: &str, group: Option<&str>) -> Result<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (certificate, key) = self.sign(params)?;
        let credential = json!({
            "client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key),
        });
        self.kubeconfig(server, user, &credential)
    }

    /// A kubeconfig with a token for this ServiceAccount. Signed here and not asked of the API server: the shipped
    /// policies let nobody mint a token of the operator. The uid must be that of the existing ServiceAccount.
    pub(crate) fn kubeconfig_for_service_account(
        &self,
        server: &str,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<String> {
        let mut id = [0_u8; 16];
        self.random.fill(&mut id).map_err(|_| anyhow!("no random numbers"))?;
        let now = seconds_since_1970()?;
        let user = format!("system:serviceaccount:{namespace}:{name}");
        let claims = json!({
            "iss": TOKEN_ISSUER,
            "sub": user,
            "aud": [TOKEN_ISSUER],
            "iat": now,
            "nbf": now,
            "exp": now + 24 * 3600,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
        });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(json!({"alg": "ES256", "typ": "JWT"}).to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.token_key.sign(&self.random, signed.as_bytes()).map_err(|_| anyhow!("signing a token"))?;
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        self.kubeconfig(server, &user, &json!({"token": token}))
    }

    fn sign(&self, params: CertificateParams) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer).context("signing a certificate")?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// Everything inside the file, so that it can be copied elsewhere. JSON is YAML.
    fn kubeconfig(&self, server: &str, user: &str, credential: &Value) -> Result<String> {
        let cluster = json!({"server": server, "certificate-authority-data": STANDARD.encode(&self.certificate)});
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sandbox", "cluster": cluster}],
            "users": [{"name": user, "user": credential}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user}}],
            "current-context": "sandbox",
        });
        Ok(serde_json::to_string_pretty(&config)?)
    }
}

#[expect(clippy::disallowed_methods, reason = "a token is valid from now on")]
fn seconds_since_1970() -> Result<u64> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())
}
