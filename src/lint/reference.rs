//! What an expression speaks of, and whether that is there.

use kube_cel::cel::Program;
use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};

use super::schema::offer;
use crate::expression;

/// What an expression may speak of.
pub struct Known<'k> {
    /// Its variables.
    pub roots: &'k [&'k str],
    /// The parameters of the runbook.
    pub parameters: Vec<&'k str>,
    /// The steps before.
    pub earlier: Vec<&'k str>,
    /// This step, and those after it.
    pub later: Vec<&'k str>,
}

/// What is known of a run while its runbook is taken up.
const OF_RUN: [&str; 4] = ["name", "namespace", "reason", "incident"];

/// What it speaks of and is not there: a sentence, and what to write instead. Of one that does not compile nothing is said
/// here; the rehearsal has the sentence for that.
pub fn strangers(text: &str, known: &Known<'_>) -> Vec<(String, String)> {
    let Ok(program) = expression::compile(text) else { return Vec::new() };
    let mut looking = Looking { known, bound: Vec::new(), found: Vec::new() };
    looking.at(root(&program));
    looking.found.dedup();
    looking.found
}

fn root(program: &Program) -> &IdedExpr {
    program.expression()
}

struct Looking<'k> {
    known: &'k Known<'k>,
    bound: Vec<String>,
    found: Vec<(String, String)>,
}

impl Looking<'_> {
    fn at(&mut self, expression: &IdedExpr) {
        if let Some((root, name)) = member(expression) {
            self.member(root, name);
        }
        match &expression.expr {
            Expr::Ident(name) => self.root(name),
            Expr::Select(select) => {
                if let Some(("steps", step)) = member(&select.operand)
                    && select.field != "ok"
                    && self.is_root("steps")
                {
                    self.say(
                        format!("of step {step} only ok is known here, and this asks for {}", select.field),
                        format!("write steps['{step}'].ok"),
                    );
                }
                self.at(&select.operand);
            }
            Expr::Call(call) => {
                call.target.iter().for_each(|target| self.at(target));
                call.args.iter().for_each(|argument| self.at(argument));
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.at(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(made) => made.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Comprehension(looped) => {
                self.at(&looped.iter_range);
                let before = self.bound.len();
                self.bound.push(looped.iter_var.clone());
                self.bound.extend(looped.iter_var2.clone());
                self.bound.push(looped.accu_var.clone());
                for part in [&looped.accu_init, &looped.loop_cond, &looped.loop_step, &looped.result] {
                    self.at(part);
                }
                self.bound.truncate(before);
            }
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn entry(&mut self, entry: &EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.at(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.at(&entry.key);
                self.at(&entry.value);
            }
        }
    }

    fn root(&mut self, name: &str) {
        // The parser's own variables begin with @.
        if name.starts_with('@') || self.bound.iter().any(|bound| bound == name) || self.known.roots.contains(&name) {
            return;
        }
        self.say(
            format!("nothing is called {name} here; there are: {}", self.known.roots.join(", ")),
            offer(name, self.known.roots),
        );
    }

    fn is_root(&self, name: &str) -> bool {
        self.known.roots.contains(&name) && !self.bound.iter().any(|bound| bound == name)
    }

    fn member(&mut self, root: &str, name: &str) {
        if !self.is_root(root) {
            return;
        }
        match root {
            "params" if !self.known.parameters.contains(&name) => {
                let instead = match self.known.parameters.as_slice() {
                    [] => "declare it in spec.parameters".to_owned(),
                    known => offer(name, known),
                };
                self.say(format!("the runbook has no parameter {name}"), instead);
            }
            "run" if !OF_RUN.contains(&name) => {
                self.say(format!("of the run no {name} is known here"), offer(name, &OF_RUN));
            }
            "steps" if self.known.later.contains(&name) => self.say(
                format!("step {name} is not before this one, so nothing is known of it yet"),
                "move the step, or ask for an earlier one".to_owned(),
            ),
            "steps" if !self.known.earlier.contains(&name) => {
                let instead = match self.known.earlier.as_slice() {
                    [] => "leave it out: there is no step before this one".to_owned(),
                    known => offer(name, known),
                };
                self.say(format!("there is no step {name}"), instead);
            }
            _ => {}
        }
    }

    fn say(&mut self, sentence: String, instead: String) {
        self.found.push((sentence, instead));
    }
}

/// `root.name` or `root['name']`.
fn member(expression: &IdedExpr) -> Option<(&str, &str)> {
    match &expression.expr {
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(root) => Some((root, &select.field)),
            _ => None,
        },
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [of, key] => match (&of.expr, &key.expr) {
                (Expr::Ident(root), Expr::Literal(LiteralValue::String(name))) => Some((root, name.inner())),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, roots: &[&str]) -> Vec<String> {
        let known =
            Known { roots, parameters: vec!["replicas", "service"], earlier: vec!["off"], later: vec!["out", "seen"] };
        strangers(text, &known).into_iter().map(|(sentence, instead)| format!("{sentence}: {instead}")).collect()
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (text, sentence) in [
            ("params.replica > 1", "the runbook has no parameter replica: write replicas"),
            ("has(params.speed)", "the runbook has no parameter speed: write one of: replicas, service"),
            ("params['servce'] == 'x'", "the runbook has no parameter servce: write service"),
            ("steps['of'].ok", "there is no step of: write off"),
            (
                "steps.seen.ok",
                "step seen is not before this one, so nothing is known of it yet: move the step, or ask for an earlier one",
            ),
            ("steps['off'].okay", "of step off only ok is known here, and this asks for okay: write steps['off'].ok"),
            ("parms.replicas > 1", "nothing is called parms here; there are: params, steps: write params"),
        ] {
            assert_eq!(said(text, &["params", "steps"]), [sentence], "{text}");
        }
        assert_eq!(
            said("run.id", &["params", "run"]),
            ["of the run no id is known here: write one of: name, namespace, reason, incident"]
        );
    }

    #[test]
    fn what_is_there_is_not_complained_of() {
        for text in [
            "object.status.conditions.exists(c, c.type == 'Available' && c.status == 'True')",
            "object.status.readyReplicas >= params.replicas",
            "[1, 2].all(params, params > 0)",
            "has(object.status) && size(object.spec.x) > 0",
            "object.",
        ] {
            assert_eq!(said(text, &["object", "params"]), Vec::<String>::new(), "{text}");
        }
        assert_eq!(said("steps['off'].ok && params.replicas > 2", &["params", "steps"]), Vec::<String>::new());
        assert_eq!(said("run.incident + params.service", &["params", "run"]), Vec::<String>::new());
    }
}
