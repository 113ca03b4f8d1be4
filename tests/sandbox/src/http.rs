//! One request to a program of the sandbox on 127.0.0.1, in as few words as HTTP has.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The status code and the body of the answer.
pub(crate) fn exchange(port: u16, verb: &str, path: &str, headers: &[&str], body: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = format!("{verb} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n");
    headers.iter().for_each(|header| request.extend([*header, "\r\n"]));
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    write!(stream, "{request}\r\n")?;
    // Whoever is refused before the end of a long body is answered, and not heard any further.
    let _ = stream.write_all(body.as_bytes());
    let mut answer = String::new();
    // HTTP/1.0: the answer ends where the connection ends.
    stream.read_to_string(&mut answer)?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { bail!("no HTTP answer: {answer}") };
    let code = head.split(' ').nth(1).context("no status code")?.parse()?;
    Ok((code, body.to_owned()))
}
