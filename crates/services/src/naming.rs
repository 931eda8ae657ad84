//! Names of copies: "X (copy)", then "X (copy 2)", within the length limit.

use domain::limits;

/// Candidate names for a copy, in order.
pub(crate) fn copies(name: &str) -> impl Iterator<Item = String> {
    let base = original(name).to_owned();
    (1_u32..).map(move |n| {
        let suffix = if n == 1 { " (copy)".to_owned() } else { format!(" (copy {n})") };
        let room = limits::NAME.saturating_sub(suffix.chars().count());
        let kept: String = base.chars().take(room).collect();
        format!("{}{suffix}", kept.trim_end())
    })
}

/// The name without the copy suffix, so that a copy of a copy continues counting.
fn original(name: &str) -> &str {
    let Some((base, mark)) = name.rsplit_once(" (copy") else { return name };
    let number = mark.strip_suffix(')').map(|number| number.strip_prefix(' ').unwrap_or(number));
    match number {
        Some(number) if !base.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => base,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_names_count_up_within_limit() {
        let first = |name: &str| copies(name).next().unwrap();
        let two = |name: &str| copies(name).take(2).collect::<Vec<_>>();
        assert_eq!(two("Desk"), ["Desk (copy)", "Desk (copy 2)"]);
        assert_eq!(two("Desk (copy)"), ["Desk (copy)", "Desk (copy 2)"]);
        assert_eq!(first("Desk (copy 12)"), "Desk (copy)");
        assert_eq!(first("Desk (copy of mine)"), "Desk (copy of mine) (copy)");
        assert_eq!(first(" (copy)"), " (copy) (copy)");
        let long = "ä".repeat(200);
        assert_eq!(first(&long).chars().count(), 200);
        assert!(first(&long).ends_with(" (copy)"));
    }
}
