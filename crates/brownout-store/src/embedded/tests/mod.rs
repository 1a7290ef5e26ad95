mod folder;
mod log;
mod maintenance;
mod support;
