//! One POST to one URL that is a secret: it is read from its file each time and never leaves this module.
//!
//! No redirect is followed and no proxy asked: where the message goes is what was looked up and judged here. Errors are
//! words of ours, since those of libraries carry addresses.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// The longest URL, in bytes.
const LONGEST_URL: u64 = 4096;
/// How much of an answer is ever in memory, in bytes: its head. The body is not read.
const LARGEST_HEAD: usize = 16 * 1024;
/// It takes no field that it does not know, so it is sent the text alone.
const TEXT_ONLY: &str = "chat.googleapis.com";

/// Where notifications are sent.
pub struct Webhook {
    /// The file that holds the URL.
    file: PathBuf,
    /// Whether http, loopback and link-local addresses are fine.
    insecure: bool,
}

/// Why a message did not arrive. Says nothing of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The file is not there, or cannot be read.
    #[error("the file with the URL cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// What is in the file may not be used.
    #[error("the file with the URL holds {0}")]
    Unfit(&'static str),
    /// The address is one that nobody is told at.
    #[error("the URL leads to a loopback or link-local address, which takes --notify-insecure")]
    Forbidden,
    /// The name was not found.
    #[error("the host of the URL was not found")]
    Unknown,
    /// No connection.
    #[error("no connection: {0}")]
    Unreachable(io::ErrorKind),
    /// No TLS: a certificate, mostly.
    #[error("no TLS connection: the certificate is not trusted, is of another host, or TLS is not spoken there")]
    Untrusted,
    /// No answer.
    #[error("the connection was closed without an answer")]
    Silent,
    /// An answer other than success.
    #[error("the answer was HTTP {0}")]
    Answered(u16),
    /// Too slow.
    #[error("no answer in time")]
    Late,
}

impl Failure {
    /// Whether there is no address that may be used.
    pub fn is_unusable(self) -> bool {
        matches!(self, Self::Unreadable(_) | Self::Unfit(_) | Self::Forbidden)
    }

    /// Whether the same message may be taken a little later.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Answered(code) => matches!(code, 408 | 429 | 500..),
            Self::Unknown | Self::Unreachable(_) | Self::Untrusted | Self::Silent | Self::Late => true,
            Self::Unreadable(_) | Self::Unfit(_) | Self::Forbidden => false,
        }
    }
}

impl Webhook {
    /// The webhook whose URL this file holds. `insecure`: http, loopback and link-local addresses are fine, too.
    pub fn new(file: &Path, insecure: bool) -> Self {
        Self { file: file.to_owned(), insecure }
    }

    /// The URL as it is in the file now.
    pub(super) async fn target(&self) -> Result<Target, Failure> {
        let file = self.file.clone();
        // A thread for it: the file may be on a disk that hangs.
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            File::open(file)?.take(LONGEST_URL + 1).read_to_string(&mut text).map(|_| text)
        });
        let text = read.await.map_err(|_| Failure::Unreadable(io::ErrorKind::Other))?;
        Target::parse(&text.map_err(|error| Failure::Unreadable(error.kind()))?, self.insecure)
    }

    /// Sends a message: `whole` to whoever takes any field, `text` to whoever takes that alone.
    pub(super) async fn post(&self, whole: &str, text: &str) -> Result<(), Failure> {
        let target = self.target().await?;
        let stream = target.connect(self.insecure).await?;
        let body = if target.host == TEXT_ONLY { text } else { whole };
        let request = Request::post(target.path)
            .header(HOST, target.authority)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("firstaid/", env!("CARGO_PKG_VERSION")))
            .body(body.to_owned())
            .map_err(|_| Failure::Unfit("no URL"))?;
        if !target.tls {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(target.host).map_err(|_| Failure::Unfit("no name of a host"))?;
        let stream = trusting().await?.connect(name, stream).await.map_err(|_| Failure::Untrusted)?;
        exchange(stream, request).await
    }
}

/// A URL in its parts. No `Debug`: it is a secret.
pub(super) struct Target {
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// Host and port, as they are written in the URL.
    authority: String,
    /// With the query.
    path: String,
}

impl Target {
    fn parse(text: &str, insecure: bool) -> Result<Self, Failure> {
        if u64::try_from(text.len()).is_ok_and(|length| length > LONGEST_URL) {
            return Err(Failure::Unfit("more than a URL: it is longer than 4096 bytes"));
        }
        let url: Uri = text.trim().parse().map_err(|_| Failure::Unfit("no URL"))?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(Failure::Unfit("no URL with a scheme and a host"));
        };
        let tls = match scheme {
            "https" => true,
            "http" if insecure => false,
            "http" => return Err(Failure::Unfit("a URL with http, which takes --notify-insecure; use https")),
            _ => return Err(Failure::Unfit("a URL with another scheme than https")),
        };
        if authority.as_str().contains('@') {
            return Err(Failure::Unfit("a URL with a user name"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_lowercase();
        if host.is_empty() {
            return Err(Failure::Unfit("a URL without a host"));
        }
        Ok(Self {
            tls,
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.to_string(),
            path: url.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            host,
        })
    }

    /// Connects to the very addresses that were judged: whoever answers for the name cannot lead elsewhere meanwhile.
    async fn connect(&self, insecure: bool) -> Result<TcpStream, Failure> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await.map_err(|_| Failure::Unknown)?;
        let addresses: Vec<SocketAddr> = found.collect();
        if !insecure && addresses.iter().any(|address| is_near(address.ip())) {
            return Err(Failure::Forbidden);
        }
        if addresses.is_empty() {
            return Err(Failure::Unknown);
        }
        TcpStream::connect(addresses.as_slice()).await.map_err(|error| Failure::Unreachable(error.kind()))
    }
}

/// Whether an address is of this machine or of its link alone: there a cloud tells machines their secrets.
fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.octets().first() == Some(&0),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local(),
    }
}

/// TLS with the certificates that this machine trusts. Read anew each time: messages are few, and in between nothing is
/// kept in memory.
async fn trusting() -> Result<TlsConnector, Failure> {
    let config = tokio::task::spawn_blocking(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
        Some(config.with_root_certificates(roots).with_no_client_auth())
    });
    let config = config.await.ok().flatten().ok_or(Failure::Untrusted)?;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Sends the request and waits for the head of the answer. Its body is left where it is.
async fn exchange<S>(stream: S, request: Request<String>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.max_buf_size(LARGEST_HEAD);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(|_| Failure::Silent)?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // It may have brought the answer before it ended.
        _ = connection => answer.await,
    };
    let status = answer.map_err(|_| Failure::Silent)?.status();
    if status.is_success() { Ok(()) } else { Err(Failure::Answered(status.as_u16())) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::loopback("127.0.0.1", true)]
    #[case::all_of_loopback("127.9.9.9", true)]
    #[case::metadata("169.254.169.254", true)]
    #[case::this_host("0.0.0.0", true)]
    #[case::loopback_6("::1", true)]
    #[case::this_host_6("::", true)]
    #[case::link_local_6("fe80::1", true)]
    #[case::end_of_link_local_6("febf::1", true)]
    #[case::mapped_loopback("::ffff:127.0.0.1", true)]
    #[case::mapped_metadata("::ffff:169.254.169.254", true)]
    #[case::cluster("10.96.0.10", false)]
    #[case::world("203.0.113.7", false)]
    #[case::world_6("2001:db8::1", false)]
    #[case::mapped_world("::ffff:203.0.113.7", false)]
    fn what_is_near(#[case] address: IpAddr, #[case] near: bool) {
        assert_eq!(is_near(address), near);
    }

    #[rstest]
    #[case::empty("", false, "no URL")]
    #[case::blank(" \n", false, "no URL")]
    #[case::path("/services/T0/B0", false, "no URL with")]
    #[case::host_alone("hooks.example.com", false, "no URL with")]
    #[case::http("http://hooks.example.com/x", false, "http,")]
    #[case::file("file:///etc/passwd", true, "no URL")]
    #[case::ftp("ftp://hooks.example.com/x", true, "another scheme")]
    #[case::user("https://u:p@hooks.example.com/x", true, "user name")]
    #[case::two("https://hooks.example.com/x\nhttps://other.example.com", true, "no URL")]
    fn what_is_no_url_is_said_without_it(#[case] text: &str, #[case] insecure: bool, #[case] said: &str) {
        let failure = Target::parse(text, insecure).err().unwrap();
        assert!(failure.is_unusable() && !failure.may_pass());
        let sentence = failure.to_string();
        assert!(sentence.contains(said), "{sentence}");
        assert!(!sentence.contains("example.com") && !sentence.contains("passwd"), "{sentence}");
    }

    #[test]
    fn a_url_is_taken_apart() {
        let slack = Target::parse("https://Hooks.Slack.com/services/T0/B0?x=1#f\n", false).unwrap();
        assert_eq!((slack.tls, slack.host.as_str(), slack.port), (true, "hooks.slack.com", 443));
        assert_eq!((slack.authority.as_str(), slack.path.as_str()), ("Hooks.Slack.com", "/services/T0/B0?x=1"));
        let local = Target::parse("http://[::1]:8080", true).unwrap();
        assert_eq!((local.tls, local.host.as_str(), local.port), (false, "::1", 8080));
        assert_eq!((local.authority.as_str(), local.path.as_str()), ("[::1]:8080", "/"));
        assert!(Target::parse(&format!("https://x/{}", "a".repeat(5000)), false).is_err());
    }

    #[rstest]
    #[case("https://127.0.0.1:1/x")]
    #[case("https://localhost:1/x")]
    #[case("https://[::ffff:169.254.169.254]/x")]
    #[case("https://2130706433:1/x")]
    #[tokio::test]
    async fn nobody_is_told_at_an_address_of_this_machine(#[case] url: &str) {
        let refused = Target::parse(url, false).unwrap().connect(false).await.err();
        assert_eq!(refused, Some(Failure::Forbidden));
    }
}
