//! The words that mean true and false where a format has only text, and how to turn one into the other in its own
//! style.

/// The spellings of one pair, true first.
type Pair = (&'static str, &'static str);

const TRUE_FALSE: Pair = ("true", "false");

/// YAML 1.1 readers (SnakeYAML in Spring, older Go) take these for booleans, YAML 1.2 readers take them for texts.
/// Staying inside the pair is right for both: `on` becomes `off`, never `false`.
const ON_OFF: Pair = ("on", "off");
const YES_NO: Pair = ("yes", "no");

/// What `word` means, if it is `true` or `false` in lower case, capitalised or in upper case.
pub(super) fn meaning(word: &str) -> Option<bool> {
    of_pair(TRUE_FALSE, word)
}

/// As [`meaning`], and also `on`, `off`, `yes`, `no`.
pub(super) fn yaml_meaning(word: &str) -> Option<bool> {
    [TRUE_FALSE, ON_OFF, YES_NO].into_iter().find_map(|pair| of_pair(pair, word))
}

/// The word for `to` from the same pair and in the same case as `old`; `true` or `false` where `old` is neither.
pub(super) fn turned(old: &str, to: bool) -> String {
    let pair =
        [TRUE_FALSE, ON_OFF, YES_NO].into_iter().find(|pair| of_pair(*pair, old).is_some()).unwrap_or(TRUE_FALSE);
    let word = if to { pair.0 } else { pair.1 };
    let mut letters = old.chars();
    match (letters.next().is_some_and(char::is_uppercase), letters.next().is_some_and(char::is_uppercase)) {
        (true, true) => word.to_uppercase(),
        (true, false) => capitalised(word),
        (false, _) => word.to_owned(),
    }
}

fn of_pair(pair: Pair, word: &str) -> Option<bool> {
    let is = |plain: &str| word == plain || word == plain.to_uppercase() || word == capitalised(plain);
    if is(pair.0) {
        Some(true)
    } else if is(pair.1) {
        Some(false)
    } else {
        None
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_its_pair_and_its_case() {
        for (old, new) in
            [("true", "false"), ("True", "False"), ("TRUE", "FALSE"), ("on", "off"), ("Yes", "No"), ("ON", "OFF")]
        {
            assert_eq!(turned(old, false), new);
            assert_eq!(turned(new, true), old);
            assert_eq!(turned(new, false), new);
            assert_eq!((yaml_meaning(old), yaml_meaning(new)), (Some(true), Some(false)));
        }
    }

    #[test]
    fn other_words_mean_nothing() {
        for word in ["", "tRUE", "1", "y", "enabled", "on "] {
            assert_eq!(yaml_meaning(word), None, "{word}");
        }
        assert_eq!(meaning("on"), None);
        assert_eq!(turned("1", false), "false");
    }
}
