//! From the document to a page, by templates that a team can replace. What a template prints is escaped for where it stands,
//! unless the template itself says otherwise.

use std::collections::BTreeMap;

use jiff::Timestamp;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, context};

use super::document::Document;
use super::{markup, mermaid, outline, picture};

/// The templates that come with the program, by their names.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("retrospective.html", include_str!("templates/retrospective.html")),
    ("retrospective.md", include_str!("templates/retrospective.md")),
    ("style.css", include_str!("templates/style.css")),
    ("timeline.svg", include_str!("templates/timeline.svg")),
];

/// The name of our own way to escape.
const MARKDOWN: &str = "markdown";

/// A form of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Markdown with Mermaid.
    Markdown,
    /// One page that needs nothing else.
    Html,
    /// The source of both.
    Json,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A template cannot be read as one, or fails.
    #[error("template {name}{}: {why}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Template {
        /// Its name.
        name: String,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong.
        why: String,
    },
    /// It cannot be written as JSON.
    #[error("the document cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Templates: those that come with the program, each of which may be replaced by one of the same name.
#[derive(Clone, Debug)]
pub struct Templates {
    texts: BTreeMap<String, String>,
}

impl Default for Templates {
    fn default() -> Self {
        Self { texts: BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect() }
    }
}

impl Templates {
    /// Replaces a template, or adds one that others include.
    pub fn replace(&mut self, name: &str, text: String) {
        self.texts.insert(name.to_owned(), text);
    }

    fn environment(&self) -> Result<Environment<'_>, RenderError> {
        let mut environment = Environment::new();
        // A tag on a line of its own leaves no empty line behind, which would end a table of Markdown.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        let syntax = syntax.map_err(|error| failed("syntax", &error))?;
        // A field that does not exist is a mistake of the template: it is named, and nothing is written.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(syntax);
        environment.set_auto_escape_callback(|name| match name.rsplit('.').next() {
            Some("html" | "svg") => AutoEscape::Html,
            Some("md") => AutoEscape::Custom(MARKDOWN.into()),
            _ => AutoEscape::None,
        });
        environment.set_formatter(format);
        environment.add_filter("clock", |at: Value| time(&at, markup::clock));
        environment.add_filter("day", |at: Value| time(&at, markup::day));
        environment.add_filter("precise", |at: Value| time(&at, precise));
        environment.add_filter("place", |source: Value| place(&source));
        environment
            .add_filter("link", |link: &str| Value::from_safe_string(format!("<{}>", markup::web_address(link))));
        environment.add_filter("words", words);
        for (name, text) in &self.texts {
            environment.add_template(name, text).map_err(|error| failed(name, &error))?;
        }
        Ok(environment)
    }
}

/// The page.
///
/// # Errors
/// [`RenderError`], which names the template and the line. There is a whole page or none.
pub fn render(document: &Document, form: Form, templates: &Templates) -> Result<String, RenderError> {
    let name = match form {
        Form::Json => return json(document),
        Form::Markdown => "retrospective.md",
        Form::Html => "retrospective.html",
    };
    let environment = templates.environment()?;
    let template = environment.get_template(name).map_err(|error| failed(name, &error))?;
    let (chain, left_out) = outline::outline(&document.chain);
    // By its end: a template that looked through all of them at each moment would take minutes for a long document.
    let quiet: BTreeMap<String, &str> =
        document.gaps.iter().map(|gap| (gap.to.to_string(), gap.text.as_str())).collect();
    let diagram = |text: String| Value::from_safe_string(text);
    let context = context! {
        doc => Value::from(Serde(document)),
        picture => Value::from(Serde(picture::picture(document))),
        quiet => Value::from(Serde(quiet)),
        outline => context! { lines => Value::from(Serde(chain)), leftOut => left_out },
        mermaid => context! {
            gantt => diagram(mermaid::gantt(document)),
            sequence => diagram(mermaid::sequence(document)),
            flowchart => diagram(mermaid::flowchart(document)),
        },
    };
    let page = template.render(context).map_err(|error| failed(name, &error))?;
    Ok(stamped(&page))
}

fn failed(name: &str, error: &Error) -> RenderError {
    let name = error.name().unwrap_or(name).to_owned();
    let mut why =
        error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        why += &format!(": {error}");
        cause = error.source();
    }
    RenderError::Template { name, line: error.line(), why }
}

/// What a template prints, escaped for where it stands.
fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match state.auto_escape() {
        AutoEscape::Custom(of) if of == MARKDOWN => {
            let text = value.to_string();
            let text = if value.is_safe() { text } else { markup::markdown(&text) };
            out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "the page could not be written"))
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

fn time(at: &Value, form: impl Fn(Timestamp) -> String) -> Result<String, Error> {
    if at.is_none() {
        return Ok("unknown".to_owned());
    }
    let text = at.as_str().unwrap_or_default();
    let at: Timestamp =
        text.parse().map_err(|_| Error::new(ErrorKind::InvalidOperation, format!("{text:?} is no time")))?;
    Ok(form(at))
}

/// To the microsecond: `14:02:10.123456`.
fn precise(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M:%S.%6f").to_string()
}

/// A source in a few words: `ActionRecord shop/x, spec.actedAt`.
fn place(source: &Value) -> Result<String, Error> {
    let part = |key: &str| source.get_attr(key).map(|value| value.as_str().unwrap_or_default().to_owned());
    let (kind, namespace, name, field, says) =
        (part("kind")?, part("namespace")?, part("name")?, part("field")?, part("says")?);
    let says = if says.is_empty() { String::new() } else { format!("{says}: ") };
    Ok(format!("{says}{kind} {namespace}/{name}, {field}"))
}

/// `InPlace` as `in place`, `LimitedTheDamage` as `limited the damage`; a change that was taken back is `undone` everywhere.
fn words(text: &str) -> String {
    if text == "Reverted" {
        return "undone".to_owned();
    }
    let mut words = String::new();
    for character in text.chars() {
        if character.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(character.to_ascii_lowercase());
    }
    words
}

/// The document itself. JSON has no comment at its end: what tells whether somebody wrote into it is a field of it.
fn json(document: &Document) -> Result<String, RenderError> {
    let mut document = document.clone();
    document.generated.digest.clear();
    let digest = digest_of(&serde_json::to_string_pretty(&document)?);
    document.generated.digest = digest;
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Whether a document is as it was generated, by the digest in it.
fn is_json_as_generated(text: &str, document: &Document) -> bool {
    let digest = document.generated.digest.as_str();
    // The text, and not what is read of it: a field that only a newer version knows was not written by a person.
    !digest.is_empty() && digest_of(&text.trim_end().replacen(digest, "", 1)) == digest
}

/// The end of a page: whether somebody edited it since can be told by the digest of all that stands above.
fn stamped(page: &str) -> String {
    let page = page.trim_end();
    format!("{page}\n\n<!-- firstaid: {} of what stands above -->\n", digest_of(page))
}

fn digest_of(page: &str) -> String {
    crate::digest::sha256(page.as_bytes())
}

/// Whether a page is as it was generated, so that nothing is lost where it is generated anew.
pub fn is_as_generated(text: &str) -> bool {
    if let Ok(document) = serde_json::from_str::<Document>(text) {
        return is_json_as_generated(text, &document);
    }
    let Some((page, stamp)) = text.trim_end().rsplit_once("\n\n<!-- firstaid: ") else { return false };
    stamp.strip_suffix(" of what stands above -->") == Some(digest_of(page).as_str())
}
