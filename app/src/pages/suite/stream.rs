//! The stream of a suite in the browser.
//!
//! One callback for all kinds of events on the browser's own `EventSource`,
//! so that they arrive in the order of the wire and errors are seen as they
//! are: reconnecting or refused for good.

use super::live::{Hearing, LOG, Live};
use crate::components::browser;
use crate::components::compact;
use crate::domain::{
    Finished, Progress, Run, RunEvent, RunId, SuiteEvent, SuiteSnapshot, TurnEvent,
};
use leptos::prelude::*;
use std::time::Duration;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{EventSource, MessageEvent};

/// Broken for longer than this is said.
const LOST_AFTER: i64 = 2000;
/// How long "Back, caught up" stays.
const BACK_FOR: i64 = 4000;
/// Between two questions where the stream is refused.
const POLL: i64 = 3000;

/// An open stream; closed when dropped.
struct Stream {
    source: EventSource,
    _on_event: Closure<dyn FnMut(MessageEvent)>,
    _on_state: Closure<dyn FnMut(web_sys::Event)>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.source.set_onopen(None);
        self.source.set_onerror(None);
        self.source.close();
    }
}

/// Since when the stream is broken, when it came back, when it was asked last.
#[derive(Clone, Copy, Default)]
struct Times {
    lost: Option<i64>,
    back: Option<i64>,
    refused: bool,
    polled: i64,
}

#[derive(Clone, Copy)]
struct Listening {
    live: Live,
    stream: StoredValue<Option<Stream>, LocalStorage>,
    times: StoredValue<Times>,
}

/// Listens until the page goes; a hidden tab does not, and catches up.
pub(super) fn listen(live: Live) {
    let listening = Listening {
        live,
        stream: StoredValue::new_local(None),
        times: StoredValue::new(Times::default()),
    };
    listening.open();
    if !live.is_final() {
        // Whoever comes in the middle wants to hear what is said now.
        browser::later(0, || browser::scroll_to_end(LOG));
    }
    let visibility = StoredValue::new_local(Some(browser::on_visibility(move || {
        if browser::is_hidden() {
            listening.close();
        } else {
            listening.open();
        }
    })));
    let ticking = set_interval_with_handle(move || listening.tick(), Duration::from_secs(1));
    live.tick(browser::now());
    on_cleanup(move || {
        listening.close();
        visibility.set_value(None);
        if let Ok(ticking) = ticking {
            ticking.clear();
        }
    });
}

impl Listening {
    fn open(self) {
        if self.live.is_final() || browser::is_hidden() || self.is_open() {
            return;
        }
        self.times.update_value(|times| times.refused = false);
        let url = format!("/api/v1/suites/{}/events?after={}", self.live.id, self.live.seq());
        let Ok(source) = EventSource::new(&url) else { return };
        let on_event = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if let (Some(event), id) = (parse(&event), event_id(&event)) {
                self.live.hear(id, event);
                if self.live.is_final() {
                    // Not from within its own callback.
                    browser::later(0, move || self.close());
                }
            }
        });
        for kind in ["snapshot", "run", "turn", "progress", "finished"] {
            let callback = on_event.as_ref().unchecked_ref();
            let _ = source.add_event_listener_with_callback(kind, callback);
        }
        let on_state = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
            self.changed(&event);
        });
        source.set_onopen(Some(on_state.as_ref().unchecked_ref()));
        source.set_onerror(Some(on_state.as_ref().unchecked_ref()));
        let stream = Stream { source, _on_event: on_event, _on_state: on_state };
        self.stream.set_value(Some(stream));
    }

    fn is_open(self) -> bool {
        self.stream.with_value(Option::is_some)
    }

    fn close(self) {
        let _ = self.stream.try_update_value(|stream| drop(stream.take()));
        let _ = self.times.try_update_value(|times| times.lost = None);
    }

    fn changed(self, event: &web_sys::Event) {
        let Some(source) = event.target().and_then(|t| t.dyn_into::<EventSource>().ok()) else {
            return;
        };
        let now = browser::now();
        match source.ready_state() {
            EventSource::OPEN => {
                let hearing = self.live.hearing.get_untracked();
                let lost = matches!(hearing, Hearing::Lost | Hearing::Polling);
                self.times.update_value(|times| {
                    times.lost = None;
                    times.back = lost.then_some(now);
                });
                self.live.heard(if lost { Hearing::Back } else { Hearing::Fine });
            }
            EventSource::CONNECTING => {
                self.times.update_value(|times| times.lost = times.lost.or(Some(now)));
            }
            // Refused for good: nothing more to say (204), or to be asked for.
            _ if self.live.is_final() => {}
            _ => {
                self.times.update_value(|times| {
                    times.refused = true;
                    times.polled = now;
                });
                browser::later(0, move || self.close());
                self.live.read_all();
                self.live.heard(Hearing::Polling);
            }
        }
    }

    fn tick(self) {
        let now = browser::now();
        let times = self.times.get_value();
        if times.lost.is_some_and(|lost| now - lost > LOST_AFTER) {
            self.live.heard(Hearing::Lost);
        }
        if times.back.is_some_and(|back| now - back > BACK_FOR) {
            self.times.update_value(|times| times.back = None);
            self.live.heard(Hearing::Fine);
        }
        if times.refused && !self.live.is_final() && now - times.polled > POLL {
            // Whoever refused may have been a proxy while the server was started
            // again: the stream is tried anew, and where it is refused again,
            // everything is read.
            self.times.update_value(|times| times.polled = now);
            self.open();
        }
        self.live.tick(now);
    }
}

/// The seq of an event. The browser repeats the last one for events without
/// an id of their own, so `progress` has none.
fn event_id(event: &MessageEvent) -> Option<i64> {
    if event.type_() == "progress" { None } else { event.last_event_id().parse().ok() }
}

/// An event as its kind and data say; one that cannot be read is left out.
fn parse(event: &MessageEvent) -> Option<SuiteEvent> {
    let data = event.data().as_string()?;
    Some(match event.type_().as_str() {
        "snapshot" => {
            SuiteEvent::Snapshot(Box::new(compact::from_str::<SuiteSnapshot>(&data).ok()?))
        }
        // Read without serde's `flatten`, which is large: the run repeats its id.
        "run" => {
            let run: Run = compact::from_str(&data).ok()?;
            SuiteEvent::Run(Box::new(RunEvent { run_id: run.id, run }))
        }
        "turn" => {
            let WhichRun { run_id } = compact::from_str(&data).ok()?;
            let turn = compact::from_str(&data).ok()?;
            SuiteEvent::Turn(Box::new(TurnEvent { run_id, turn }))
        }
        "progress" => SuiteEvent::Progress(compact::from_str::<Progress>(&data).ok()?),
        "finished" => SuiteEvent::Finished(compact::from_str::<Finished>(&data).ok()?),
        _ => return None,
    })
}

/// Whose turn an event is.
#[derive(serde::Deserialize)]
struct WhichRun {
    run_id: RunId,
}
