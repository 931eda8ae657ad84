//! List of test profiles.

use super::tabs;
use crate::components::format::plural;
use crate::components::page_data::{empty_state, load, notice, section_when_loaded};
use crate::components::table::table;
use crate::components::time::time;
use crate::components::title::heading;
use crate::domain::Profile;
use crate::server_fns::ProfilesQuery;
use leptos::prelude::*;

#[component]
pub fn ProfilesPage() -> impl IntoView {
    let data = load(|| ProfilesQuery {});
    view! {
        {notice()}
        {tabs("profiles")}
        <div class="page-head">
            {heading("Test profiles")}
            <a class="button primary" href="/settings/profiles/new">"Add test profile"</a>
        </div>
        {section_when_loaded(data, show)}
    }
}

fn show(profiles: Vec<Profile>) -> AnyView {
    if profiles.is_empty() {
        let action = view! {
            <a class="button primary" href="/settings/profiles/new">"Add test profile"</a>
        };
        let text = "A test profile gives values to the variables in prompts and scenarios, such as {{customer.name}}. You select it when you start a suite.";
        return empty_state("No test profiles yet", text, action.into_any());
    }
    let rows = profiles.into_iter().map(|profile| {
        let href = format!("/settings/profiles/{}", profile.id);
        let count = u64::try_from(profile.spec.variables.len()).unwrap_or(u64::MAX);
        view! {
            <tr>
                <td class="main"><a href=href data-row="">{profile.spec.name}</a></td>
                <td class="hint">{profile.spec.description}</td>
                <td data-label="Variables">{plural(count, "variable")}</td>
                <td class="num" data-label="Saved">{time(profile.updated_at)}</td>
            </tr>
        }
        .into_any()
    });
    let columns = [("Name", ""), ("Description", ""), ("Variables", ""), ("Saved", "num")];
    view! {
        {table("Test profiles", "list", &columns, rows.collect())}
        <p class="hint">
            <a href="/import">"Import"</a> " · "
            <a href="/api/v1/profiles/export" rel="external">"Export as YAML"</a>
            " (without the values of secrets)"
        </p>
    }
    .into_any()
}
