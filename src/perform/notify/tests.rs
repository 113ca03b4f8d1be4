use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;

use super::*;

const WITHIN: Duration = Duration::from_secs(20);
/// A busy machine has its time, and nobody waits for another try.
const PACE: Pace = Pace { deadline: WITHIN, pauses: [Duration::from_millis(10), Duration::from_millis(20)] };

fn notice(text: &str) -> Notice {
    Notice { text: text.to_owned(), run: "r".to_owned(), ..Notice::of(Happening::Ended, Timestamp::UNIX_EPOCH) }
}

/// A file of this test with this in it, which goes with it.
struct Secret(PathBuf);

impl Secret {
    fn of(test: &str, url: &str) -> Self {
        let file = std::env::temp_dir().join(format!("firstaid-notify-{}-{test}", std::process::id()));
        std::fs::write(&file, url).unwrap();
        Self(file)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Answers each request with the next of these, and the last of them for ever; an empty one is none: it hangs. What it
/// was sent comes out of the channel.
fn receiver(answers: &[&'static str]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/services/T0/token", listener.local_addr().unwrap());
    let answers = answers.to_vec();
    let (sent, received) = channel();
    thread::spawn(move || {
        let mut open = Vec::new();
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let request = read(&mut stream);
            let answer = answers.get(number).or(answers.last()).copied().unwrap_or_default();
            if sent.send(request).is_err() {
                return;
            }
            // Whoever has heard enough is gone.
            let _ = stream.write_all(answer.as_bytes());
            if answer.is_empty() {
                open.push(stream);
            }
        }
    });
    (url, received)
}

/// One request: its head, and a body as long as that says.
fn read(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return request;
            }
        }
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "no whole request: {request}");
        request += std::str::from_utf8(&buffer[..read]).unwrap();
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n";

async fn delivered(test: &str, answers: &[&'static str]) -> (Notified, Vec<String>) {
    let (url, received) = receiver(answers);
    let secret = Secret::of(test, &url);
    let result = deliver(&notice("it is told"), &Webhook::new(&secret.0, true), PACE).await;
    (result, received.try_iter().collect())
}

#[tokio::test]
async fn a_message_is_one_json_object_in_one_post() {
    let (result, requests) = delivered("one", &[OK]).await;
    assert_eq!(result, Notified::Sent);
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /services/T0/token HTTP/1.1\r\n"), "{head}");
    let head = head.to_lowercase();
    assert!(head.contains("host: 127.0.0.1:") && head.contains("content-type: application/json"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body, json!({"text": "it is told", "event": "Ended", "run": "r", "at": "1970-01-01T00:00:00Z"}));
}

#[tokio::test]
async fn what_may_pass_is_tried_three_times() {
    let (result, requests) = delivered("busy", &[BUSY]).await;
    assert_eq!((result, requests.len()), (Notified::Failed, 3));
    let (result, requests) = delivered("again", &[BUSY, "no HTTP\r\n\r\n", OK]).await;
    assert_eq!((result, requests.len()), (Notified::Sent, 3));
}

#[tokio::test]
async fn what_hangs_is_given_up() {
    let (url, received) = receiver(&[""]);
    let secret = Secret::of("hangs", &url);
    let pace = Pace { deadline: Duration::from_millis(200), ..PACE };
    assert_eq!(deliver(&notice("x"), &Webhook::new(&secret.0, true), pace).await, Notified::Failed);
    assert!(received.try_iter().count() <= 3);
}

#[tokio::test]
async fn what_is_refused_is_not_tried_again_and_no_redirect_is_followed() {
    for answer in [
        "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 307 There\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    ] {
        let (result, requests) = delivered("refused", &[answer]).await;
        assert_eq!((result, requests.len()), (Notified::Failed, 1), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_no_matter() {
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nmore\r\n";
    assert_eq!(delivered("endless", &[endless]).await.0, Notified::Sent);
    let head: &'static str = Box::leak(format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(1 << 20)).into_boxed_str());
    let (url, _received) = receiver(&[head]);
    let secret = Secret::of("head", &url);
    assert_eq!(deliver(&notice("x"), &Webhook::new(&secret.0, true), PACE).await, Notified::Failed);
}

#[tokio::test]
async fn the_url_is_read_anew_for_each_message() {
    let ((first, one), (second, two)) = (receiver(&[OK]), receiver(&[OK]));
    let secret = Secret::of("rotated", &format!("{first}\n"));
    let webhook = Webhook::new(&secret.0, true);
    assert_eq!(deliver(&notice("before"), &webhook, PACE).await, Notified::Sent);
    std::fs::write(&secret.0, &second).unwrap();
    assert_eq!(deliver(&notice("after"), &webhook, PACE).await, Notified::Sent);
    assert!(one.recv().unwrap().contains("before") && two.recv().unwrap().contains("after"));
    std::fs::write(&secret.0, "not set yet").unwrap();
    assert_eq!(deliver(&notice("x"), &webhook, PACE).await, Notified::Unusable);
    std::fs::remove_file(&secret.0).unwrap();
    assert_eq!(deliver(&notice("x"), &webhook, PACE).await, Notified::Unusable);
    assert_eq!(deliver(&notice("x"), &Webhook::new(&secret.0, false), PACE).await, Notified::Unusable);
}

#[tokio::test]
async fn a_plain_or_near_address_is_not_told_unless_it_is_allowed() {
    let (url, received) = receiver(&[OK]);
    for url in [url.clone(), url.replace("http:", "https:")] {
        let secret = Secret::of("near", &url);
        assert_eq!(deliver(&notice("x"), &Webhook::new(&secret.0, false), PACE).await, Notified::Unusable);
    }
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn the_oldest_is_dropped_and_counted_and_nobody_waits() {
    // Nothing is sent before this task lets another one run: it holds the only thread.
    let (url, received) = receiver(&[OK]);
    let secret = Secret::of("queue", &url);
    let metrics = Metrics::default();
    let notifier = Notifier::start_at(PACE, Some(Webhook::new(&secret.0, true)), metrics.clone());
    for number in 0..MOST_WAITING + 4 {
        notifier.tell(notice(&format!("number {number}.")));
    }
    notifier.drain(WITHIN).await;
    let told: Vec<String> = received.try_iter().collect();
    assert_eq!(told.len(), MOST_WAITING);
    assert!(told[0].contains("number 4."), "{}", told[0]);
    assert!(told.last().unwrap().contains(&format!("number {}.", MOST_WAITING + 3)));
    let text = metrics.encode().unwrap();
    assert!(text.contains("firstaid_notifications_total{result=\"dropped\"} 4\n"), "{text}");
    assert!(text.contains(&format!("firstaid_notifications_total{{result=\"sent\"}} {MOST_WAITING}\n")), "{text}");
}

#[tokio::test]
async fn where_there_is_no_webhook_nobody_is_told() {
    let notifier = Notifier::start(None, Metrics::default());
    notifier.tell(notice("x"));
    notifier.drain(WITHIN).await;
}
