//! Server functions: thin doors to [`crate::backend::Backend`].
