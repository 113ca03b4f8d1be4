//! The timeline as geometry: what is drawn where. To scale; where nothing was recorded there is a gap, and where that took
//! most of the time the axis is broken, visibly, with the length written on it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::document::{Document, Moment, MomentKind, Tried};
use super::durations::words;
use super::markup::{clock, day};
use crate::api::line::cut;

/// Width of the whole, in units of the drawing.
const WIDTH: f64 = 1080.0;
/// Where time begins: the names of the lanes stand before it.
const LEFT: f64 = 148.0;
/// Where it ends.
const RIGHT: f64 = WIDTH - 12.0;
/// Height of a row of a lane.
const ROW: f64 = 22.0;
/// Width of a letter, as far as that can be said without a font; rather too wide.
const LETTER: f64 = 6.4;
/// Width of a break of the axis.
const BREAK: f64 = 92.0;
/// Items of a lane; what is more is counted.
const ITEMS: usize = 40;
/// Lanes for targets; what is more stands in the tables.
const TARGETS: usize = 10;
/// The first lane begins below the labels of the axis.
const TOP: f64 = 26.0;

/// A drawing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Picture {
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// In one sentence, for who cannot see it.
    pub description: String,
    /// Labels of the axis.
    pub ticks: Vec<Tick>,
    /// Intervals without any record.
    pub gaps: Vec<Quiet>,
    /// Lines through all lanes: milestones.
    pub lines: Vec<f64>,
    /// The lanes, from top to bottom.
    pub lanes: Vec<Lane>,
}

/// A label of the axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tick {
    /// Where.
    pub x: f64,
    /// `14:05`.
    pub label: String,
}

/// An interval without any record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quiet {
    /// Its left end.
    pub x: f64,
    /// Its width.
    pub width: f64,
    /// How long it is.
    pub label: String,
    /// Whether the axis is broken here: then the width says nothing of the length.
    pub broken: bool,
}

/// A lane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// Its upper edge.
    pub y: f64,
    /// Its height.
    pub height: f64,
    /// What is in it.
    pub items: Vec<Item>,
    /// How many more there are in the tables.
    pub more: usize,
}

/// A bar, or a mark.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// `milestone`, `run`, `wait`, `yes`, `no`, `change`, `undone`, `check`, `uncheck`, `note`.
    pub kind: String,
    /// Its left end.
    pub x: f64,
    /// Its width; 0 for a mark.
    pub width: f64,
    /// Whether it goes on beyond the right edge.
    pub open: bool,
    /// The middle of its row.
    pub y: f64,
    /// What is written beside it.
    pub label: String,
    /// Where that is written.
    pub label_x: f64,
    /// Whether it ends there, and does not begin.
    pub label_ends: bool,
    /// The whole of it.
    pub title: String,
}

/// An item before it has a place.
struct Draft {
    kind: &'static str,
    from: Timestamp,
    to: Option<Timestamp>,
    open: bool,
    label: String,
    title: String,
}

/// A stretch of the axis.
struct Stretch {
    from: Timestamp,
    to: Timestamp,
    x: f64,
    width: f64,
    broken: bool,
}

struct Axis {
    stretches: Vec<Stretch>,
    /// Units for a second, where the axis is not broken.
    scale: f64,
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// To a tenth: finer than that nobody sees, and the same everywhere.
fn round(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

impl Axis {
    /// The axis over these times, which are in order and not empty.
    fn over(times: &[Timestamp]) -> Option<Self> {
        let (first, last) = (*times.first()?, *times.last()?);
        let mut gaps: Vec<(Timestamp, Timestamp)> = times
            .iter()
            .zip(times.iter().skip(1))
            .map(|(a, b)| (*a, *b))
            .filter(|(a, b)| seconds(*a, *b) > 1200.0)
            .collect();
        gaps.sort_by(|a, b| seconds(b.0, b.1).total_cmp(&seconds(a.0, a.1)).then(a.cmp(b)));
        let mut left = seconds(first, last);
        let mut broken = Vec::new();
        for gap in gaps.into_iter().take(5) {
            let length = seconds(gap.0, gap.1);
            if length > 0.35 * left {
                left -= length;
                broken.push(gap);
            }
        }
        broken.sort();
        let room = RIGHT - LEFT - BREAK * f64::from(u32::try_from(broken.len()).unwrap_or(5));
        // One moment alone, or all at the same time: a second on either side.
        let scale = if left > 0.0 { room / left } else { room };
        let mut stretches = Vec::new();
        let (mut from, mut x) = (first, LEFT);
        for (a, b) in broken {
            let width = seconds(from, a) * scale;
            stretches.push(Stretch { from, to: a, x, width, broken: false });
            stretches.push(Stretch { from: a, to: b, x: x + width, width: BREAK, broken: true });
            x += width + BREAK;
            from = b;
        }
        stretches.push(Stretch { from, to: last, x, width: (RIGHT - x).max(0.0), broken: false });
        Some(Self { stretches, scale })
    }

    fn x(&self, at: Timestamp) -> f64 {
        let stretch = self.stretches.iter().find(|stretch| at <= stretch.to).or(self.stretches.last());
        let Some(stretch) = stretch else { return LEFT };
        let length = seconds(stretch.from, stretch.to);
        let part = if length > 0.0 { (seconds(stretch.from, at) / length).clamp(0.0, 1.0) } else { 0.0 };
        round(stretch.x + part * stretch.width)
    }

    fn ticks(&self) -> Vec<Tick> {
        const STEPS: [i64; 15] = [1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];
        let fits = |step: &&i64| f64::from(i32::try_from(**step).unwrap_or(i32::MAX)) * self.scale >= 76.0;
        let step = STEPS.iter().find(fits).copied().unwrap_or(604_800);
        let mut ticks: Vec<Tick> = Vec::new();
        let mut last_day = String::new();
        for stretch in self.stretches.iter().filter(|stretch| !stretch.broken) {
            let mut second = stretch.from.as_second().div_euclid(step) * step;
            while second <= stretch.to.as_second() {
                let at = Timestamp::from_second(second).unwrap_or(stretch.to);
                second += step;
                let x = self.x(at);
                let apart = ticks.last().is_none_or(|last| x - last.x >= 60.0);
                if at < stretch.from || !apart || x > RIGHT - 30.0 {
                    continue;
                }
                let time = clock(at);
                let time = if step < 60 { time } else { time.get(..5).unwrap_or(&time).to_owned() };
                // The day only where it is another one than that of the label before.
                let label = if day(at) == last_day || last_day.is_empty() {
                    time
                } else {
                    format!("{} {time}", day(at).get(5..).unwrap_or_default())
                };
                last_day = day(at);
                ticks.push(Tick { x, label });
            }
        }
        ticks
    }
}

/// The drawing of a document; without anything in it where there is no moment.
pub fn picture(document: &Document) -> Picture {
    let lanes = drafts(document);
    let mut times: Vec<Timestamp> =
        lanes.iter().flat_map(|(_, items, _)| items).flat_map(|item| [Some(item.from), item.to]).flatten().collect();
    times.sort_unstable();
    times.dedup();
    let Some(axis) = Axis::over(&times) else { return Picture::default() };
    let mut y = TOP;
    let lanes: Vec<Lane> = lanes
        .into_iter()
        .filter(|(_, items, _)| !items.is_empty())
        .map(|(name, items, more)| {
            let lane = lane(&axis, name, items, more, y);
            y = round(y + lane.height + 6.0);
            lane
        })
        .collect();
    let milestones = document.milestones.iter().filter_map(|line| line.at);
    Picture {
        width: WIDTH,
        height: y + 4.0,
        description: describe(document),
        ticks: axis.ticks(),
        gaps: quiet(document, &axis),
        lines: milestones.map(|at| axis.x(at)).collect(),
        lanes,
    }
}

fn describe(document: &Document) -> String {
    let key = document.moments.iter().filter(|moment| moment.key).count();
    format!(
        "Timeline of {}: {key} moments, which stand with their times in the table of the sequence",
        document.incident.key
    )
}

/// Breaks of the axis, and other intervals of five minutes and more without a record.
fn quiet(document: &Document, axis: &Axis) -> Vec<Quiet> {
    let broken = axis.stretches.iter().filter(|stretch| stretch.broken).map(|stretch| Quiet {
        x: round(stretch.x),
        width: round(stretch.width),
        label: words(stretch.to.duration_since(stretch.from)),
        broken: true,
    });
    let within =
        |from: Timestamp, to: Timestamp| axis.stretches.iter().any(|s| s.broken && s.from <= from && to <= s.to);
    let gaps = document.gaps.iter().filter(|gap| !within(gap.from, gap.to)).map(|gap| {
        let (x, end) = (axis.x(gap.from), axis.x(gap.to));
        Quiet { x, width: round(end - x), label: gap.text.clone(), broken: false }
    });
    broken.chain(gaps).collect()
}

/// What is in which lane, and how much more there is.
fn drafts(document: &Document) -> Vec<(String, Vec<Draft>, usize)> {
    let mark = |kind: &'static str, at: Timestamp, label: &str, title: &str| Draft {
        kind,
        from: at,
        to: None,
        open: false,
        label: cut(label, 56),
        title: title.to_owned(),
    };
    let milestones = document.milestones.iter().filter_map(|line| {
        let title = format!("{}: {}", line.title, line.how);
        Some(mark("milestone", line.at?, &line.title, &title))
    });
    let decisions = document.decisions.iter().filter_map(|decision| {
        let kind = match decision.outcome.as_str() {
            "Approved" | "Ratified" => "yes",
            "Denied" | "Disowned" => "no",
            _ => "wait",
        };
        let label = format!("{} after {}", decision.outcome.to_lowercase(), decision.waited);
        let title = format!("{}: {} by {}: {}", decision.summary, decision.outcome, decision.by, decision.why);
        Some(Draft { kind, from: decision.asked?, to: decision.at, open: decision.at.is_none(), label, title })
    });
    let checks = of_kind(document, &[MomentKind::Check]).map(|moment| {
        let held = moment.what.starts_with("the check held");
        let label = if held { "held" } else { "did not come true" };
        mark(if held { "check" } else { "uncheck" }, moment.at, label, &moment.what)
    });
    let notes = of_kind(document, &[MomentKind::Alert, MomentKind::Note, MomentKind::HotFix])
        .map(|m| mark("note", m.at, &m.what, &m.what));
    let mut lanes: Vec<(String, Vec<Draft>, usize)> =
        vec![bounded("milestones", milestones), bounded("runs", runs(document)), bounded("decisions", decisions)];
    lanes.extend(targets(document));
    lanes.push(bounded("checks", checks));
    lanes.push(bounded("notes", notes));
    lanes
}

fn of_kind<'a>(document: &'a Document, kinds: &'static [MomentKind]) -> impl Iterator<Item = &'a Moment> {
    document.moments.iter().filter(move |moment| kinds.contains(&moment.kind))
}

/// The first items alone are made: each may have to be looked for among all.
fn bounded(name: &str, mut items: impl Iterator<Item = Draft>) -> (String, Vec<Draft>, usize) {
    let shown = items.by_ref().take(ITEMS).collect();
    (name.to_owned(), shown, items.count())
}

/// From where a run was asked for to its end.
fn runs(document: &Document) -> impl Iterator<Item = Draft> {
    // By namespace, too: runs of one name in two namespaces are two.
    let of = |moment: &Moment| (moment.source.namespace.clone(), moment.source.name.clone());
    let ends: BTreeMap<_, &Moment> = of_kind(document, &[MomentKind::End]).map(|moment| (of(moment), moment)).collect();
    let all: BTreeMap<_, &Tried> =
        document.tried.iter().map(|tried| ((tried.namespace.clone(), tried.run.clone()), tried)).collect();
    of_kind(document, &[MomentKind::Run]).map(move |asked| {
        let (end, tried) = (ends.get(&of(asked)).copied(), all.get(&of(asked)).copied());
        let name = asked.what.split(" asked for").next().unwrap_or_default();
        let label = tried.map_or_else(|| name.to_owned(), |tried| format!("{name}: {}", tried.phase));
        let title = end.map_or_else(|| asked.what.clone(), |end| format!("{}; {}", asked.what, end.what));
        // The time at which it was asked for has no fractions, and may seem to be after its end.
        let to = end.map(|end| end.at.max(asked.at));
        Draft {
            kind: if tried.is_some() { "tried" } else { "run" },
            from: asked.at,
            to,
            open: end.is_none(),
            label: cut(&label, 56),
            title,
        }
    })
}

/// A lane for each target: a bar from a change until it was undone, open where it is in place.
fn targets<'a>(document: &'a Document) -> Vec<(String, Vec<Draft>, usize)> {
    let mut targets: Vec<&'a str> = Vec::new();
    for action in document.actions.iter().filter(|action| action.undoes.is_empty()) {
        if !targets.contains(&action.target.as_str()) && targets.len() < TARGETS {
            targets.push(&action.target);
        }
    }
    let all = targets.clone();
    targets
        .into_iter()
        .map(|target| {
            let actions = document.actions.iter().filter(|action| action.target == target && action.undoes.is_empty());
            let items = actions.map(|action| {
                let undo = document
                    .actions
                    .iter()
                    .find(|undo| undo.undoes == action.record && undo.target == action.target && undo.result == "Done");
                let open = action.state == "InPlace";
                let label = match (open, undo) {
                    (true, _) => format!("{} (in place)", action.summary),
                    (false, Some(_)) => format!("{} (undone)", action.summary),
                    (false, None) if action.result == "Done" => action.summary.clone(),
                    (false, None) => format!("{} ({})", action.summary, action.result),
                };
                let title = format!("{}: {} → {}; {}", action.summary, action.before, action.after, action.effect);
                Draft {
                    kind: if open { "change" } else { "undone" },
                    from: action.at,
                    to: undo.map(|undo| undo.at),
                    open,
                    label: cut(&label, 56),
                    title,
                }
            });
            // Without the namespace, which is the same for most; with it where another lane would have the same name.
            let short = |target: &'a str| target.rsplit_once('/').map_or(target, |(_, name)| name);
            let alone = all.iter().filter(|other| short(other) == short(target)).count() == 1;
            let name = if alone { short(target) } else { target };
            bounded(name, items)
        })
        .collect()
}

/// Each item in the first row in which it touches no other.
fn lane(axis: &Axis, name: String, drafts: Vec<Draft>, more: usize, y: f64) -> Lane {
    let mut rows: Vec<f64> = Vec::new();
    let mut items = Vec::new();
    for draft in drafts {
        let x = axis.x(draft.from);
        let end = if draft.open { RIGHT } else { draft.to.map_or(x, |to| axis.x(to)) };
        let width = if draft.to.is_some() || draft.open { (end - x).max(4.0) } else { 0.0 };
        let letters = f64::from(u32::try_from(draft.label.chars().count()).unwrap_or(u32::MAX)) * LETTER;
        // Beside the bar on the right, else before it on the left, else upon it.
        let after = x + width + 9.0;
        let (label_x, label_ends) = if after + letters <= WIDTH {
            (after, false)
        } else if x - 9.0 - letters >= LEFT {
            (x - 9.0, true)
        } else {
            (RIGHT - 6.0, true)
        };
        let (left, right) =
            if label_ends { (label_x - letters, (x + width).max(label_x)) } else { (x - 7.0, label_x + letters) };
        let left = left.min(x - 7.0);
        let row = rows.iter().position(|taken| *taken <= left).unwrap_or(rows.len());
        match rows.get_mut(row) {
            Some(taken) => *taken = right + 8.0,
            None => rows.push(right + 8.0),
        }
        let row = f64::from(u32::try_from(row).unwrap_or(u32::MAX));
        items.push(Item {
            kind: draft.kind.to_owned(),
            x,
            width: round(width),
            open: draft.open,
            y: round(y + row * ROW + ROW / 2.0),
            label: draft.label,
            label_x: round(label_x),
            label_ends,
            title: cut(&draft.title, 400),
        });
    }
    let rows = f64::from(u32::try_from(rows.len().max(1)).unwrap_or(u32::MAX));
    Lane { name: cut(&name, 22), y, height: rows * ROW, items, more }
}
