//! Properties of random event sequences.

use super::{T0, failure, forbidden, throttled, unauthorized};
use crate::outbound::breaker::{Acquire, Circuit, Outcome, Ticket};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Act {
    Acquire { manual: bool, dear: bool },
    End(usize, u8),
    Pass(u64),
    Edit,
    Save,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (proptest::bool::weighted(0.1), proptest::bool::weighted(0.3))
            .prop_map(|(manual, dear)| Act::Acquire { manual, dear }),
        8 => (0..99_usize, 0..8_u8).prop_map(|(n, how)| Act::End(n, how)),
        2 => (1..400_u64).prop_map(Act::Pass),
        1 => Just(Act::Edit),
        1 => Just(Act::Save),
    ]
}

proptest! {
    /// While the circuit is not closed, at most one call that was granted in that state is
    /// in flight, except manual probes. After all calls ended, a call is granted again:
    /// no permit is lost.
    #[test]
    fn at_most_one_probe_and_no_permit_is_lost(acts in proptest::collection::vec(act(), 1..300)) {
        let (mut circuit, mut now) = (Circuit::default(), T0);
        // The tickets in flight, and whether they are probes of the current state.
        let mut out: Vec<(Ticket, bool)> = Vec::new();
        for act in acts {
            match act {
                Act::Acquire { manual, dear } => {
                    let model = if dear { "dear" } else { "m" };
                    let shut = circuit.state_name() != "closed";
                    if let Acquire::Granted(ticket) = circuit.acquire(model, manual, now) {
                        out.push((ticket, shut && !manual));
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
                        6 => Outcome::Cancelled,
                        7 => Outcome::Success,
                        _ => Outcome::Error(&error),
                    };
                    let before = circuit.state_name();
                    circuit.record(&ticket, outcome, now);
                    if circuit.state_name() != before {
                        // After a transition the outcomes of earlier probes are ignored.
                        out.iter_mut().for_each(|(_, probes)| *probes = false);
                    }
                }
                Act::End(..) => {}
                Act::Pass(seconds) => now = now.plus(Duration::from_secs(seconds)),
                Act::Edit => {
                    circuit.reset();
                    out.iter_mut().for_each(|(_, probes)| *probes = false);
                }
                Act::Save => {
                    let before = circuit.state_name();
                    circuit.clear_suspensions();
                    if circuit.state_name() != before {
                        out.iter_mut().for_each(|(_, probes)| *probes = false);
                    }
                }
            }
            let probes = out.iter().filter(|(_, probes)| *probes).count();
            prop_assert!(probes <= 1, "{probes} probes at once: {circuit:?}");
        }
        for (ticket, _) in out {
            circuit.record(&ticket, Outcome::Cancelled, now);
        }
        let later = now.plus(Duration::from_secs(301));
        prop_assert!(matches!(circuit.acquire("m", false, later), Acquire::Granted(_)), "{circuit:?}");
    }
}
