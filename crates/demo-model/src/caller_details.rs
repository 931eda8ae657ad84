//! Details of the caller, extracted from the conversation with simple patterns.

use super::lexicon::words;

/// Details of the caller and the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CallerDetails {
    pub(super) name: Option<String>,
    pub(super) day: Option<String>,
    pub(super) time: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) email: Option<String>,
    /// An order, booking or ticket number.
    pub(super) number: Option<String>,
}

const DAYS: [&str; 10] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "tomorrow",
    "today",
    "next week",
];
const NAME_PREFIXES: [&str; 7] =
    ["my name is ", "my full name is ", "this is ", "name's ", "under the name ", "i am ", "i'm "];

impl CallerDetails {
    /// Extracts details from all user turns; later values replace earlier ones.
    pub(super) fn extract<'a>(said: impl IntoIterator<Item = &'a str>) -> Self {
        let mut details = Self::default();
        for text in said {
            let found = Self::from_text(text);
            details.name = found.name.or(details.name);
            details.day = found.day.or(details.day);
            details.time = found.time.or(details.time);
            details.phone = found.phone.or(details.phone);
            details.email = found.email.or(details.email);
            details.number = found.number.or(details.number);
        }
        details
    }

    fn from_text(text: &str) -> Self {
        let lower = text.to_lowercase();
        let day = DAYS.iter().find(|day| lower.contains(*day)).map(|day| capitalize(day));
        let phone = phone(text);
        let is_in_phone = |token: &str| phone.as_ref().is_some_and(|phone| phone.contains(token));
        let tokens = || {
            text.split_whitespace().map(|token| token.trim_matches([',', '.', '!', '?', ';', '"']))
        };
        Self {
            name: name(text),
            day,
            time: time(&lower),
            email: tokens()
                .find(|token| token.contains('@') && token.contains('.'))
                .map(str::to_owned),
            number: tokens()
                .find(|token| is_reference(token) && !is_in_phone(token))
                .map(|token| token.trim_start_matches('#').to_owned()),
            phone,
        }
    }
}

fn capitalize(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// One to three capitalized words after "my name is" and similar phrases.
fn name(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    // Lowercasing can change the length of the text and thus the offsets.
    let rest = NAME_PREFIXES.iter().find_map(|before| {
        let at = lower.find(before)? + before.len();
        text.get(at..).filter(|_| lower.len() == text.len())
    })?;
    let mut found: Vec<&str> = Vec::new();
    for word in rest.split_whitespace().take(3) {
        let bare = word.trim_end_matches([',', '.', '!', '?', ';']);
        if !bare.chars().next().is_some_and(char::is_uppercase) {
            break;
        }
        found.push(bare);
        if bare.len() < word.len() {
            break;
        }
    }
    (!found.is_empty()).then(|| found.join(" "))
}

/// `3 pm`, `10:30`, `at 3`, `noon`.
fn time(lower: &str) -> Option<String> {
    let tokens: Vec<&str> =
        lower.split_whitespace().map(|token| token.trim_matches([',', '.', '!', '?'])).collect();
    for (i, token) in tokens.iter().enumerate() {
        let next = tokens.get(i + 1).copied().unwrap_or_default();
        let hour = token.parse::<u32>().is_ok_and(|hour| (1..=24).contains(&hour));
        let am_pm = next.replace('.', "");
        if hour && (am_pm == "am" || am_pm == "pm") {
            return Some(format!("{token} {am_pm}"));
        }
        if let Some((h, m)) = token.split_once(':')
            && h.parse::<u32>().is_ok_and(|h| h < 25)
            && m.get(..2).is_some_and(|m| m.parse::<u32>().is_ok())
        {
            return Some((*token).to_owned());
        }
        let before_am_pm = token.strip_suffix("am").or_else(|| token.strip_suffix("pm"));
        if before_am_pm.is_some_and(|hour| hour.parse::<u32>().is_ok()) || *token == "noon" {
            return Some((*token).to_owned());
        }
        if hour && i > 0 && tokens[i - 1] == "at" {
            return Some((*token).to_owned());
        }
    }
    None
}

/// At least seven digits with common separators.
fn phone(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_digit() || " -+()/".contains(c);
    text.split(|c| !is_part(c))
        .map(|part| part.trim_matches([' ', '-', '/']))
        .find(|part| part.chars().filter(char::is_ascii_digit).count() >= 7)
        .map(str::to_owned)
}

/// `A1042`, `#1042`, `INV-77`: at least four digits, or digits after letters or `#`.
fn is_reference(token: &str) -> bool {
    let bare = token.trim_start_matches('#');
    let digits = bare.chars().filter(char::is_ascii_digit).count();
    let shape =
        words(bare).next().is_some() && bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let letters = bare.chars().take_while(char::is_ascii_uppercase).count();
    shape && ((token.starts_with('#') && digits > 0) || digits >= 4 || (letters > 0 && digits >= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_taken() {
        let details = CallerDetails::extract([
            "Hello, this is Dana Reed, I need a visit on tuesday at 3 pm.",
            "Call me on 555 010-9988, mail dana@example.org. It is about order A1042.",
            "Rather wednesday.",
        ]);
        let some = |text: &str| Some(text.to_owned());
        let expected = CallerDetails {
            name: some("Dana Reed"),
            day: some("Wednesday"),
            time: some("3 pm"),
            phone: some("555 010-9988"),
            email: some("dana@example.org"),
            number: some("A1042"),
        };
        assert_eq!(details, expected);
        assert_eq!(
            CallerDetails::extract(["I am so tired of this, it is the third time"]),
            CallerDetails::default()
        );
        assert_eq!(CallerDetails::extract(["ÄÖÜ İİİ my name is X"]).day, None);
    }

    #[test]
    fn times_in_several_spellings() {
        for (text, found) in [
            ("at 10:30", "10:30"),
            ("around 3pm", "3pm"),
            ("see you at 9", "9"),
            ("at noon", "noon"),
            ("4 p.m. is fine", "4 pm"),
        ] {
            assert_eq!(time(text).as_deref(), Some(found), "{text}");
        }
        assert_eq!(time("I have 3 cats"), None);
    }
}
