//! Whatever happens in whatever order.

use super::{T0, failure, forbidden, throttled, unauthorized};
use crate::outbound::breaker::{Circuit, Heard, Outcome, Ticket};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Act {
    Ask { person: bool, dear: bool },
    End(usize, u8),
    Pass(u64),
    Edit,
    Save,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (proptest::bool::weighted(0.1), proptest::bool::weighted(0.3))
            .prop_map(|(person, dear)| Act::Ask { person, dear }),
        8 => (0..99_usize, 0..8_u8).prop_map(|(n, how)| Act::End(n, how)),
        2 => (1..400_u64).prop_map(Act::Pass),
        1 => Just(Act::Edit),
        1 => Just(Act::Save),
    ]
}

proptest! {
    /// While it is not closed, at most one call of its own is out that was let
    /// go in that state; and when all have come back, sooner or later one may
    /// go: no permit is ever lost.
    #[test]
    fn never_more_than_one_probe_and_permits_come_back(acts in proptest::collection::vec(act(), 1..300)) {
        let (mut circuit, mut now) = (Circuit::default(), T0);
        // Tickets that are out, and whether they were let go while shut.
        let mut out: Vec<(Ticket, bool)> = Vec::new();
        for act in acts {
            match act {
                Act::Ask { person, dear } => {
                    let model = if dear { "dear" } else { "m" };
                    let shut = circuit.word() != "closed";
                    if let Heard::Go(ticket) = circuit.ask(model, person, now) {
                        out.push((ticket, shut && !person));
                    }
                }
                Act::End(n, how) if !out.is_empty() => {
                    let (ticket, _) = out.remove(n % out.len());
                    let error = match how {
                        0 | 1 => failure(),
                        2 => unauthorized(),
                        3 => forbidden(),
                        4 => throttled(true),
                        _ => throttled(false),
                    };
                    let outcome = match how {
                        6 => Outcome::GivenBack,
                        7 => Outcome::Success,
                        _ => Outcome::Error(&error),
                    };
                    let before = circuit.word();
                    circuit.ended(&ticket, outcome, now);
                    if circuit.word() != before {
                        // In another state earlier probes are stragglers.
                        out.iter_mut().for_each(|(_, probes)| *probes = false);
                    }
                }
                Act::End(..) => {}
                Act::Pass(seconds) => now = now.plus(Duration::from_secs(seconds)),
                Act::Edit => {
                    circuit.edited();
                    out.iter_mut().for_each(|(_, probes)| *probes = false);
                }
                Act::Save => {
                    let before = circuit.word();
                    circuit.saved();
                    if circuit.word() != before {
                        out.iter_mut().for_each(|(_, probes)| *probes = false);
                    }
                }
            }
            let probes = out.iter().filter(|(_, probes)| *probes).count();
            prop_assert!(probes <= 1, "{probes} probes at once: {circuit:?}");
        }
        for (ticket, _) in out {
            circuit.ended(&ticket, Outcome::GivenBack, now);
        }
        let later = now.plus(Duration::from_secs(301));
        prop_assert!(matches!(circuit.ask("m", false, later), Heard::Go(_)), "{circuit:?}");
    }
}
