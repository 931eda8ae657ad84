//! Parses log directives of the settings.

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// Validates directives: each is a level or `target=level`. Blank means `info`. Rejects a
/// lone word that is not a level: `EnvFilter` reads it as a module name and disables the
/// rest of the log.
///
/// # Errors
/// A message with an example.
pub(crate) fn directives(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok("info".to_owned());
    }
    for part in text.split(',') {
        if !part.contains('=') && part.trim().parse::<LevelFilter>().is_err() {
            return Err(format!(
                "{part:?} is not a log level: use error, warn, info, debug, trace or off, or \
                 directives like info,engine=debug"
            ));
        }
    }
    let expanded = text.split(',').flat_map(expand).collect::<Vec<_>>().join(",");
    match EnvFilter::try_new(&expanded) {
        Ok(_) => Ok(expanded),
        Err(error) => Err(format!("cannot be parsed: {error}")),
    }
}

/// The crates of the product besides `server`.
const CRATES: [&str; 6] = ["engine", "llm", "services", "store", "store_sqlite", "telemetry"];

/// The crates that contain the former modules of the crate `server`.
const FORMER_MODULES: [(&str, &str); 5] = [
    ("server::backend", "services"),
    ("server::engine", "engine"),
    ("server::llm", "llm"),
    ("server::observe", "telemetry"),
    ("server::store", "store"),
];

/// Keeps directives of releases working in which `server` was one crate: the
/// target `server` means all crates, and its former modules mean their crates.
fn expand(part: &str) -> Vec<String> {
    if let Some(rest) = part.strip_prefix("server=") {
        let others = CRATES.iter().map(|name| format!("{name}={rest}"));
        return std::iter::once(part.to_owned()).chain(others).collect();
    }
    let former = FORMER_MODULES.iter().find_map(|(old, new)| {
        let rest = part.strip_prefix(old)?;
        rest.starts_with(['=', ':', '[']).then_some((new, rest))
    });
    match former {
        Some((&"store", rest)) if rest.starts_with('=') => {
            vec![format!("store{rest}"), format!("store_sqlite{rest}")]
        }
        Some((new, rest)) => vec![format!("{new}{rest}")],
        None => vec![part.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::directives;
    use rstest::rstest;

    #[rstest]
    #[case("", "info")]
    #[case(" ", "info")]
    #[case("WARN", "WARN")]
    #[case("off", "off")]
    #[case("info,engine=debug", "info,engine=debug")]
    #[case("info,server[run]=trace", "info,server[run]=trace")]
    #[case("info,server::engine=debug", "info,engine=debug")]
    #[case("server::llm::outbound=trace", "llm::outbound=trace")]
    #[case("server::store=warn", "store=warn,store_sqlite=warn")]
    #[case("server::http=debug", "server::http=debug")]
    #[case(
        "server=debug",
        "server=debug,engine=debug,llm=debug,services=debug,store=debug,store_sqlite=debug,telemetry=debug"
    )]
    fn levels_and_directives_are_accepted(#[case] text: &str, #[case] read: &str) {
        assert_eq!(directives(text).as_deref(), Ok(read));
    }

    #[rstest]
    #[case("loud")]
    #[case("info,loud")]
    #[case("server")]
    #[case("server=loud")]
    #[case("info, server=debug")]
    fn unknown_levels_are_rejected(#[case] text: &str) {
        assert!(directives(text).is_err());
    }
}
