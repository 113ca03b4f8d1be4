//! Where every choice of a schedule comes from: a seed, or a list that was recorded.

/// The choices of one schedule, and a record of them.
///
/// Each is a number below some bound, and 0 is always the harmless one: the network delivers, nobody dies, nothing
/// happens. So a schedule is made smaller by taking choices away from its list, or by setting them to 0.
#[derive(Clone, Debug)]
pub struct Choices {
    source: Source,
    taken: Vec<u16>,
}

#[derive(Clone, Debug)]
enum Source {
    /// The state of SplitMix64.
    Seed(u64),
    /// What was chosen before; 0 beyond its end.
    List(Vec<u16>),
}

impl Choices {
    /// All choices that this seed gives.
    pub fn from_seed(seed: u64) -> Self {
        Self { source: Source::Seed(seed), taken: Vec::new() }
    }

    /// These, and after them nothing but 0.
    pub fn from_list(list: &[u16]) -> Self {
        Self { source: Source::List(list.to_vec()), taken: Vec::new() }
    }

    /// What has been chosen so far, without the zeros at its end.
    pub fn taken(&self) -> Vec<u16> {
        let length = self.taken.iter().rposition(|choice| *choice != 0).map_or(0, |last| last + 1);
        self.taken.iter().take(length).copied().collect()
    }

    /// One of so many, each as likely.
    pub fn below(&mut self, bound: usize) -> usize {
        let choice = match &mut self.source {
            Source::Seed(state) => usize::try_from(next(state) % bound.max(1) as u64).unwrap_or_default(),
            Source::List(list) => Self::recorded(list, self.taken.len(), bound),
        };
        self.note(choice)
    }

    /// The index of one of these weights.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let choice = match &mut self.source {
            Source::Seed(state) => {
                let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
                let mut left = next(state) % sum.max(1);
                weights
                    .iter()
                    .position(|weight| match left.checked_sub(u64::from(*weight)) {
                        Some(rest) => {
                            left = rest;
                            false
                        }
                        None => true,
                    })
                    .unwrap_or_default()
            }
            Source::List(list) => Self::recorded(list, self.taken.len(), weights.len()),
        };
        self.note(choice)
    }

    fn recorded(list: &[u16], at: usize, bound: usize) -> usize {
        list.get(at).map_or(0, |choice| usize::from(*choice).min(bound.saturating_sub(1)))
    }

    fn note(&mut self, choice: usize) -> usize {
        self.taken.push(u16::try_from(choice).unwrap_or(u16::MAX));
        choice
    }
}

/// SplitMix64, by Sebastiano Vigna: one word of state, and every seed is a good one.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_the_same_choices_as_the_seed_that_made_it() {
        let mut seeded = Choices::from_seed(7);
        let made: Vec<usize> =
            (0..50).map(|n| if n % 2 == 0 { seeded.below(9) } else { seeded.weighted(&[5, 1, 0, 3]) }).collect();
        let mut again = Choices::from_list(&seeded.taken());
        let repeated: Vec<usize> =
            (0..50).map(|n| if n % 2 == 0 { again.below(9) } else { again.weighted(&[5, 1, 0, 3]) }).collect();
        assert_eq!(made, repeated);
        assert_eq!(again.below(9), 0, "beyond the list nothing happens");
        assert!(made.iter().skip(1).step_by(2).all(|choice| *choice != 2), "a weight of nothing is never chosen");
    }

    #[test]
    fn splitmix64_is_the_published_one() {
        let mut state = 1234567;
        assert_eq!([next(&mut state), next(&mut state)], [6457827717110365317, 3203168211198807973]);
    }
}
