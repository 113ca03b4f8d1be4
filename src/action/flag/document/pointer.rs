//! JSON pointers (RFC 6901): the address of a place in a document.

use std::{fmt, str::FromStr};

/// The address of a place in a document, such as `/flags/recommendations/state`; empty means the whole document.
///
/// For [`Format::Properties`](super::Format::Properties) it has one part, the key with its dots: `/shop.recs.enabled`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer {
    tokens: Vec<String>,
}

/// Why a text is no pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It does not begin with a slash.
    #[error("the pointer {0:?} must begin with `/`, as in `/flags/recommendations`")]
    Slash(String),
    /// A tilde that is no escape.
    #[error("the pointer {0:?} has a `~` that is neither `~0` (a tilde) nor `~1` (a slash)")]
    Tilde(String),
}

impl Pointer {
    /// The whole document.
    pub fn root() -> Self {
        Self::default()
    }

    /// The place one key or index further in; the key is taken as it is, without escapes.
    pub fn child(&self, key: impl Into<String>) -> Self {
        let mut tokens = self.tokens.clone();
        tokens.push(key.into());
        Self { tokens }
    }

    /// This place, then `inner` inside of it.
    pub fn join(&self, inner: &Pointer) -> Self {
        Self { tokens: self.tokens.iter().chain(&inner.tokens).cloned().collect() }
    }

    /// The keys and indexes from the outside in, without escapes.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Whether it means the whole document.
    pub fn is_root(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether `other` is the same place or lies inside of this one.
    pub fn covers(&self, other: &Pointer) -> bool {
        other.tokens.starts_with(&self.tokens)
    }

    /// For sentences: the pointer in backticks, or words where it is empty.
    pub fn shown(&self) -> String {
        if self.is_root() { "the whole document".to_owned() } else { format!("`{self}`") }
    }
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if text.is_empty() {
            return Ok(Self::root());
        }
        let inner = text.strip_prefix('/').ok_or_else(|| PointerError::Slash(text.to_owned()))?;
        let tokens = inner.split('/').map(|raw| unescaped(raw).ok_or_else(|| PointerError::Tilde(text.to_owned())));
        Ok(Self { tokens: tokens.collect::<Result<_, _>>()? })
    }
}

fn unescaped(raw: &str) -> Option<String> {
    let mut parts = raw.split('~');
    let mut token = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) =
            part.strip_prefix('0').map(|rest| ('~', rest)).or_else(|| Some(('/', part.strip_prefix('1')?)))?;
        token.push(sign);
        token.push_str(rest);
    }
    Some(token)
}

impl fmt::Display for Pointer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| write!(out, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

/// An array index as RFC 6901 writes it: digits without a leading zero.
pub(super) fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || token.starts_with(|first: char| ('1'..='9').contains(&first));
    token.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_keys_with_slashes_tildes_and_dots() {
        let pointer: Pointer = "/a~1b/~0c/d.e/".parse().unwrap();
        assert_eq!(pointer.tokens(), ["a/b", "~c", "d.e", ""]);
        assert_eq!(pointer.to_string(), "/a~1b/~0c/d.e/");
        assert!("".parse::<Pointer>().unwrap().is_root());
        // `~01` is a tilde and a one, never a slash: order of unescaping is the classic trap.
        assert_eq!("/~01".parse::<Pointer>().unwrap().tokens(), ["~1"]);
    }

    #[test]
    fn says_what_is_wrong_with_a_pointer() {
        let slash = "flags/x".parse::<Pointer>().unwrap_err().to_string();
        assert_eq!(slash, "the pointer \"flags/x\" must begin with `/`, as in `/flags/recommendations`");
        let tilde = "/a~b".parse::<Pointer>().unwrap_err().to_string();
        assert_eq!(tilde, "the pointer \"/a~b\" has a `~` that is neither `~0` (a tilde) nor `~1` (a slash)");
        assert!("/a~".parse::<Pointer>().is_err());
    }

    #[test]
    fn indexes_have_one_spelling() {
        assert_eq!(index("0"), Some(0));
        assert_eq!(index("12"), Some(12));
        for odd in ["", "01", "+1", "-", "1x", "99999999999999999999999"] {
            assert_eq!(index(odd), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn any_keys_survive_being_written_and_read(tokens in prop::collection::vec(".{0,6}", 0..4)) {
            let pointer = tokens.iter().fold(Pointer::root(), |at, token| at.child(token.as_str()));
            prop_assert_eq!(pointer.to_string().parse::<Pointer>().unwrap(), pointer);
        }
    }
}
