//! Components and helpers that several pages share.

pub mod browser;
pub mod chip;
mod field;
pub mod form;
pub mod form_data;
pub mod form_order;
pub mod format;
pub mod model_names;
pub mod page_data;
pub mod positional_json;
pub mod rows;
pub mod table;
pub mod time;
pub mod title;
pub mod turns;
pub mod unsaved;
