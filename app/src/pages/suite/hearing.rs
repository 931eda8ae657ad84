//! How the page hears of news, and what it says of that. Pure.

/// Broken for longer than this is said; milliseconds.
const LOST_AFTER: i64 = 2000;
/// How long "Back, caught up" stays; milliseconds.
const BACK_FOR: i64 = 4000;
/// Between two questions where the stream is refused; milliseconds.
const POLL: i64 = 3000;

/// How the page hears of news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hearing {
    /// The stream is open, or needs not be.
    #[default]
    Fine,
    /// It broke more than two seconds ago.
    Lost,
    /// It is back, a moment ago.
    Back,
    /// It was refused; the page asks instead.
    Polling,
}

/// A stream as its reader sees it. Times are milliseconds of one clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    shown: Hearing,
    /// When that was shown first; while asking: when it was asked last.
    since: i64,
    /// Since when it is broken.
    broken: Option<i64>,
}

impl Wire {
    /// What there is to say.
    #[must_use]
    pub fn shown(&self) -> Hearing {
        self.shown
    }

    /// The stream is open.
    pub fn opened(&mut self, now: i64) {
        self.broken = None;
        match self.shown {
            Hearing::Lost | Hearing::Polling => self.show(Hearing::Back, now),
            Hearing::Fine | Hearing::Back => {}
        }
    }

    /// The stream broke, or could not be opened again; it is being tried.
    pub fn broke(&mut self, now: i64) {
        self.broken.get_or_insert(now);
    }

    /// The stream was refused, and is not tried again by the browser.
    pub fn refused(&mut self, now: i64) {
        self.broken = None;
        self.show(Hearing::Polling, now);
    }

    /// The page itself closed the stream: nothing is missed by accident.
    pub fn closed(&mut self) {
        self.broken = None;
    }

    /// Time has passed; `over`: there is nothing more to hear.
    pub fn tick(&mut self, now: i64, over: bool) {
        let broken = self.broken.is_some_and(|since| now - since > LOST_AFTER);
        let next = match self.shown {
            Hearing::Back if now - self.since > BACK_FOR => Hearing::Fine,
            Hearing::Lost | Hearing::Polling if over => Hearing::Fine,
            shown => shown,
        };
        let next = if broken && !over { Hearing::Lost } else { next };
        if next != self.shown {
            self.show(next, now);
        }
    }

    /// Whether it is time to ask, where the stream is refused. Whoever refused
    /// may have been a proxy while the server was started again.
    pub fn asks(&mut self, now: i64) -> bool {
        let due = self.shown == Hearing::Polling && now - self.since > POLL;
        if due {
            self.since = now;
        }
        due
    }

    fn show(&mut self, hearing: Hearing, now: i64) {
        self.shown = hearing;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::{Hearing, Wire};

    /// What is shown each second, from `from` to `to` seconds.
    fn seconds(wire: &mut Wire, from: i64, to: i64) -> Vec<Hearing> {
        let mut shown = Vec::new();
        for second in from..=to {
            wire.tick(second * 1000, false);
            shown.push(wire.shown());
        }
        shown
    }

    #[test]
    fn a_short_break_is_not_told_and_a_long_one_is() {
        let mut wire = Wire::default();
        wire.broke(0);
        assert_eq!(seconds(&mut wire, 1, 2), [Hearing::Fine; 2]);
        wire.opened(2100);
        assert_eq!(seconds(&mut wire, 3, 9), [Hearing::Fine; 7], "nobody noticed");
        wire.broke(10_000);
        wire.broke(12_000);
        assert_eq!(seconds(&mut wire, 11, 13), [Hearing::Fine, Hearing::Fine, Hearing::Lost]);
        wire.opened(13_500);
        assert_eq!(wire.shown(), Hearing::Back);
        assert_eq!(seconds(&mut wire, 14, 17), [Hearing::Back; 4]);
        assert_eq!(seconds(&mut wire, 18, 19), [Hearing::Fine; 2]);
    }

    #[test]
    fn a_break_right_after_it_was_back_stays_told_until_it_is_back_again() {
        let mut wire = Wire::default();
        wire.broke(0);
        assert_eq!(seconds(&mut wire, 3, 3), [Hearing::Lost]);
        wire.opened(3000);
        wire.broke(4000);
        // "Back" of before runs out meanwhile, and takes nothing with it.
        assert_eq!(seconds(&mut wire, 7, 12), [Hearing::Lost; 6]);
        wire.opened(12_500);
        assert_eq!(wire.shown(), Hearing::Back);
    }

    #[test]
    fn where_it_is_refused_it_asks_every_few_seconds() {
        let mut wire = Wire::default();
        wire.refused(1000);
        assert_eq!(wire.shown(), Hearing::Polling);
        let asked = (1..=10).filter(|second| wire.asks(second * 1000)).collect::<Vec<_>>();
        assert_eq!(asked, [5, 9]);
        wire.opened(10_500);
        assert_eq!(wire.shown(), Hearing::Back);
        assert!(!wire.asks(60_000), "it has a stream");
    }

    #[test]
    fn a_stream_that_the_page_closed_is_not_lost() {
        let mut wire = Wire::default();
        wire.broke(0);
        wire.closed();
        assert_eq!(seconds(&mut wire, 1, 9), [Hearing::Fine; 9]);
    }

    #[test]
    fn when_all_is_over_nothing_is_lost_any_more() {
        for before in [Wire::broke as fn(&mut Wire, i64), Wire::refused] {
            let mut wire = Wire::default();
            before(&mut wire, 0);
            wire.tick(3000, false);
            assert_ne!(wire.shown(), Hearing::Fine);
            wire.tick(4000, true);
            assert_eq!(wire.shown(), Hearing::Fine);
        }
    }
}
