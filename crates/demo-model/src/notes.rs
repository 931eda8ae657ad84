//! What a caller has told so far, found by simple patterns.

use super::lexicon::words;

/// What is known of the caller and the wish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
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
const BEFORE_NAME: [&str; 7] =
    ["my name is ", "my full name is ", "this is ", "name's ", "under the name ", "i am ", "i'm "];

impl Notes {
    /// Reads all that the caller said; later words replace earlier ones.
    pub(super) fn take<'a>(said: impl IntoIterator<Item = &'a str>) -> Self {
        let mut notes = Self::default();
        for text in said {
            let found = Self::of(text);
            notes.name = found.name.or(notes.name);
            notes.day = found.day.or(notes.day);
            notes.time = found.time.or(notes.time);
            notes.phone = found.phone.or(notes.phone);
            notes.email = found.email.or(notes.email);
            notes.number = found.number.or(notes.number);
        }
        notes
    }

    fn of(text: &str) -> Self {
        let lower = text.to_lowercase();
        let day = DAYS.iter().find(|day| lower.contains(*day)).map(|day| capital(day));
        let phone = phone(text);
        let dialled = |token: &str| phone.as_ref().is_some_and(|phone| phone.contains(token));
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
                .find(|token| is_reference(token) && !dialled(token))
                .map(|token| token.trim_start_matches('#').to_owned()),
            phone,
        }
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// One to three capitalised words after "my name is" and its like.
fn name(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    // Lower case can be longer than the text; then nothing is read.
    let rest = BEFORE_NAME.iter().find_map(|before| {
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
        let half = next.replace('.', "");
        if hour && (half == "am" || half == "pm") {
            return Some(format!("{token} {half}"));
        }
        if let Some((h, m)) = token.split_once(':')
            && h.parse::<u32>().is_ok_and(|h| h < 25)
            && m.get(..2).is_some_and(|m| m.parse::<u32>().is_ok())
        {
            return Some((*token).to_owned());
        }
        let stuck = token.strip_suffix("am").or_else(|| token.strip_suffix("pm"));
        if stuck.is_some_and(|hour| hour.parse::<u32>().is_ok()) || *token == "noon" {
            return Some((*token).to_owned());
        }
        if hour && i > 0 && tokens[i - 1] == "at" {
            return Some((*token).to_owned());
        }
    }
    None
}

/// Seven digits or more, with what people put between them.
fn phone(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_digit() || " -+()/".contains(c);
    text.split(|c| !is_part(c))
        .map(|part| part.trim_matches([' ', '-', '/']))
        .find(|part| part.chars().filter(char::is_ascii_digit).count() >= 7)
        .map(str::to_owned)
}

/// `A1042`, `#1042`, `INV-77`: digits, alone of four or more or behind letters.
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
        let notes = Notes::take([
            "Hello, this is Dana Reed, I need a visit on tuesday at 3 pm.",
            "Call me on 555 010-9988, mail dana@example.org. It is about order A1042.",
            "Rather wednesday.",
        ]);
        let some = |text: &str| Some(text.to_owned());
        let expected = Notes {
            name: some("Dana Reed"),
            day: some("Wednesday"),
            time: some("3 pm"),
            phone: some("555 010-9988"),
            email: some("dana@example.org"),
            number: some("A1042"),
        };
        assert_eq!(notes, expected);
        assert_eq!(Notes::take(["I am so tired of this, it is the third time"]), Notes::default());
        assert_eq!(Notes::take(["ÄÖÜ İİİ my name is X"]).day, None);
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
