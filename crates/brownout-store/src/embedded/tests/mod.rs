mod log;
mod support;
