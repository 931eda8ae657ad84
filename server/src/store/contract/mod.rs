//! What every store must do: one set of stories, told to each of them.

mod work;
