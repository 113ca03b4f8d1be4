//! On a terminal: what is asked before anything is decided, and the screen that follows a run.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::{firstaid, made, plugin, room};
use crate::town::{Leg, Town, WITHIN, text};

/// The plugin on a terminal of its own.
struct Terminal {
    child: std::process::Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn start(town: &Town, person: &str, args: &[&str]) -> Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let theirs: OwnedFd = open(ptsname(&ours, Vec::new())?, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
        tcsetwinsize(&theirs, Winsize { ws_row: 12, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 })?;
        let mut command = Command::new(plugin());
        command.args(args).args(["-n", &town.namespace]);
        command.env("KUBECONFIG", town.sandbox.kubeconfig(person)).env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        command.env_remove("NO_COLOR").stdin(Stdio::from(theirs.try_clone()?)).stdout(Stdio::from(theirs.try_clone()?));
        let child = command.stderr(Stdio::from(theirs)).spawn()?;
        // The other end is held by the command alone from here on: it ends when that does.
        drop(command);
        let (keyboard, mut shown) = (File::from(ours.try_clone()?), File::from(ours));
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read) = shown.read(&mut buffer) {
                if read == 0 || sender.send(buffer[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, keyboard, screen, seen: String::new() })
    }

    /// Waits until these words are on the screen.
    fn until(&mut self, words: &str) -> Result<()> {
        let end = Instant::now() + WITHIN;
        while !self.seen.contains(words) {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => bail!("{words:?} did not come: {}", self.seen),
            }
        }
        Ok(())
    }

    fn types(&mut self, line: &str) -> Result<()> {
        self.keyboard.write_all(line.as_bytes()).context("typing")
    }

    fn signal(&self, name: &str) -> Result<()> {
        let killed = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status()?;
        ensure!(killed.success());
        Ok(())
    }

    /// How it ended, and all that was on the screen.
    fn end(mut self) -> Result<(i32, String)> {
        let status = self.child.wait()?;
        while let Ok(bytes) = self.screen.recv_timeout(Duration::from_secs(5)) {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        Ok((status.code().context("a code")?, self.seen))
    }
}

const OTHER: &str = "\u{1b}[?1049h";
const BACK: &str = "\u{1b}[?1049l";

#[test]
fn on_a_terminal_it_asks_and_follows() -> Result<()> {
    let town = Town::open(Leg::Stamping, "plugin-terminal")?;
    town.runbook(&room("room"))?;
    let run = made(&firstaid(&town, "alice", &["run", "room", "--reason", "queue grows"])?.ended(0)?)?;
    town.wait_phase(&run, "Waiting")?;
    let name = text(&town.ballot(&run)?, "/metadata/name").to_owned();

    let mut bob = Terminal::start(&town, "bob", &["approve", &name])?;
    bob.until("Why?")?;
    ensure!(
        bob.seen.contains("scale Deployment/checkout 4 -> 7"),
        "the plan is shown before anything is asked: {}",
        bob.seen
    );
    bob.types("capacity is free\n")?;
    bob.until("Approve as bob? Type approve:")?;
    bob.types("yes\n")?;
    let (code, seen) = bob.end()?;
    ensure!(code == 1 && seen.contains("error: nothing was done"), "{code}: {seen}");
    ensure!(
        town.get("apv", &name)?.pointer("/metadata/annotations/approve").is_none(),
        "the word was not typed in full"
    );

    // Whoever stops looking has not seen the end; the last frame stays.
    let mut viewer = Terminal::start(&town, "viewer", &["get", "run", &run, "-w"])?;
    viewer.until("Waiting")?;
    viewer.signal("INT")?;
    let (code, seen) = viewer.end()?;
    let (_, after) = seen.split_once(BACK).context("the screen of before")?;
    ensure!(code == 1 && after.contains("Waiting"), "{code}: {seen}");

    let mut alice = Terminal::start(&town, "alice", &["get", "run", &run, "-w"])?;
    alice.until("Waiting")?;
    let mut bob = Terminal::start(&town, "bob", &["approve", &name, "--reason", "capacity is free"])?;
    bob.until("Type approve:")?;
    bob.types("approve\n")?;
    let (code, seen) = bob.end()?;
    ensure!(code == 0 && seen.contains("approved by bob (1 of 1)"), "{code}: {seen}");
    let (code, seen) = alice.end()?;
    ensure!(code == 0 && seen.contains(OTHER) && seen.contains("\u{1b}[32m"), "{code}: {seen}");
    let (frames, last) = seen.split_once(BACK).context("the screen of before")?;
    ensure!(last.contains("Succeeded") && last.contains("└── "), "the last frame stays: {last}");
    let tallest = frames.split("\u{1b}[H").map(|frame| frame.matches('\n').count()).max();
    ensure!(tallest < Some(12), "no frame is higher than the screen: {tallest:?}");
    Ok(())
}
