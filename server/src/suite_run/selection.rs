//! What to run: the agent by its name, the scenarios by a filter.

use super::api::{Api, Failure};
use crate::http::extract::read_fields;
use domain::{AgentId, Draft, ProfileId, ScenarioFilter};
use reports::single_line;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::str::FromStr;

/// The most names in an error message.
const MAX_NAMES: usize = 10;

/// Parses `all` or `category=booking,built_in=false`.
pub(super) fn parse_filter(text: &str) -> Result<ScenarioFilter, String> {
    let mut fields = Map::new();
    if text.trim() == "all" {
        return Ok(ScenarioFilter::default());
    }
    for part in text.split(',') {
        let (name, value) = part
            .split_once('=')
            .ok_or_else(|| format!("{part:?} is neither `all` nor FIELD=VALUE"))?;
        let (name, value) = (name.trim(), value.trim());
        if value.is_empty() {
            return Err(format!("{name} has no value"));
        }
        if fields.insert(name.to_owned(), Value::String(value.to_owned())).is_some() {
            return Err(format!("{name} is given twice"));
        }
    }
    read_fields(&Draft(Value::Object(fields)), &[], ScenarioFilter::read).map_err(|error| {
        let problems: Vec<_> = error.problems.iter().map(ToString::to_string).collect();
        problems.join("; ")
    })
}

/// The id of an agent that is given by its id or its name.
pub(super) async fn find_agent(api: &Api, agent: &str) -> Result<AgentId, Failure> {
    find(api, "agent", agent).await
}

/// The id of a test profile that is given by its id or its name.
pub(super) async fn find_profile(api: &Api, profile: &str) -> Result<ProfileId, Failure> {
    find(api, "profile", profile).await
}

/// Finds an object of this kind, whose list is `/{kind}s`.
async fn find<T>(api: &Api, kind: &str, wanted: &str) -> Result<T, Failure>
where
    T: FromStr + Display,
{
    if let Ok(id) = wanted.parse::<T>() {
        // Says whether the server has it.
        let _: Value = api.get(&format!("/{kind}s/{id}")).await?;
        return Ok(id);
    }
    let (mut found, mut names): (Vec<T>, _) = (Vec::new(), Vec::new());
    let mut path = format!("/{kind}s?limit=200");
    loop {
        let page: Value = api.get(&path).await?;
        for item in page["items"].as_array().into_iter().flatten() {
            let name = item["name"].as_str().unwrap_or_default();
            if name == wanted {
                found.extend(item["id"].as_str().and_then(|id| id.parse().ok()));
            }
            names.push(single_line(name));
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/{kind}s?limit=200&cursor={next}"),
            None => break,
        }
    }
    if found.len() > 1 {
        let ids: Vec<_> = found.iter().map(ToString::to_string).collect();
        let ids = ids.join(", ");
        return Err(Failure::fatal(format!(
            "several {kind}s are named {wanted:?}; use an id: {ids}"
        )));
    }
    found.pop().ok_or_else(|| {
        names.truncate(MAX_NAMES);
        let known = if names.is_empty() { "there are none".to_owned() } else { names.join(", ") };
        Failure::fatal(format!("there is no {kind} {wanted:?}; {kind}s: {known}"))
    })
}

#[cfg(test)]
mod tests {
    use super::parse_filter;
    use domain::{Category, ScenarioFilter};
    use rstest::rstest;

    #[test]
    fn filters_have_the_fields_of_the_api() {
        assert_eq!(parse_filter("all"), Ok(ScenarioFilter::default()));
        let expected = ScenarioFilter {
            category: Some(Category::Booking),
            tag: Some("smoke".to_owned()),
            built_in: Some(false),
            ..ScenarioFilter::default()
        };
        assert_eq!(parse_filter("category=booking, tag = smoke,built_in=false"), Ok(expected));
    }

    #[rstest]
    #[case("", "neither `all` nor FIELD=VALUE")]
    #[case("smoke", "neither `all` nor FIELD=VALUE")]
    #[case("tag=", "tag has no value")]
    #[case("tag=a,tag=b", "tag is given twice")]
    #[case("color=red", "color")]
    #[case("category=red", "category")]
    #[case("built_in=maybe", "built_in")]
    fn invalid_filters_name_the_field(#[case] text: &str, #[case] expected: &str) {
        let error = parse_filter(text).expect_err("invalid");
        assert!(error.contains(expected), "{error}");
    }
}
