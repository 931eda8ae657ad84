//! The stream of a suite in the browser.
//!
//! One callback for all kinds of events on the browser's own `EventSource`,
//! so that they arrive in the order of the wire and errors are seen as they
//! are: reconnecting or refused for good.

use super::hearing::{Hearing, Wire};
use super::live::{LOG, Live};
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

/// Between two drawings; milliseconds. With hundreds of rows a drawing costs
/// the browser tens of milliseconds, and nobody reads faster.
const DRAW_EVERY: i64 = 100;

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

#[derive(Clone, Copy)]
struct Listening {
    live: Live,
    stream: StoredValue<Option<Stream>, LocalStorage>,
    wire: StoredValue<Wire>,
    /// What came since the last frame.
    heard: StoredValue<Vec<(Option<i64>, SuiteEvent)>>,
    /// When that was drawn last.
    drawn: StoredValue<i64>,
}

/// Listens until the page goes; a hidden tab does not, and catches up.
pub(super) fn listen(live: Live) {
    let listening = Listening {
        live,
        stream: StoredValue::new_local(None),
        wire: StoredValue::new(Wire::default()),
        heard: StoredValue::new(Vec::new()),
        drawn: StoredValue::new(0),
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
        // A tab that was hidden draws what it heard before; then it knows what it missed.
        self.draw();
        let url = format!("/api/v1/suites/{}/events?after={}", self.live.id, self.live.seq());
        let Ok(source) = EventSource::new(&url) else { return };
        let on_event = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if let (Some(event), id) = (parse(&event), event_id(&event)) {
                self.collect(id, event);
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

    /// Keeps an event for the next drawing, in which all of them are drawn.
    fn collect(self, id: Option<i64>, event: SuiteEvent) {
        let first = self.heard.try_update_value(|heard| {
            heard.push((id, event));
            heard.len() == 1
        });
        if first != Some(true) {
            return;
        }
        let since = browser::now() - self.drawn.get_value();
        let wait = i32::try_from(DRAW_EVERY - since).unwrap_or_default();
        if wait > 0 {
            browser::later(wait, move || self.draw());
        } else {
            request_animation_frame(move || self.draw());
        }
    }

    fn draw(self) {
        let _ = self.drawn.try_update_value(|drawn| *drawn = browser::now());
        let heard = self.heard.try_update_value(std::mem::take).unwrap_or_default();
        if heard.is_empty() {
            return;
        }
        self.live.hear(heard);
        if self.live.is_final() {
            self.close();
        }
    }

    fn is_open(self) -> bool {
        self.stream.with_value(Option::is_some)
    }

    fn close(self) {
        let _ = self.stream.try_update_value(|stream| drop(stream.take()));
        let _ = self.wire.try_update_value(Wire::closed);
    }

    fn changed(self, event: &web_sys::Event) {
        let Some(source) = event.target().and_then(|t| t.dyn_into::<EventSource>().ok()) else {
            return;
        };
        let now = browser::now();
        match source.ready_state() {
            EventSource::OPEN => self.tell(|wire| wire.opened(now)),
            EventSource::CONNECTING => self.tell(|wire| wire.broke(now)),
            // Refused for good: nothing more to say (204), or to be asked for.
            _ if self.live.is_final() => {}
            _ => {
                browser::later(0, move || self.close());
                self.live.read_all();
                self.tell(|wire| wire.refused(now));
            }
        }
    }

    /// Something happened to the stream: the page says what there is to say.
    fn tell(self, happened: impl FnOnce(&mut Wire)) {
        let shown = self.wire.try_update_value(|wire| {
            happened(wire);
            wire.shown()
        });
        self.live.heard(shown.unwrap_or(Hearing::Fine));
    }

    fn tick(self) {
        let now = browser::now();
        let over = self.live.is_final();
        self.tell(|wire| wire.tick(now, over));
        if !over && self.wire.try_update_value(|wire| wire.asks(now)) == Some(true) {
            // The stream is tried anew; where it is refused again, everything is read.
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
