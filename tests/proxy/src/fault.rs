//! What can go wrong on the way, and to which request it happens.

use std::time::Duration;

use crate::request::Asked;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never arrives, and the connection breaks.
    LoseRequest,
    /// It arrives and is answered, and the answer is lost with the connection.
    LoseAnswer,
    /// It arrives late.
    Delay(Duration),
    /// It arrives twice; the answer to the first is given.
    Repeat,
    /// The connection breaks at once, and it arrives after all, later.
    ArriveLate(Duration),
    /// It does not arrive, and is answered with this status.
    Refuse(u16),
    /// It arrives, and is answered with this status whatever came of it.
    Misreport(u16),
    /// It arrives, and the connection breaks within the answer.
    CutAnswer,
    /// A watch stays open and says nothing any more; any other answer never ends.
    Stall,
    /// A read is answered with the first answer that was ever given to the same question.
    OldAnswer,
}

impl Fault {
    /// Every kind of fault, with times that fit a test.
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::LoseRequest,
            Self::LoseAnswer,
            Self::Delay(Duration::from_millis(300)),
            Self::Repeat,
            Self::ArriveLate(Duration::from_millis(700)),
            Self::CutAnswer,
            Self::Stall,
            Self::OldAnswer,
        ];
        all.extend([409, 413, 422, 429, 500, 503, 504].map(Self::Refuse));
        all.extend([500, 503, 504].map(Self::Misreport));
        all
    }

    /// Its name, for tables.
    pub fn name(&self) -> String {
        match self {
            Self::LoseRequest => "lose request".to_owned(),
            Self::LoseAnswer => "lose answer".to_owned(),
            Self::Delay(_) => "delay".to_owned(),
            Self::Repeat => "repeat".to_owned(),
            Self::ArriveLate(_) => "arrive late".to_owned(),
            Self::Refuse(code) => format!("refuse {code}"),
            Self::Misreport(code) => format!("misreport {code}"),
            Self::CutAnswer => "cut answer".to_owned(),
            Self::Stall => "stall".to_owned(),
            Self::OldAnswer => "old answer".to_owned(),
        }
    }

    /// Whether it can happen to such a request: what is no read has no old answer.
    pub fn fits(&self, asked: &Asked) -> bool {
        match self {
            Self::OldAnswer => matches!(asked.verb.as_str(), "get" | "list"),
            Self::Repeat | Self::ArriveLate(_) => asked.verb != "watch",
            _ => true,
        }
    }
}

/// What is done when a fault happens.
pub type Then = Box<dyn FnOnce() + Send>;

/// To which request it happens: to the first one for which this is true, and then to so many more.
pub struct Rule {
    /// Which requests are meant.
    pub matches: Box<dyn Fn(&Asked) -> bool + Send>,
    /// How many of those pass before it happens.
    pub after: usize,
    /// How often it happens; [`usize::MAX`] until it is lifted.
    pub times: usize,
    /// What happens.
    pub fault: Fault,
    /// Called once, when it happens for the first time: after the request has arrived, if it does, and before anything of
    /// the answer is seen.
    pub then: Option<Then>,
}

impl Rule {
    /// This fault, once, to the request of this number (from 0) of all that come from now on.
    pub fn nth(number: usize, fault: Fault) -> Self {
        Self { matches: Box::new(|_| true), after: number, times: 1, fault, then: None }
    }

    /// This fault to every request of which this is true, until it is lifted.
    pub fn always(matches: impl Fn(&Asked) -> bool + Send + 'static, fault: Fault) -> Self {
        Self { matches: Box::new(matches), after: 0, times: usize::MAX, fault, then: None }
    }

    /// With something to do when it happens.
    pub fn then(self, then: impl FnOnce() + Send + 'static) -> Self {
        Self { then: Some(Box::new(then)), ..self }
    }
}
