//! Whose turn it is: one pass at a time for each object, many objects at once.
//!
//! kube's `Controller` does this too, but passes every wake through a queue of timers that count whole milliseconds, and
//! drives all passes in one task. Measured, that is a tenth of the time from a vote to its effect. Here a wake starts a
//! pass at once, in a task of its own.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::pin::pin;

use futures::{Stream, StreamExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Gives turns until `stop` resolves, then waits for the passes under way. A pass says when its object wants its next
/// turn, if nothing wakes it earlier.
pub(super) async fn take<K, F>(
    wakes: impl Stream<Item = K>,
    at_once: usize,
    pass: impl Fn(K) -> F,
    stop: impl Future<Output = ()>,
) where
    K: Clone + Ord + Hash + Send + 'static,
    F: Future<Output = Option<Instant>> + Send + 'static,
{
    let (mut wakes, mut stop) = (pin!(wakes), pin!(stop));
    let mut turns = Turns::<K>::default();
    let mut passes = JoinSet::<(K, Option<Instant>)>::new();
    loop {
        while passes.len() < at_once
            && let Some(key) = turns.next(Instant::now())
        {
            let pass = pass(key.clone());
            passes.spawn(async move { (key, pass.await) });
        }
        let due = turns.due();
        tokio::select! {
            () = &mut stop => break,
            Some(key) = wakes.next() => turns.wake(key),
            Some(ended) = passes.join_next() => match ended {
                Ok((key, next)) => turns.ended(key, next),
                // A mistake of ours. The process ends and starts again, as it would without tasks.
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            },
            // While all places are taken, what is due waits for the end of a pass.
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && passes.len() < at_once => {}
        }
    }
    while passes.join_next().await.is_some() {}
}

/// Where an object stands.
enum Place {
    /// In the queue.
    Waiting,
    /// Asleep until then, or until something wakes it.
    Asleep(Instant),
    /// In a pass.
    Running {
        /// Whether something woke it since the pass began: what woke it, the pass may not have seen.
        woken: bool,
    },
}

/// The order of turns. An object that is nowhere waits for something to wake it.
struct Turns<K> {
    places: HashMap<K, Place>,
    /// First come, first served.
    waiting: VecDeque<K>,
    /// The one to wake next is the first.
    asleep: BTreeSet<(Instant, K)>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { places: HashMap::new(), waiting: VecDeque::new(), asleep: BTreeSet::new() }
    }
}

impl<K: Clone + Ord + Hash> Turns<K> {
    /// Something happened to this object.
    fn wake(&mut self, key: K) {
        match self.places.get_mut(&key) {
            Some(Place::Running { woken }) => *woken = true,
            Some(Place::Waiting) => {}
            Some(Place::Asleep(until)) => {
                self.asleep.remove(&(*until, key.clone()));
                self.queue(key);
            }
            None => self.queue(key),
        }
    }

    /// Whose turn it is.
    fn next(&mut self, now: Instant) -> Option<K> {
        while self.due().is_some_and(|until| until <= now)
            && let Some((_, key)) = self.asleep.pop_first()
        {
            self.queue(key);
        }
        let key = self.waiting.pop_front()?;
        self.places.insert(key.clone(), Place::Running { woken: false });
        Some(key)
    }

    /// A pass has ended.
    fn ended(&mut self, key: K, next: Option<Instant>) {
        match (self.places.remove(&key), next) {
            (Some(Place::Running { woken: true }), _) => self.queue(key),
            (_, Some(until)) => {
                self.asleep.insert((until, key.clone()));
                self.places.insert(key, Place::Asleep(until));
            }
            (_, None) => {}
        }
    }

    /// When the next one wakes by itself.
    fn due(&self) -> Option<Instant> {
        self.asleep.first().map(|(until, _)| *until)
    }

    fn queue(&mut self, key: K) {
        self.waiting.push_back(key.clone());
        self.places.insert(key, Place::Waiting);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_object_has_one_turn_at_a_time_and_none_is_lost() {
        let mut turns = Turns::default();
        let now = Instant::now();
        turns.wake("a");
        turns.wake("a");
        turns.wake("b");
        assert_eq!([turns.next(now), turns.next(now), turns.next(now)], [Some("a"), Some("b"), None]);
        turns.wake("a");
        assert_eq!(turns.next(now), None, "it is in a pass");
        turns.ended("b", None);
        turns.ended("a", None);
        assert_eq!(
            [turns.next(now), turns.next(now)],
            [Some("a"), None],
            "what woke it during the pass gives it another"
        );
        turns.ended("a", None);
        assert!(turns.places.is_empty(), "nothing is kept of what waits for a wake");
    }

    #[test]
    fn a_turn_comes_when_it_is_due_or_earlier_when_woken() {
        let mut turns = Turns::default();
        let now = Instant::now();
        let at = now + Duration::from_secs(5);
        for key in ["a", "b"] {
            turns.wake(key);
            turns.next(now);
            turns.ended(key, Some(at));
        }
        assert_eq!((turns.due(), turns.next(now)), (Some(at), None));
        turns.wake("b");
        assert_eq!([turns.next(now), turns.next(now)], [Some("b"), None]);
        turns.ended("b", None);
        assert_eq!([turns.next(at), turns.next(at)], [Some("a"), None]);
        assert_eq!(turns.due(), None);
    }

    #[tokio::test]
    async fn a_stop_lets_the_passes_under_way_end() {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
        let stop = std::sync::Mutex::new(Some(stop));
        let wakes = futures::stream::iter(["a", "b"]).chain(futures::stream::pending());
        let pass = |key| {
            let (ended, stop) = (ended.clone(), stop.lock().unwrap().take());
            async move {
                drop(stop);
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                ended.send(key).unwrap();
                None
            }
        };
        take(wakes, 1, pass, async { drop(stopped.await) }).await;
        assert_eq!(
            (end.recv().await, end.try_recv().is_err()),
            (Some("a"), true),
            "one at a time, and none after the stop"
        );
    }
}
