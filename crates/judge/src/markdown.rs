//! Removal of Markdown markup, so that a phrase is found although the agent emphasized it.
//!
//! Only markup around words is removed: pairs of `*`, `_` or `~~` that begin and end beside
//! words, backticks, and what marks headings, block quotes, bullets and table rows at the
//! start of a line. A character that belongs to a word stays: `user_id`, `C#`, `2*3*4`.

use super::word_match::is_word_char;
use conversation::sections::is_line_break;

/// The text without markup; `None` if it has none.
pub(super) fn strip_markup(text: &str) -> Option<String> {
    let marks = ['*', '_', '`', '~', '#', '>', '|', '\\'];
    text.contains(marks).then(|| strip_inline(&strip_line_starts(text)))
}

/// Replaces the markup of headings, block quotes, bullets and table rows by spaces.
fn strip_line_starts(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive(is_line_break) {
        let content = line.trim_end();
        let mut rest = content.trim_start();
        while let Some(inner) = rest.strip_prefix('>') {
            rest = inner.trim_start();
        }
        rest = without_heading(rest);
        rest = rest.strip_prefix("* ").map_or(rest, str::trim_start);
        match rest.strip_prefix('|').and_then(|row| row.strip_suffix('|')) {
            Some(row) => out.push_str(&row.replace('|', " ")),
            None => out.push_str(rest),
        }
        out.push_str(&line[content.len()..]);
    }
    out
}

/// `## Your order` → `Your order`; `#42` stays.
fn without_heading(line: &str) -> &str {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    if (1..=6).contains(&level) && (title.is_empty() || title.starts_with(' ')) {
        title.trim_start()
    } else {
        line
    }
}

/// A sequence of equal delimiters, such as `**`.
struct Run {
    at: usize,
    len: usize,
    /// How many of its delimiters belong to a pair.
    paired: usize,
}

/// Delimiter runs that may still be closed, by kind, as indices into the runs.
#[derive(Default)]
struct Open {
    stars: Vec<usize>,
    underscores: Vec<usize>,
    tildes: Vec<usize>,
}

impl Open {
    fn of(&mut self, mark: u8) -> &mut Vec<usize> {
        match mark {
            b'*' => &mut self.stars,
            b'_' => &mut self.underscores,
            _ => &mut self.tildes,
        }
    }
}

/// Removes backticks, backslashes of escaped characters, and pairs of emphasis.
fn strip_inline(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut runs: Vec<Run> = Vec::new();
    let mut open = Open::default();
    let mut cuts: Vec<(usize, usize)> = Vec::new();
    let (mut at, mut is_line_blank) = (0, true);
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            // A pair never spans a blank line.
            b'\n' if is_line_blank => open = Open::default(),
            b'\n' => is_line_blank = true,
            b' ' | b'\t' | b'\r' => {}
            b'\\' if bytes.get(at + 1).is_some_and(u8::is_ascii_punctuation) => {
                cuts.push((at, 1));
                is_line_blank = false;
                at += 1;
            }
            b'`' => {
                cuts.push((at, 1));
                is_line_blank = false;
            }
            b'*' | b'_' | b'~' => {
                is_line_blank = false;
                let len = bytes[at..].iter().take_while(|next| **next == byte).count();
                pair(text, Run { at, len, paired: 0 }, &mut runs, open.of(byte));
                at += len - 1;
            }
            _ => is_line_blank = false,
        }
        at += 1;
    }
    cuts.extend(runs.iter().filter(|run| run.paired > 0).map(|run| (run.at, run.paired)));
    without(text, cuts)
}

/// Pairs a run with open runs before it, and records what is left of it.
fn pair(text: &str, mut run: Run, runs: &mut Vec<Run>, open: &mut Vec<usize>) {
    let is_strike = text[run.at..].starts_with('~');
    if is_strike && run.len != 2 {
        return;
    }
    let before = text[..run.at].chars().next_back();
    let after = text[run.at + run.len..].chars().next();
    let is_text = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
    let is_word = |c: Option<char>| c.is_some_and(is_word_char);
    let (opens, closes) = (is_text(after) && !is_word(before), is_text(before) && !is_word(after));
    while closes && run.paired < run.len {
        let Some(opener) = open.last().and_then(|last| runs.get_mut(*last)) else { break };
        let both = (opener.len - opener.paired).min(run.len - run.paired);
        opener.paired += both;
        run.paired += both;
        if opener.paired == opener.len {
            open.pop();
        }
    }
    if opens && run.paired < run.len {
        open.push(runs.len());
    }
    runs.push(run);
}

/// The text without these ranges, given as (start, length).
fn without(text: &str, mut cuts: Vec<(usize, usize)>) -> String {
    cuts.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, len) in cuts {
        out.push_str(&text[from..at]);
        from = at + len;
    }
    out.push_str(&text[from..]);
    out
}
