//! The smallest list of choices that still breaks the same promise.

use crate::choices::Choices;
use crate::fences::Down;
use crate::judge::Invariant;
use crate::simulation::run;

/// Takes choices away, or sets them to 0 or less, while the promise is still broken.
pub fn minimise(found: &[u16], down: &Down, invariant: Invariant) -> Vec<u16> {
    let breaks = |list: &[u16]| {
        let course = run(Choices::from_list(list), down, false);
        course.violation.filter(|violation| violation.invariant == invariant).map(|_| course.choices)
    };
    let mut list = found.to_vec();
    loop {
        let before = (list.len(), weight(&list));
        let mut size = list.len().div_ceil(2).max(1);
        loop {
            let mut at = 0;
            while at < list.len() {
                let end = (at + size).min(list.len());
                let without = [&list[..at], &list[end..]].concat();
                let mut calmed = list.clone();
                calmed[at..end].fill(0);
                let smaller = [without, calmed].into_iter().filter(|smaller| *smaller != list);
                match smaller.filter_map(|smaller| breaks(&smaller)).find(|kept| is_smaller(kept, &list)) {
                    Some(kept) => list = kept,
                    None => at = end,
                }
            }
            if size == 1 {
                break;
            }
            size /= 2;
        }
        for at in 0..list.len() {
            for less in 0..list.get(at).copied().unwrap_or_default() {
                let mut lower = list.clone();
                lower[at] = less;
                if let Some(kept) = breaks(&lower).filter(|kept| is_smaller(kept, &list)) {
                    list = kept;
                    break;
                }
            }
        }
        if (list.len(), weight(&list)) == before {
            return list;
        }
    }
}

fn is_smaller(one: &[u16], other: &[u16]) -> bool {
    (weight(one), one.len()) < (weight(other), other.len())
}

/// How much happens: how many choices are not 0, and how far from 0 they are.
fn weight(list: &[u16]) -> (usize, u32) {
    (list.iter().filter(|choice| **choice != 0).count(), list.iter().map(|choice| u32::from(*choice)).sum())
}

/// A list as it is kept: `place:choice`, without those that are 0.
pub fn written(list: &[u16]) -> String {
    let kept = list.iter().enumerate().filter(|(_, choice)| **choice != 0);
    kept.map(|(place, choice)| format!("{place}:{choice}")).collect::<Vec<_>>().join(" ")
}

/// The list that was written.
pub fn read(written: &str) -> Vec<u16> {
    let mut list = Vec::new();
    for (place, choice) in written.split_whitespace().filter_map(|pair| pair.split_once(':')) {
        let (place, choice) = (place.parse::<usize>().expect("a place"), choice.parse().expect("a choice"));
        list.resize(list.len().max(place + 1), 0);
        list[place] = choice;
    }
    list
}
