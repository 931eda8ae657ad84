//! What is to be logged, as it is spelled in the settings.

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// The directives, if each is a level or `target=level`; blank is `info`. A
/// bare word that is no level would be taken for the name of a module, and the
/// log would stay empty.
///
/// # Errors
/// A sentence with an example.
pub(crate) fn directives(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok("info".to_owned());
    }
    for part in text.split(',') {
        if !part.contains('=') && part.trim().parse::<LevelFilter>().is_err() {
            return Err(format!(
                "{part:?} is no level: use error, warn, info, debug, trace or off, or directives \
                 like info,engine=debug"
            ));
        }
    }
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
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
    fn levels_and_directives_are_taken(#[case] text: &str, #[case] read: &str) {
        assert_eq!(directives(text).as_deref(), Ok(read));
    }

    #[rstest]
    #[case("loud")]
    #[case("info,loud")]
    #[case("server")]
    #[case("server=loud")]
    #[case("info, server=debug")]
    fn a_slip_is_told_and_not_taken_for_silence(#[case] text: &str) {
        assert!(directives(text).is_err());
    }
}
