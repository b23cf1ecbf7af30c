//! Sessions: placed, started, kept while they are used, ended when they are not.

pub mod driver;
