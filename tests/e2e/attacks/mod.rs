//! The attacks of the threat model, each as the attacker would type it, on the real API server.
//!
//! A [`Row`] is data (who, what is typed, what comes back) and a function that carries it out. A group of rows shares a
//! [`Scene`]: a namespace, runs and ballots. What came back is written to `target/attacks/`, from which `make attacks`
//! joins the table; `docs/security.md` holds the same table, made from the rows ([`table`]).

mod acts;
mod ballots;
mod evidence;
mod glass;
mod lone;
mod matrix;
mod reach;
mod scene;
mod stage;
mod table;

use anyhow::Result;

pub use scene::Scene;

use crate::town::Leg;

/// Who refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// This admission policy of the chart.
    Policy(&'static str),
    /// A rule or a bound of the kind itself.
    Kind,
    /// RBAC: the right is missing.
    Rbac,
    /// The API server, by something that is not ours.
    ApiServer,
    /// The API server stores the object without the field, and says so.
    Dropped,
    /// The operator, when it sees it.
    Operator,
    /// Nobody, but whoever recomputes the chain of hashes sees it.
    Chain,
    /// Nobody: it is taken, and what is done about that is checked.
    Nobody,
}

/// What the attacker sees.
#[derive(Clone, Copy, Debug)]
pub enum Sees {
    /// In both legs.
    Both(By, &'static str),
    /// Where the cluster stamps, and where people type their names.
    Each((By, &'static str), (By, &'static str)),
    /// It is possible, or different, only where the cluster stamps.
    Stamping(By, &'static str),
    /// It is possible, or different, only where people type their names.
    Plain(By, &'static str),
}

impl Sees {
    fn in_leg(self, leg: Leg) -> Option<(By, &'static str)> {
        match (self, leg) {
            (Self::Both(by, says), _)
            | (Self::Each((by, says), _) | Self::Stamping(by, says), Leg::Stamping)
            | (Self::Each(_, (by, says)) | Self::Plain(by, says), Leg::Plain) => Some((by, says)),
            _ => None,
        }
    }
}

/// Carries out the attack, checks what became of it, and gives what the attacker saw.
pub type Play = fn(&mut Scene, &Row) -> Result<Seen>;

/// One attack.
pub struct Row {
    /// Number in the threat model, with a letter where it is tried in several ways.
    pub id: &'static str,
    /// What is wanted.
    pub title: &'static str,
    /// Who tries it; the cast is in `docs/security.md`.
    pub who: &'static str,
    /// What they type, as a shell takes it; the scene sets `$NS`, `$BALLOT`, `$CODE` and the like.
    pub call: &'static str,
    /// What they see.
    pub sees: Sees,
    pub play: Play,
}

impl Row {
    /// The number alone.
    fn number(&self) -> usize {
        self.id.trim_end_matches(char::is_alphabetic).parse().expect("a number and perhaps a letter")
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub by: By,
    /// In words that are the same in every run.
    pub says: String,
    /// As it came, to be found again in the audit log.
    pub raw: String,
}

/// All rows, group by group.
pub const ROWS: &[&[Row]] = &[ballots::ROWS, evidence::ROWS, reach::ROWS, acts::ROWS, glass::ROWS, lone::ROWS];

/// The call is made, and whatever the answer is, all is as before.
fn in_vain(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let before = scene.snapshot()?;
    let seen = scene.types(row)?;
    scene.unchanged(&before)?;
    Ok(seen)
}

fn nothing_is_changed(leg: Leg) -> Result<()> {
    let mut scene = stage::open(leg)?;
    scene.play(&[ballots::ROWS, evidence::ROWS, reach::ROWS])?;
    scene.end("refused", 0)
}

#[test]
fn refused_where_the_cluster_stamps() -> Result<()> {
    nothing_is_changed(Leg::Stamping)
}

#[test]
fn refused_where_people_type_their_names() -> Result<()> {
    nothing_is_changed(Leg::Plain)
}

fn nothing_is_done_that_was_not_approved(leg: Leg) -> Result<()> {
    let mut scene = acts::open(leg)?;
    scene.play(&[acts::ROWS, glass::ROWS])?;
    scene.end("acts", acts::acts(leg))
}

#[test]
fn acts_where_the_cluster_stamps() -> Result<()> {
    nothing_is_done_that_was_not_approved(Leg::Stamping)
}

#[test]
fn acts_where_people_type_their_names() -> Result<()> {
    nothing_is_done_that_was_not_approved(Leg::Plain)
}

#[test]
fn a_cluster_administrator_and_what_the_operator_does_about_it() -> Result<()> {
    let mut scene = lone::open()?;
    scene.play(&[lone::ROWS])?;
    scene.end("lone", 2)
}
