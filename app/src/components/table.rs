//! Tables of lists.

use leptos::prelude::*;

/// A table that scrolls sideways on narrow screens. `label` names it for screen
/// readers. `columns` are pairs of heading and CSS class; a column of buttons has
/// no heading.
pub fn table(
    label: &'static str,
    class: &'static str,
    columns: &[(&'static str, &'static str)],
    rows: Vec<AnyView>,
) -> AnyView {
    let headings: Vec<_> = columns
        .iter()
        .map(|(heading, class)| match *heading {
            "" => view! { <td></td> }.into_any(),
            heading => view! { <th scope="col" class=*class>{heading}</th> }.into_any(),
        })
        .collect();
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label=label>
            <table class=class>
                <thead><tr>{headings}</tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}
