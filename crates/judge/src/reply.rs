//! Strict parsing of the judge's reply. An unreadable reply is never repaired, because a
//! verdict must not rest on guesses.

use conversation::json_reply;
use domain::{Basis, replace_nul};
use serde::{Deserialize, Deserializer};

#[derive(Clone, Debug, PartialEq)]
pub struct JudgeReply {
    /// One answer per item, in the order of the items.
    pub items: Vec<ItemAnswer>,
    /// Other problems that the judge noticed.
    pub issues: Vec<String>,
    /// Changes that the judge recommends.
    pub recommendations: Vec<String>,
    /// The judge's own score, 0–100; informational only.
    pub score: Option<f64>,
    /// The judge's own assessment.
    pub opinion: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ItemAnswer {
    pub reason: String,
    /// Whether the item is met; `None` if the judge could not decide.
    pub met: Option<bool>,
    /// May be missing only if `met` is `None`.
    pub basis: Option<Basis>,
    /// Unverified quotes.
    pub evidence: Vec<Quote>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// Turn number given by the judge.
    pub turn: u32,
    pub quote: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReply {
    items: Vec<RawItem>,
    issues: Vec<String>,
    recommendations: Vec<String>,
    score: Option<f64>,
    opinion: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem {
    index: u32,
    reason: String,
    #[serde(deserialize_with = "nullable")]
    met: Option<bool>,
    #[serde(deserialize_with = "nullable")]
    basis: Option<Basis>,
    evidence: Vec<Quote>,
}

/// Requires a nullable field to be present. By default serde treats a missing field as
/// null, but the judge must state null explicitly.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

/// Parses a reply to `n_items` items: one JSON object that matches
/// [`reply_schema`](super::reply_schema) and contains every item exactly once.
///
/// # Errors
/// A sentence for the repair request and for error messages.
pub fn parse_reply(raw: &str, n_items: usize) -> Result<JudgeReply, String> {
    let reply: RawReply = json_reply::parse(raw)?;
    if let Some(score) = reply.score
        && !(0.0..=100.0).contains(&score)
    {
        return Err(format!("The score must be between 0 and 100, not {score}."));
    }
    let mut answers: Vec<Option<ItemAnswer>> = vec![None; n_items];
    for item in reply.items {
        let index = item.index;
        let Some(slot) = answers.get_mut(index as usize) else {
            let last = n_items.saturating_sub(1);
            return Err(format!("There is no item {index}; the items are 0 to {last}."));
        };
        if slot.is_some() {
            return Err(format!("Item {index} was answered twice."));
        }
        *slot = Some(answer(item)?);
    }
    let missing = answers.iter().position(Option::is_none);
    if let Some(index) = missing {
        return Err(format!("Item {index} was not answered."));
    }
    Ok(JudgeReply {
        items: answers.into_iter().flatten().collect(),
        issues: reply.issues.into_iter().map(replace_nul).collect(),
        recommendations: reply.recommendations.into_iter().map(replace_nul).collect(),
        score: reply.score,
        opinion: reply.opinion.map(replace_nul),
    })
}

fn answer(item: RawItem) -> Result<ItemAnswer, String> {
    if item.met.is_some() && item.basis.is_none() {
        return Err(format!("Item {} has an answer without a basis.", item.index));
    }
    let clean = |quote: Quote| Quote { quote: replace_nul(quote.quote), ..quote };
    Ok(ItemAnswer {
        reason: replace_nul(item.reason),
        met: item.met,
        basis: item.basis,
        evidence: item.evidence.into_iter().map(clean).collect(),
    })
}
