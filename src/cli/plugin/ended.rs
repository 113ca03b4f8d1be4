//! How a verb ends: a code for scripts, and for people what was wrong with the command to go on.

use std::process::ExitCode;

use kube::core::Status;

use super::out::screen::note;
use crate::api::run::Phase;
use crate::cli::stored::Refusal;

/// How a verb ends. The numbers are for scripts and stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Done, or true.
    Done = 0,
    /// An error.
    Error = 1,
    /// The command was not understood.
    Usage = 2,
    /// Somebody said no.
    Denied = 3,
    /// It took too long, or nobody decided in time.
    TimedOut = 4,
    /// The run failed.
    RunFailed = 5,
    /// The run was stopped.
    Aborted = 6,
    /// The API server does not let you.
    NotAllowed = 7,
}

impl Ended {
    /// The code of the process.
    pub fn code(self) -> ExitCode {
        ExitCode::from(self as u8)
    }

    /// How a run that is in this phase ended; `None` while it goes on.
    pub fn of(phase: Phase) -> Option<Self> {
        match phase {
            Phase::Planning | Phase::Waiting | Phase::Acting | Phase::Verifying | Phase::NeedsHuman => None,
            Phase::Succeeded => Some(Self::Done),
            Phase::Denied => Some(Self::Denied),
            Phase::Expired => Some(Self::TimedOut),
            // What it did was undone: it did not do what it was started for.
            Phase::Failed | Phase::Reverted => Some(Self::RunFailed),
            Phase::Aborted => Some(Self::Aborted),
        }
    }
}

/// Why a verb did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub ended: Ended,
    /// What is wrong, in a sentence.
    pub said: String,
    /// What to type next, a line each.
    pub next: Vec<String>,
}

impl Failure {
    /// An error.
    pub fn error(said: impl Into<String>) -> Self {
        Self { ended: Ended::Error, said: said.into(), next: Vec::new() }
    }

    /// What was typed makes no sense.
    pub fn usage(said: impl Into<String>) -> Self {
        Self { ended: Ended::Usage, said: said.into(), next: Vec::new() }
    }

    /// The same with a line that says how to go on.
    pub fn next(mut self, line: impl Into<String>) -> Self {
        self.next.push(line.into());
        self
    }

    /// What the API server answered while something was done, in its own words.
    pub fn of(error: &kube::Error, doing: &str) -> Self {
        match error {
            kube::Error::Api(status) => Self::refusal(status, doing),
            other => Self::error(format!("{doing}: {}", deepest(other)))
                .next("does the API server answer? see: kubectl cluster-info"),
        }
    }

    fn refusal(status: &Status, doing: &str) -> Self {
        // What a policy says is meant for people, and says by itself how to go on.
        if let Some(sentence) = denial(&status.message) {
            return Self { ended: Ended::NotAllowed, said: sentence.to_owned(), next: Vec::new() };
        }
        let ended = if matches!(status.code, 401 | 403) { Ended::NotAllowed } else { Ended::Error };
        let failure = Self { ended, said: format!("{doing}: {}", status.message), next: Vec::new() };
        match status.code {
            401 => failure.next("sign in again; who you are says: kubectl auth whoami"),
            403 => failure.next("what you may do says: kubectl firstaid whoami"),
            _ => failure,
        }
    }

    /// Says it on standard error.
    pub fn say(&self) {
        note(&format!("error: {}", self.said));
        self.next.iter().for_each(|line| note(&format!("       {line}")));
    }
}

/// What a policy of ours says to a person, out of what the API server makes of it.
pub fn denial(message: &str) -> Option<&str> {
    message.split_once(" denied request: ").map(|(_, sentence)| sentence)
}

/// The innermost cause: the outer ones repeat it in the words of a program.
fn deepest(error: &kube::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let refused = error.downcast_ref::<Refusal>().is_some_and(|refusal| matches!(refusal.code, Some(401 | 403)));
        let failure = Self::error(format!("{error:#}"));
        if refused { Self { ended: Ended::NotAllowed, ..failure } } else { failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_for_scripts_and_stay() {
        let numbers = [
            Ended::Done,
            Ended::Error,
            Ended::Usage,
            Ended::Denied,
            Ended::TimedOut,
            Ended::RunFailed,
            Ended::Aborted,
            Ended::NotAllowed,
        ];
        assert_eq!(numbers.map(|ended| ended as u8), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_policy_is_heard_in_its_own_words() {
        let refusal = |code, message: &str| {
            let status = Status { code, message: message.to_owned(), ..Status::default() };
            Failure::of(&kube::Error::Api(Box::new(status)), "marking a")
        };
        let policy = refusal(
            403,
            "approvals.firstaid.dev \"a\" is forbidden: ValidatingAdmissionPolicy 'firstaid-ballot' with binding 'firstaid-ballot' denied request: you are bob",
        );
        assert_eq!((policy.ended, policy.said.as_str()), (Ended::NotAllowed, "you are bob"));
        let rights = refusal(403, "mallory may not");
        assert_eq!((rights.ended, rights.said.as_str()), (Ended::NotAllowed, "marking a: mallory may not"));
        assert_eq!(rights.next.len(), 1);
        assert_eq!(refusal(422, "no").ended, Ended::Error);
    }

    #[test]
    fn what_may_not_be_read_is_not_allowed_by_whatever_way_it_is_read() {
        let read = |code| {
            let error = anyhow::Error::new(Refusal { code, said: "listing runs: no".to_owned() });
            Failure::from(error.context("reading"))
        };
        assert_eq!(read(Some(403)).ended, Ended::NotAllowed);
        assert_eq!(read(Some(403)).said, "reading: listing runs: no");
        assert_eq!((read(Some(500)).ended, read(None).ended), (Ended::Error, Ended::Error));
    }
}
