//! Parts that several pages share.

pub mod browser;
pub mod chip;
pub mod compact;
mod field;
pub mod form;
pub mod form_data;
pub mod load;
pub mod rows;
pub mod time;
pub mod title;
pub mod turns;
pub mod words;
