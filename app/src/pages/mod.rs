//! One folder or file a page.

pub mod home;
