//! From the judge's words to its answers, or to what is wrong with them.
//! Nothing is repaired and nothing guessed: a verdict out of an unreadable
//! reply would be a verdict out of nothing.

use conversation::json_reply;
use domain::{Basis, replace_nul};
use serde::{Deserialize, Deserializer};

/// A reply that answers every item.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgeReply {
    /// One answer an item, in the order of the items.
    pub items: Vec<ItemAnswer>,
    /// What it noticed besides.
    pub issues: Vec<String>,
    /// What it would change.
    pub recommendations: Vec<String>,
    /// Its own number, 0–100: stored, not used.
    pub score: Option<f64>,
    /// Its own words to that.
    pub opinion: Option<String>,
}

/// The answer to one item.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemAnswer {
    /// Why.
    pub reason: String,
    /// Whether it is so; `None` = cannot be told.
    pub met: Option<bool>,
    /// What it rests on; may be missing only where `met` is `None`.
    pub basis: Option<Basis>,
    /// Quotes, with the numbers of their turns; not verified yet.
    pub evidence: Vec<Quote>,
}

/// A quote as the judge gave it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// The turn that it should be from.
    pub turn: u32,
    /// Its words.
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
    #[serde(deserialize_with = "present")]
    met: Option<bool>,
    #[serde(deserialize_with = "present")]
    basis: Option<Basis>,
    evidence: Vec<Quote>,
}

/// A field that may be null and must be there: left out, serde would read it
/// as null too, and "cannot be told" is to be said.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

/// The judge's answers to `n_items` items: one JSON object in the form of
/// [`reply_schema`](super::reply_schema), in code fences or not, with every
/// item exactly once.
///
/// # Errors
/// A sentence that says what is wrong, fit for the repair request and for the
/// error that a person reads.
pub fn parse(raw: &str, n_items: usize) -> Result<JudgeReply, String> {
    let reply: RawReply = json_reply::read(raw)?;
    if let Some(score) = reply.score
        && !(0.0..=100.0).contains(&score)
    {
        return Err(format!("The score must be from 0 to 100, not {score}."));
    }
    let mut answers: Vec<Option<ItemAnswer>> = vec![None; n_items];
    for item in reply.items {
        let index = item.index;
        let Some(place) = answers.get_mut(index as usize) else {
            let last = n_items.saturating_sub(1);
            return Err(format!("There is no item {index}; the items are 0 to {last}."));
        };
        if place.is_some() {
            return Err(format!("Item {index} was answered twice."));
        }
        *place = Some(answer(item)?);
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
