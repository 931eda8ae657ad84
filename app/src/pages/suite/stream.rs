//! The event stream of a suite in the browser.
//!
//! All event types share one callback on a plain `EventSource`, so that they
//! arrive in the order they were sent, and so that a reconnect can be told from
//! a rejected stream.

use super::live::{LOG, LiveSuite};
use super::stream_status::StreamMonitor;
use crate::components::browser;
use crate::components::positional_json;
use crate::domain::{
    FinishedEvent, ProgressEvent, Run, RunEvent, RunId, SuiteEvent, SuiteSnapshot, TurnEvent,
};
use leptos::prelude::*;
use std::time::Duration;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{EventSource, MessageEvent};

/// Minimum time between two renders in milliseconds. With hundreds of rows one
/// render takes tens of milliseconds.
const RENDER_INTERVAL: i64 = 100;

/// An open stream, closed on drop.
struct OpenStream {
    source: EventSource,
    _on_event: Closure<dyn FnMut(MessageEvent)>,
    _on_state: Closure<dyn FnMut(web_sys::Event)>,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.source.set_onopen(None);
        self.source.set_onerror(None);
        self.source.close();
    }
}

#[derive(Clone, Copy)]
struct SuiteStream {
    live: LiveSuite,
    stream: StoredValue<Option<OpenStream>, LocalStorage>,
    monitor: StoredValue<StreamMonitor>,
    /// Events since the last render.
    pending: StoredValue<Vec<(Option<i64>, SuiteEvent)>>,
    /// Time of the last render.
    rendered_at: StoredValue<i64>,
}

/// Streams events into `live` until the page is unmounted. The stream is closed
/// while the tab is hidden and catches up afterwards.
pub(super) fn connect(live: LiveSuite) {
    let suite_stream = SuiteStream {
        live,
        stream: StoredValue::new_local(None),
        monitor: StoredValue::new(StreamMonitor::default()),
        pending: StoredValue::new(Vec::new()),
        rendered_at: StoredValue::new(0),
    };
    suite_stream.open();
    if !live.is_final() {
        // Starts at the newest turn.
        browser::after_ms(0, || browser::scroll_to_end(LOG));
    }
    let visibility = StoredValue::new_local(Some(browser::on_visibility(move || {
        if browser::is_hidden() {
            suite_stream.close();
        } else {
            suite_stream.open();
        }
    })));
    let ticker = set_interval_with_handle(move || suite_stream.tick(), Duration::from_secs(1));
    live.tick(browser::now_ms());
    on_cleanup(move || {
        suite_stream.close();
        visibility.set_value(None);
        if let Ok(ticker) = ticker {
            ticker.clear();
        }
    });
}

impl SuiteStream {
    fn open(self) {
        if self.live.is_final() || browser::is_hidden() || self.is_open() {
            return;
        }
        // Applies pending events first, so that `after` names the newest known event.
        self.render();
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
            self.on_state_change(&event);
        });
        source.set_onopen(Some(on_state.as_ref().unchecked_ref()));
        source.set_onerror(Some(on_state.as_ref().unchecked_ref()));
        let stream = OpenStream { source, _on_event: on_event, _on_state: on_state };
        self.stream.set_value(Some(stream));
    }

    /// Queues an event for the next render.
    fn collect(self, id: Option<i64>, event: SuiteEvent) {
        let first = self.pending.try_update_value(|pending| {
            pending.push((id, event));
            pending.len() == 1
        });
        if first != Some(true) {
            return;
        }
        let since = browser::now_ms() - self.rendered_at.get_value();
        let wait = i32::try_from(RENDER_INTERVAL - since).unwrap_or_default();
        if wait > 0 {
            browser::after_ms(wait, move || self.render());
        } else {
            request_animation_frame(move || self.render());
        }
    }

    fn render(self) {
        let _ = self.rendered_at.try_update_value(|at| *at = browser::now_ms());
        let events = self.pending.try_update_value(std::mem::take).unwrap_or_default();
        if events.is_empty() {
            return;
        }
        self.live.apply_events(events);
        if self.live.is_final() {
            self.close();
        }
    }

    fn is_open(self) -> bool {
        self.stream.with_value(Option::is_some)
    }

    fn close(self) {
        let _ = self.stream.try_update_value(|stream| drop(stream.take()));
        let _ = self.monitor.try_update_value(StreamMonitor::closed);
    }

    fn on_state_change(self, event: &web_sys::Event) {
        let Some(source) = event.target().and_then(|t| t.dyn_into::<EventSource>().ok()) else {
            return;
        };
        let now = browser::now_ms();
        match source.ready_state() {
            EventSource::OPEN => self.update_status(|monitor| monitor.opened(now)),
            EventSource::CONNECTING => self.update_status(|monitor| monitor.disconnected(now)),
            // A finished suite answers 204: the stream is over.
            _ if self.live.is_final() => {}
            _ => {
                browser::after_ms(0, move || self.close());
                self.live.reload();
                self.update_status(|monitor| monitor.rejected(now));
            }
        }
    }

    /// Updates the monitor and shows its status.
    fn update_status(self, update: impl FnOnce(&mut StreamMonitor)) {
        let status = self.monitor.try_update_value(|monitor| {
            update(monitor);
            monitor.status()
        });
        self.live.set_stream_status(status.unwrap_or_default());
    }

    fn tick(self) {
        let now = browser::now_ms();
        let finished = self.live.is_final();
        self.update_status(|monitor| monitor.tick(now, finished));
        let poll = self.monitor.try_update_value(|monitor| monitor.take_due_poll(now));
        if !finished && poll == Some(true) {
            // Retries the stream. If it is rejected again, `reload` runs again.
            self.open();
        }
        self.live.tick(now);
    }
}

/// The sequence number of an event. `progress` events have none, and the
/// browser repeats the last ID for them.
fn event_id(event: &MessageEvent) -> Option<i64> {
    if event.type_() == "progress" { None } else { event.last_event_id().parse().ok() }
}

/// Parses an event. Events that cannot be parsed are ignored.
fn parse(event: &MessageEvent) -> Option<SuiteEvent> {
    let data = event.data().as_string()?;
    Some(match event.type_().as_str() {
        "snapshot" => {
            SuiteEvent::Snapshot(Box::new(positional_json::from_str::<SuiteSnapshot>(&data).ok()?))
        }
        // Avoids serde's `flatten`, which is large: a run contains its own ID.
        "run" => {
            let run: Run = positional_json::from_str(&data).ok()?;
            SuiteEvent::Run(Box::new(RunEvent { run_id: run.id, run }))
        }
        "turn" => {
            let TurnOwner { run_id } = positional_json::from_str(&data).ok()?;
            let turn = positional_json::from_str(&data).ok()?;
            SuiteEvent::Turn(Box::new(TurnEvent { run_id, turn }))
        }
        "progress" => SuiteEvent::Progress(positional_json::from_str::<ProgressEvent>(&data).ok()?),
        "finished" => SuiteEvent::Finished(positional_json::from_str::<FinishedEvent>(&data).ok()?),
        _ => return None,
    })
}

#[derive(serde::Deserialize)]
struct TurnOwner {
    run_id: RunId,
}
