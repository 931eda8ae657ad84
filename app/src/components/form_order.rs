//! The order of a form's fields, so that its problems are listed as the eye meets them.

use super::form_data::{field_id, steps};
use crate::domain::Problem;

/// The paths of all fields of a form, in the order of the page. The fields of rows have
/// paths without indexes, such as `tools.name`.
pub type FieldOrder = &'static [&'static str];

/// Sorts problems by the position of their fields. Problems of the whole form come
/// first, and problems without a field last.
pub fn sort_problems(order: FieldOrder, problems: &mut [Problem]) {
    problems.sort_by_key(|problem| position(order, &problem.path));
}

/// The ID of the field or list that a problem belongs to. `None` if this form has none.
/// A form without an order has a field for every problem.
#[must_use]
pub fn link_target(order: FieldOrder, path: &str) -> Option<String> {
    if !order.is_empty() && position(order, path).0 == NO_FIELD {
        return None;
    }
    if path.is_empty() {
        return None;
    }
    // A problem of an entry is shown at its list.
    let list = path.strip_suffix(']').and_then(|path| path.rsplit_once('['));
    Some(field_id(list.map_or(path, |(list, _)| list)))
}

/// The position of paths that name no field of the form.
const NO_FIELD: usize = usize::MAX;

/// Field or list, then row, then field of the row. All fields of a row are after all
/// fields of the rows before it.
fn position(order: FieldOrder, path: &str) -> (usize, u32, usize) {
    if path.is_empty() || order.is_empty() {
        return (0, 0, 0);
    }
    let (mut row, mut names) = (None, Vec::new());
    for step in steps(path) {
        match step.parse::<u32>() {
            Ok(index) => row = row.or(Some(index)),
            Err(_) => names.push(step),
        }
    }
    let name = names.join(".");
    let field = order.iter().position(|known| *known == name);
    let list = format!("{}.", path.split('[').next().unwrap_or(path));
    let list = order.iter().position(|known| known.starts_with(&list));
    // Position 0 is the whole form.
    let (field, list) = (field.map(|at| at + 1), list.map(|at| at + 1));
    match (row, field, list) {
        (Some(row), Some(field), list) => (list.unwrap_or(field), row + 1, field),
        (None, Some(field), _) => (field, 0, 0),
        // An entry that is no row, a field that no row has, or a problem of a list.
        (Some(row), None, Some(list)) => (list, row + 1, NO_FIELD),
        (None, None, Some(list)) => (list, 0, 0),
        _ => (NO_FIELD, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldOrder, link_target, sort_problems};
    use crate::domain::Problem;

    const ORDER: FieldOrder = &[
        "name",
        "tags",
        "flow.speaker",
        "flow.message",
        "limits.max",
        "limits.texts",
        "limits.texts.text",
        "limits.texts.match",
    ];

    #[test]
    fn problems_are_sorted_as_the_fields_of_the_form() {
        let expected = [
            "",
            "name",
            "tags",
            "tags[3]",
            "flow",
            "flow[0].message",
            "flow[2].speaker",
            "flow[2].message",
            "flow[10].speaker",
            "limits.max",
            "limits.texts",
            "limits.texts[0].match",
            "limits.texts[1].text",
            "surprise",
        ];
        let mut problems: Vec<_> = expected.iter().rev().map(|p| Problem::new(*p, "x")).collect();
        sort_problems(ORDER, &mut problems);
        let sorted: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn problems_link_to_their_field_or_list() {
        for (path, target) in [
            ("name", Some("name")),
            ("tags[3]", Some("tags")),
            ("flow", Some("flow")),
            ("flow[2]", Some("flow")),
            ("flow[2].message", Some("flow-2-message")),
            ("limits.max", Some("limits-max")),
            ("limits.texts[1].text", Some("limits-texts-1-text")),
            ("limits.min", None),
            ("surprise", None),
        ] {
            assert_eq!(link_target(ORDER, path).as_deref(), target, "{path}");
        }
    }
}
