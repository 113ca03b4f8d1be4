//! Expressions: CEL, with the functions that the API server has.
//!
//! In a runbook `${...}` is the whole value, never a part of a text, and yields a typed value after parsing: a parameter
//! can never change the shape of a step. Whatever an author writes is evaluated in this process, so its cost is bounded
//! here, before it is run: length and nesting (a deep expression overflows the parser's stack), loops (each one inside
//! another multiplies), and functions (some make a list or a text of any length out of one number).

use std::collections::HashMap;

use kube_cel::KubeCelExt;
use kube_cel::cel::{Context, ExecutionError, Program, Value as Cel};
use serde_json::{Map, Value};

/// The longest expression, in bytes.
const LONGEST: usize = 1024;
/// The deepest nesting: of brackets, of `!` and `-` in front of something, and of `?`. The parser takes some 150 KiB of the
/// stack for each in a debug build: twelve overflow a thread of 2 MiB.
const DEEPEST: usize = 10;
/// The most operators and dots. A chain of a hundred nests as deep in the parser, and overflows the same stack.
const MOST_OPERATORS: usize = 64;

/// The most loops in an expression.
const MOST_LOOPS: usize = 2;
/// Loops, as they are written.
const LOOPS: [&str; 5] = [".all(", ".exists(", ".exists_one(", ".filter(", ".map("];
/// The functions that an expression may call, beside operators. Each costs no more than what it is given is long.
const FUNCTIONS: [&str; 15] = [
    "bool",
    "contains",
    "double",
    "endsWith",
    "has",
    "int",
    "isQuantity",
    "lowerAscii",
    "matches",
    "quantity",
    "size",
    "startsWith",
    "string",
    "trim",
    "upperAscii",
];

/// Why an expression gives no value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is too long or too deeply nested.
    #[error(
        "the expression {0:?} is too long or too deeply nested (at most {LONGEST} characters, {DEEPEST} deep, {MOST_OPERATORS} operators)"
    )]
    TooLarge(String),
    /// It calls a function whose cost has no bound here, or none that there is.
    #[error("the expression {expression:?} calls {function}, which is not one of: {}", FUNCTIONS.join(", "))]
    Function {
        /// The expression.
        expression: String,
        /// The function.
        function: String,
    },
    /// It loops too often.
    #[error("the expression {0:?} has more than {MOST_LOOPS} loops (all, exists, exists_one, filter, map)")]
    Loops(String),
    /// It does not compile.
    #[error("the expression {expression:?} does not compile: {why}")]
    Compile {
        /// The expression.
        expression: String,
        /// What the compiler says.
        why: String,
    },
    /// It cannot be evaluated.
    #[error("the expression {expression:?} gives no value: {why}")]
    Evaluate {
        /// The expression.
        expression: String,
        /// What was wrong.
        why: String,
    },
    /// It is a part of a text.
    #[error("{0:?} holds an expression inside a text; an expression must be the whole value: ${{params.NAME}}")]
    Partial(String),
}

/// Evaluates CEL over the given variables.
///
/// # Errors
/// [`ExpressionError`] where it is too large, does not compile, or gives no JSON value.
pub fn evaluate(expression: &str, variables: &[(&str, &Value)]) -> Result<Value, ExpressionError> {
    let program = compile(expression)?;
    let mut context = Context::default().with_all();
    for (name, value) in variables {
        context.add_variable_from_value(*name, from_json(value));
    }
    let unfit = |why: String| ExpressionError::Evaluate { expression: expression.to_owned(), why };
    let value = program.execute(&context).map_err(|error| unfit(why(&error, expression)))?;
    to_json(&value).ok_or_else(|| {
        unfit(format!("it gives a value that is neither a number, a text, true nor false: {}", value.type_of()))
    })
}

/// Why it gives no value, without any value. What an object of the cluster holds is nobody's to repeat in a record, and
/// the evaluator's own sentences quote both sides of an operator. A name is said where the author wrote it.
fn why(error: &ExecutionError, expression: &str) -> String {
    let written = |name: &str| expression.contains(name);
    match error {
        ExecutionError::NoSuchKey(key) if written(key) => format!("there is no {key}"),
        ExecutionError::NoSuchKey(_) => "there is no such key".to_owned(),
        ExecutionError::UndeclaredReference(name) if written(name) => format!("nothing is called {name}"),
        ExecutionError::FunctionError { function, .. } if written(function) => {
            format!("{function} cannot take what it is given")
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "it divides by zero".to_owned(),
        ExecutionError::Overflow(operator, ..) => format!("a number grows too large ({operator})"),
        ExecutionError::IndexOutOfBounds(_) => "a list has no such place".to_owned(),
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", left.type_of(), right.type_of())
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            format!("{operator} does not take {} and {}", left.type_of(), right.type_of())
        }
        ExecutionError::UnsupportedUnaryOperator(operator, value) => {
            format!("{operator} does not take {}", value.type_of())
        }
        _ => "an operator or a function does not take what it is given".to_owned(),
    }
}

/// Compiles CEL.
///
/// # Errors
/// [`ExpressionError`] where it is too large or does not compile.
pub fn compile(expression: &str) -> Result<Program, ExpressionError> {
    if expression.len() > LONGEST || nesting(expression) > DEEPEST || operators(expression) > MOST_OPERATORS {
        return Err(ExpressionError::TooLarge(crate::api::line::cut(expression, 80)));
    }
    // Blanks may stand between a function and its bracket, and around a dot.
    let dense: String = expression.split_whitespace().collect();
    if LOOPS.iter().map(|name| dense.matches(name).count()).sum::<usize>() > MOST_LOOPS {
        return Err(ExpressionError::Loops(crate::api::line::cut(expression, 80)));
    }
    let program = Program::compile(expression)
        .map_err(|e| ExpressionError::Compile { expression: expression.to_owned(), why: in_a_line(&e.to_string()) })?;
    let references = program.references();
    let named = |function: &&&str| function.starts_with(|c: char| c.is_ascii_alphabetic());
    if let Some(function) = references.functions().iter().filter(named).find(|function| !FUNCTIONS.contains(function)) {
        let (expression, function) = (expression.to_owned(), (*function).to_owned());
        return Err(ExpressionError::Function { expression, function });
    }
    drop(references);
    Ok(program)
}

/// What the parser says of the first thing that it does not understand, in one line: it draws the place, and lists every
/// token that it knows.
fn in_a_line(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    let told = line.strip_prefix("ERROR: <input>:").and_then(|rest| {
        let (place, what) = rest.split_once(": ")?;
        let what = what.strip_prefix("Syntax error: ").unwrap_or(what);
        let what = what.split(" expecting {").next().unwrap_or(what).replace("'<EOF>'", "its end");
        let (line, column) = place.split_once(':')?;
        let line = if line == "1" { String::new() } else { format!("line {line}, ") };
        Some(format!("{line}character {column}: {what}"))
    });
    told.unwrap_or_else(|| line.to_owned())
}

/// How deep an expression nests, at the most. What stands in a text counts, too: the parser is not ours, so this errs on the
/// side of refusal.
fn nesting(expression: &str) -> usize {
    // Of each open bracket, how much deeper what is inside of it is.
    let (mut open, mut depth, mut deepest) = (Vec::new(), 0usize, 0usize);
    // What stands in front of the next operand, and the choices that have begun since the last bracket.
    let (mut in_front, mut choices) = (0usize, 0usize);
    let mut operand_before = false;
    for character in expression.chars().filter(|c| !c.is_whitespace()) {
        match character {
            '(' | '[' | '{' => {
                let deeper = 1 + in_front + choices;
                open.push((deeper, choices));
                depth += deeper;
                (in_front, choices) = (0, 0);
            }
            ')' | ']' | '}' => {
                let (deeper, before) = open.pop().unwrap_or_default();
                depth = depth.saturating_sub(deeper);
                (in_front, choices) = (0, before);
            }
            '!' | '-' if !operand_before => in_front += 1,
            '?' => choices += 1,
            _ => in_front = 0,
        }
        operand_before = character.is_alphanumeric() || matches!(character, ')' | ']' | '}' | '\'' | '"' | '_');
        deepest = deepest.max(depth + in_front + choices);
    }
    deepest
}

/// How many operators there are, at the most: `in` stands between blanks.
fn operators(expression: &str) -> usize {
    let signs = expression.chars().filter(|c| "!-+*/%?.<>=&|,:[".contains(*c)).count();
    signs + expression.split_whitespace().filter(|word| *word == "in").count()
}

/// Fills in the expressions of a value: every string that is `${...}` becomes what it yields.
///
/// # Errors
/// The first [`ExpressionError`].
pub fn fill_in(value: &Value, variables: &[(&str, &Value)]) -> Result<Value, ExpressionError> {
    Ok(match value {
        Value::String(text) => match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            Some(expression) => evaluate(expression, variables)?,
            None if text.contains("${") => return Err(ExpressionError::Partial(text.clone())),
            None => value.clone(),
        },
        Value::Array(items) => Value::Array(items.iter().map(|v| fill_in(v, variables)).collect::<Result<_, _>>()?),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(k, v)| Ok((k.clone(), fill_in(v, variables)?)))
                .collect::<Result<Map<_, _>, ExpressionError>>()?,
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// JSON as CEL. Whole numbers are signed: serde would make the positive ones unsigned, which CEL does not compare with `2`.
fn from_json(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(b) => Cel::Bool(*b),
        Value::Number(n) => n.as_i64().map_or_else(|| Cel::Float(n.as_f64().unwrap_or(f64::NAN)), Cel::Int),
        Value::String(s) => Cel::from(s.as_str()),
        Value::Array(items) => Cel::from(items.iter().map(from_json).collect::<Vec<_>>()),
        Value::Object(fields) => {
            Cel::from(fields.iter().map(|(k, v)| (k.clone(), from_json(v))).collect::<HashMap<_, _>>())
        }
    }
}

fn to_json(value: &Cel) -> Option<Value> {
    Some(match value {
        Cel::Null => Value::Null,
        Cel::Bool(b) => Value::Bool(*b),
        Cel::Int(i) => Value::from(*i),
        Cel::UInt(u) => Value::from(*u),
        Cel::Float(f) => Value::Number(serde_json::Number::from_f64(*f)?),
        Cel::String(s) => Value::String(s.to_string()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expression_yields_a_typed_value() {
        let params = json!({"replicas": 10, "name": "checkout"});
        let filled = fill_in(
            &json!({"a": "${params.replicas}", "b": ["${params.name + '-x'}"], "c": "plain"}),
            &[("params", &params)],
        );
        assert_eq!(filled.unwrap(), json!({"a": 10, "b": ["checkout-x"], "c": "plain"}));
    }

    #[test]
    fn what_a_parameter_holds_is_never_read_as_an_expression() {
        let params = json!({"name": "${1+1}\"}}, \"x\": {"});
        assert_eq!(fill_in(&json!("${params.name}"), &[("params", &params)]).unwrap(), json!("${1+1}\"}}, \"x\": {"));
    }

    #[test]
    fn each_failure_has_its_sentence() {
        let none = json!({});
        for (expression, sentence) in [
            ("${params.missing}", "gives no value"),
            ("${params.}", "does not compile"),
            ("replicas-${params.n}", "must be the whole value"),
            ("${((((((((((((((((((1))))))))))))))))))}", "too deeply nested"),
        ] {
            let error = fill_in(&json!(expression), &[("params", &none)]).unwrap_err().to_string();
            assert!(error.contains(sentence), "{expression}: {error}");
        }
    }

    #[test]
    fn what_does_not_compile_is_said_in_one_line() {
        for (expression, sentence) in [
            ("object.spec.replicas >", "does not compile: character 23: mismatched input its end"),
            ("1 +\n)", "does not compile: line 2, character "),
            ("a b", "does not compile: character 3: "),
        ] {
            let error = compile(expression).unwrap_err().to_string();
            assert!(error.contains(sentence) && !error.contains('\n'), "{expression}: {error}");
        }
    }

    #[test]
    fn what_has_no_bound_is_not_run() {
        for (expression, sentence) in [
            ("lists.range(9223372036854775807)", "calls range"),
            ("'%.99999f'.format([1.0])", "calls format"),
            ("'aaaa'.replace('a', 'bbbb')", "calls replace"),
            ("['x'].map(a, a + a).map(a, a + a).map(a, a + a)", "more than 2 loops"),
            ("[1].all(a, [1].all(b, [1] . all (c, true)))", "more than 2 loops"),
        ] {
            let error = evaluate(expression, &[]).unwrap_err().to_string();
            assert!(error.contains(sentence), "{expression}: {error}");
        }
        for fine in [
            "size('abc') == 3 && 'abc'.startsWith('a')",
            "[1, 2].all(a, a > 0) ? true : false",
            "-1 < 1 && !(2 in [1])",
        ] {
            assert_eq!(evaluate(fine, &[]).unwrap(), json!(true), "{fine}");
        }
    }

    #[test]
    fn what_would_overflow_the_parser_s_stack_never_reaches_it() {
        let chain = |unit: &str| format!("{}a", unit.repeat(1024 / unit.len() - 1));
        for unit in [
            "1+", "a.", "a==", "-1-", "!", "-", "(", "[", "{", "a.b(", "!(", "true?", "1?1:", "a in ", "true&&", "a,",
            "a<",
        ] {
            let error = compile(&chain(unit)).unwrap_err().to_string();
            assert!(error.contains("too deeply nested"), "{unit}: {error}");
        }
        let deep = "{[-![[-{{-[[(-([{![{";
        assert!(compile(deep).unwrap_err().to_string().contains("too deeply nested"), "found by fuzzing");
        for fine in [
            "has(object.status.readyReplicas) && object.status.readyReplicas >= object.spec.replicas",
            "object.status.conditions.exists(c, c.type == 'Available' && (c.status == 'True' || c.reason == 'x'))",
            "((((1 + (2 * (3 - -(4))))))) == 11",
            "!(!(!(true)))",
        ] {
            assert!(compile(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn an_object_can_be_judged() {
        let object = json!({"status": {"readyReplicas": 3}, "spec": {"replicas": 3}});
        assert_eq!(
            evaluate("object.status.readyReplicas >= object.spec.replicas", &[("object", &object)]).unwrap(),
            json!(true)
        );
    }
}
