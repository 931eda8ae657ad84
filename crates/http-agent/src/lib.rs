//! Deployed agents without I/O: rendering the templates of requests, and reading
//! responses, streams and polls.
//!
//! - [`message_request`], [`start_request`] and [`end_request`] render a template.
//! - [`read_message`] and [`read_start`] read a JSON document.
//! - [`StreamReader`] reads a stream of server-sent events or JSON lines.
//! - [`reply_turns`] makes turns of a reply.
//! - [`poll_state`] and [`resolve_poll_url`] follow a reply that comes later.

mod poll;
mod read;
mod render;
mod session_id;
mod stream;
mod turns;

pub use poll::{PollState, poll_state, resolve_poll_url};
pub use read::{ReadError, ReadReply, StartReply, read_message, read_start};
pub use render::{Context, end_request, message_request, start_request};
pub use session_id::{cookie_value, header_value, session_id};
pub use stream::StreamReader;
pub use turns::{greeting_turn, reply_turns};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod stream_tests;
