//! The pure part of a conversation: what is said next, and when it ends.
