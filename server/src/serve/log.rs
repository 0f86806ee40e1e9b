//! The log: standard error, as text or JSON.

use tracing_subscriber::filter::LevelFilter;

use crate::settings::{LogFormat, Settings};

pub(super) fn start(settings: &Settings) {
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_max_level(LevelFilter::from_level(settings.log_level.0));
    match settings.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
