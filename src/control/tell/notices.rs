//! What is worth a notification: what people are asked, what was done without a second person, and how it ended.

use jiff::Timestamp;

use crate::api::action_record::Cluster;
use crate::api::condition::{Condition, cut, kind};
use crate::api::line::one_line;
use crate::api::run::{Phase, Plan};
use crate::api::vote::{CountedVote, DecidedAs};
use crate::api::{BREAKGLASS_BY_ANNOTATION, Person, RunbookRun, RunbookRunStatus};
use crate::perform::notify::{Happening, Notice};
use crate::plan;

/// The longest line for people, in bytes.
const LONGEST_TEXT: usize = 2000;
/// The longest sentence in it, in bytes.
const LONGEST_MESSAGE: usize = 800;
/// The longest command, in bytes.
const LONGEST_COMMAND: usize = 512;
/// The longest name or short line, in bytes.
const LONGEST_NAME: usize = 256;
/// How many names or lines a list holds.
const MOST_NAMED: usize = 8;

/// A write of the journal that has landed.
pub(in super::super) struct Change<'a> {
    /// The status before it.
    pub before: Option<&'a RunbookRunStatus>,
    /// The run after it.
    pub run: &'a RunbookRun,
    /// Who marked the ballot that is the reason of it; empty where there is none.
    pub by: &'a str,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The time.
    pub now: Timestamp,
}

impl<'a> Change<'a> {
    /// What people are told of it: mostly nothing.
    pub fn notices(&self) -> Vec<Notice> {
        let Some(after) = &self.run.status else { return Vec::new() };
        let mut notices: Vec<Notice> =
            new_plans(self.before, after).map(|(asked, plan)| self.approval_asked(asked, plan)).collect();
        notices.extend(lone_votes(self.before, after).into_iter().map(|vote| self.decided(vote)));
        let phase = |status: &RunbookRunStatus| status.phase;
        if after.phase == Phase::NeedsHuman && self.before.map(phase) != Some(Phase::NeedsHuman) {
            notices.push(self.needs_human(after));
        }
        if after.finished && !self.was_finished() {
            notices.push(self.ended(after));
        }
        notices.extend(self.ratification(after));
        notices
    }

    fn was_finished(&self) -> bool {
        self.before.is_some_and(|before| before.finished)
    }

    /// A message about this run, whose line begins with these words.
    fn notice(&self, event: Happening) -> Notice {
        let status = self.run.status.as_ref();
        let of = |text: Option<&str>| cut(text.unwrap_or_default(), LONGEST_NAME);
        Notice {
            cluster: name_of(self.cluster),
            namespace: of(self.run.metadata.namespace.as_deref()),
            run: of(self.run.metadata.name.as_deref()),
            runbook: of(Some(&self.run.spec.runbook)),
            incident: of(self.run.spec.incident.as_deref()),
            phase: status.map(|status| status.phase),
            progress: of(status.map(|status| status.progress.as_str())),
            record_head: of(status.map(|status| status.record_head.as_str())),
            ..Notice::of(event, self.now)
        }
    }

    /// The ballots of a plan were written into the journal, and are issued.
    fn approval_asked(&self, asked: Asked, plan: &Plan) -> Notice {
        let requires = plan.terms.iter().flat_map(|gate| &gate.requires).take(MOST_NAMED);
        let mut notice = Notice {
            summary: cut(&plan.summary, LONGEST_NAME),
            message: cut(&self.run.spec.reason, LONGEST_MESSAGE),
            by: requester(self.run),
            needed: requires.map(|r| cut(&format!("{} of {}", r.count, r.role), LONGEST_NAME)).collect(),
            ballots: plan.ballots.iter().take(MOST_NAMED).map(|slot| cut(&slot.name, LONGEST_NAME)).collect(),
            until: plan.expires_at.as_ref().map(|at| at.0),
            ..self.notice(Happening::ApprovalAsked)
        };
        let ballot = notice.ballots.first().cloned().unwrap_or_default();
        notice.command = self.describe("apv", &ballot);
        let again = match asked {
            Asked::First => String::new(),
            Asked::Again => format!(" AGAIN ({})", quoted(&cut(&plan.revised_because, LONGEST_NAME))),
        };
        let until = notice.until.map(|at| format!(" until {}", at.strftime("%Y-%m-%dT%H:%M:%SZ"))).unwrap_or_default();
        let line = format!(
            "APPROVAL NEEDED{again}: {}: {}. It takes {}{until}, on {}",
            subject(&notice),
            notice.summary,
            notice.needed.join(" and "),
            notice.ballots.join(", "),
        );
        let asked = format!("Asked by {}: ", notice.by);
        spoken(notice, &line, &asked)
    }

    /// Somebody decided without a second person.
    fn decided(&self, vote: &CountedVote) -> Notice {
        let (event, how) = match vote.decided_as {
            DecidedAs::BreakGlass => (Happening::BrokenGlass, format!("BROKEN GLASS by {}", vote.by)),
            DecidedAs::Alone | DecidedAs::Requester | DecidedAs::Approver => {
                (Happening::DecidedAlone, format!("DECIDED ALONE by {} as {}", vote.by, vote.role))
            }
        };
        let notice = Notice {
            message: cut(&vote.why, LONGEST_MESSAGE),
            by: cut(&vote.by, LONGEST_NAME),
            command: self.describe("rbr", self.run.metadata.name.as_deref().unwrap_or_default()),
            ..self.notice(event)
        };
        let line = format!(
            "{how}: {}. Somebody else is asked to ratify or disown it when the run has ended",
            subject(&notice)
        );
        spoken(notice, &line, "")
    }

    fn needs_human(&self, after: &RunbookRunStatus) -> Notice {
        let mut message = cut(&after.waiting_on, LONGEST_MESSAGE);
        // The outcome would say so, and there is none.
        let glass = self.run.metadata.annotations.as_ref().and_then(|all| all.get(BREAKGLASS_BY_ANNOTATION));
        if let Some(by) = glass {
            message = format!("{message}; its GLASS WAS BROKEN by {}", cut(by, LONGEST_NAME));
        }
        let command = after.next_commands.first().map(|command| cut(command, LONGEST_COMMAND)).unwrap_or_default();
        let notice = Notice { message, command, ..self.notice(Happening::NeedsHuman) };
        let line = format!("A PERSON IS NEEDED: {} at {}", subject(&notice), notice.progress);
        spoken(notice, &line, "It waits for ")
    }

    fn ended(&self, after: &RunbookRunStatus) -> Notice {
        let left = plan::still_in_place(after);
        let mut in_place: Vec<String> = left.iter().take(MOST_NAMED).map(|line| cut(line, LONGEST_NAME)).collect();
        if left.len() > MOST_NAMED {
            in_place.push(format!("and {} more", left.len() - MOST_NAMED));
        }
        let notice = Notice {
            message: cut(&after.message, LONGEST_MESSAGE),
            by: requester(self.run),
            command: after.next_commands.first().map(|command| cut(command, LONGEST_COMMAND)).unwrap_or_default(),
            in_place,
            ..self.notice(Happening::Ended)
        };
        let still = match notice.in_place.as_slice() {
            [] => String::new(),
            left => cut(&format!(". In place: {}", left.join("; ")), LONGEST_MESSAGE),
        };
        let records = match notice.record_head.as_str() {
            "" => String::new(),
            head => format!(". Its records end with {head}"),
        };
        let line = format!("ENDED {:?}: {}{still}{records}", after.phase, subject(&notice));
        spoken(notice, &line, "")
    }

    /// What a decision without a second person waits for, or what has become of it.
    fn ratification(&self, after: &RunbookRunStatus) -> Option<Notice> {
        let now = condition(after)?;
        let decided = |condition: &Condition| match condition.reason.as_str() {
            "Ratified" => Some((Happening::Ratified, "RATIFIED")),
            "Disowned" => Some((Happening::Disowned, "DISOWNED")),
            _ => None,
        };
        if let Some((event, word)) = decided(now) {
            let told = self.before.and_then(condition).is_some_and(|before| decided(before).is_some());
            let notice = Notice {
                message: cut(&now.message, LONGEST_MESSAGE),
                by: cut(self.by, LONGEST_NAME),
                command: self.describe("rbr", self.run.metadata.name.as_deref().unwrap_or_default()),
                ..self.notice(event)
            };
            let line = format!("{word}: {}", subject(&notice));
            return (!told).then(|| spoken(notice, &line, ""));
        }
        // Its ballot is issued right before the run ends, and another one where a mark on it proved nothing.
        let asked = self.before.filter(|before| before.finished).map(|before| &before.ratification);
        if !after.finished || after.ratification.is_empty() || asked == Some(&after.ratification) {
            return None;
        }
        let notice = Notice {
            message: cut(&now.message, LONGEST_MESSAGE),
            by: lone_votes(None, after).first().map(|vote| cut(&vote.by, LONGEST_NAME)).unwrap_or_default(),
            ballots: vec![cut(&after.ratification, LONGEST_NAME)],
            command: self.describe("apv", &after.ratification),
            ..self.notice(Happening::RatificationDue)
        };
        let line = format!("TO BE RATIFIED by somebody else: {}", subject(&notice));
        Some(spoken(notice, &line, ""))
    }

    fn describe(&self, kind: &str, name: &str) -> String {
        let namespace = self.run.metadata.namespace.as_deref().unwrap_or_default();
        cut(&format!("kubectl describe {kind} -n {namespace} {name}"), LONGEST_COMMAND)
    }
}

/// Whether a gate waits for the first time.
#[derive(Clone, Copy)]
enum Asked {
    First,
    Again,
}

/// The plans that are in the journal since this write, with ballots on which people decide.
fn new_plans<'a>(
    before: Option<&RunbookRunStatus>,
    after: &'a RunbookRunStatus,
) -> impl Iterator<Item = (Asked, &'a Plan)> {
    let known: Vec<&String> = before.iter().flat_map(|before| before.plans.keys()).collect();
    let asks = !after.finished;
    after
        .plans
        .iter()
        .filter(move |(key, plan)| asks && !plan.ballots.is_empty() && !known.contains(key))
        .map(|(_, plan)| (if plan.revised_because.is_empty() { Asked::First } else { Asked::Again }, plan))
}

/// The votes of those who decided without a second person that are in the journal since this write. Glass is broken once
/// for all gates of a run.
fn lone_votes<'a>(before: Option<&RunbookRunStatus>, after: &'a RunbookRunStatus) -> Vec<&'a CountedVote> {
    fn votes(status: &RunbookRunStatus) -> impl Iterator<Item = &CountedVote> {
        let outcomes = status.steps.values().filter_map(|entry| entry.outcome.as_ref());
        outcomes.flat_map(|outcome| &outcome.approvals).filter(|vote| vote.decided_as.needs_ratification())
    }
    let same = |a: &CountedVote, b: &CountedVote| (&a.by, a.decided_as, &a.ballot) == (&b.by, b.decided_as, &b.ballot);
    let mut new: Vec<&CountedVote> = Vec::new();
    for vote in votes(after) {
        let known = before.is_some_and(|before| votes(before).any(|known| same(known, vote)));
        if !known && !new.iter().any(|other| same(other, vote)) {
            new.push(vote);
        }
    }
    new
}

fn condition(status: &RunbookRunStatus) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.kind == kind::RATIFIED)
}

fn requester(run: &RunbookRun) -> String {
    cut(run.spec.requested_by.as_ref().map(Person::key).unwrap_or_default(), LONGEST_NAME)
}

/// The cluster as people know it.
pub(super) fn name_of(cluster: &Cluster) -> String {
    cut(if cluster.name.is_empty() { &cluster.uid } else { &cluster.name }, LONGEST_NAME)
}

/// `shop/shed-load-7f3k (runbook shed-load, incident INC-7)`. An incident whose key is no word is left to the field: whoever
/// starts a run writes it, and it could be a sentence like ours.
fn subject(notice: &Notice) -> String {
    let is_word = |key: &str| key.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '#'));
    let incident = match notice.incident.as_str() {
        "" => String::new(),
        incident if is_word(incident) => format!(", incident {incident}"),
        _ => ", incident as in the field".to_owned(),
    };
    format!("{}/{} (runbook {}{incident})", notice.namespace, notice.run, notice.runbook)
}

/// The message with this line for people: the cluster, the line, the command, and last the words of the message in quotation
/// marks. Strangers wrote some of them (a reason, a refusal of another program), and they may read like a sentence and a
/// command of ours: they come behind ours, and they cannot leave their quotation marks.
pub(super) fn spoken(notice: Notice, line: &str, lead: &str) -> Notice {
    let cluster = if notice.cluster.is_empty() { String::new() } else { format!("[{}] ", notice.cluster) };
    let command = if notice.command.is_empty() { String::new() } else { format!(". See: {}", notice.command) };
    // The command stays whole, however long the rest is.
    let command = cut(&plain(&command), LONGEST_COMMAND + 16);
    let words = match notice.message.as_str() {
        "" => String::new(),
        words => format!(". {}{}", plain(lead), quoted(&cut(&plain(words), LONGEST_MESSAGE))),
    };
    let line = cut(&plain(&format!("{cluster}{line}")), LONGEST_TEXT.saturating_sub(command.len() + words.len()));
    Notice { text: format!("{line}{command}{words}"), ..notice }
}

/// Words that are not ours: in quotation marks that they cannot close.
fn quoted(words: &str) -> String {
    let closes = |character: char| matches!(character, '“' | '”' | '"');
    let within: String = words.chars().map(|character| if closes(character) { '\'' } else { character }).collect();
    format!("“{within}”")
}

/// The text as a chat shows it and does nothing else: strangers wrote some of it. `<` begins what Slack and Google Chat take
/// for a link or a call to everybody, `@` at the beginning of a word is one to Mattermost, and `](` hides where a link leads.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut before = ' ';
    for character in one_line(text).chars() {
        match character {
            '<' => plain.push('‹'),
            '@' if !before.is_alphanumeric() => plain.push('＠'),
            '(' if before == ']' => plain.push_str(" ("),
            _ => plain.push(character),
        }
        before = character;
    }
    plain
}

#[cfg(test)]
mod tests;
