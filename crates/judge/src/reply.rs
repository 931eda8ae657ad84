//! Strict parsing of the judge's reply. What an unreadable reply may have meant is never
//! guessed, because a verdict must not rest on guesses.

use super::prompt::ITEM_KEY;
use conversation::json_reply;
use domain::{Basis, replace_nul};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

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

/// The answers to some of the items, and the rest of the reply as far as it is there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PartialReply {
    /// One entry per item; `None` if it was not answered.
    pub(super) items: Vec<Option<ItemAnswer>>,
    pub(super) issues: Option<Vec<String>>,
    pub(super) recommendations: Option<Vec<String>>,
    pub(super) score: Option<f64>,
    pub(super) opinion: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyJson {
    items: RawItems,
    issues: Option<Vec<String>>,
    recommendations: Option<Vec<String>>,
    score: Option<f64>,
    opinion: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem {
    /// Only in a list.
    index: Option<u32>,
    reason: String,
    #[serde(deserialize_with = "nullable")]
    met: Option<bool>,
    #[serde(deserialize_with = "nullable")]
    basis: Option<Basis>,
    evidence: Vec<Quote>,
}

/// The answers with the keys of their items: an object with one key per item. A list whose
/// entries have an `index` is read too, because models that are not bound to the schema
/// write one, and earlier versions asked for one. A key that occurs twice is kept twice.
struct RawItems(Vec<(String, RawItem)>);

impl<'de> Deserialize<'de> for RawItems {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = RawItems;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with one key per item")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RawItems, M::Error> {
                let mut items = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    items.push(entry);
                }
                Ok(RawItems(items))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<RawItems, S::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element::<RawItem>()? {
                    let key = item.index.map(|index| index.to_string()).unwrap_or_default();
                    items.push((key, item));
                }
                Ok(RawItems(items))
            }
        }
        from.deserialize_any(Items)
    }
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
/// A sentence for the second request and for error messages.
pub fn parse_reply(raw: &str, n_items: usize) -> Result<JudgeReply, String> {
    complete(parse_partial(raw, n_items)?)
}

/// Parses a reply in which items may be missing.
pub(super) fn parse_partial(raw: &str, n_items: usize) -> Result<PartialReply, String> {
    let reply: ReplyJson = json_reply::parse(raw)?;
    if let Some(score) = reply.score
        && !(0.0..=100.0).contains(&score)
    {
        return Err(format!("The score must be between 0 and 100, not {score}."));
    }
    let mut items: Vec<Option<ItemAnswer>> = vec![None; n_items];
    for (key, item) in reply.items.0 {
        let slot = item_index(&key).and_then(|index| items.get_mut(index));
        let Some(slot) = slot else {
            let last = n_items.saturating_sub(1);
            return Err(format!("There is no item {key}; the items are 0 to {last}."));
        };
        let number = key.trim_start_matches(ITEM_KEY);
        if slot.is_some() {
            return Err(format!("Item {number} was answered twice."));
        }
        *slot = Some(answer(number, item)?);
    }
    let clean = |texts: Option<Vec<String>>| {
        texts.map(|texts| texts.into_iter().map(replace_nul).collect())
    };
    Ok(PartialReply {
        items,
        issues: clean(reply.issues),
        recommendations: clean(reply.recommendations),
        score: reply.score,
        opinion: reply.opinion.map(replace_nul),
    })
}

/// Requires an answer to every item, and the lists.
pub(super) fn complete(reply: PartialReply) -> Result<JudgeReply, String> {
    if let Some(index) = reply.items.iter().position(Option::is_none) {
        return Err(format!("Item {index} was not answered."));
    }
    let missing =
        |field: &str| format!("The reply did not match the schema: missing field `{field}`.");
    Ok(JudgeReply {
        items: reply.items.into_iter().flatten().collect(),
        issues: reply.issues.ok_or_else(|| missing("issues"))?,
        recommendations: reply.recommendations.ok_or_else(|| missing("recommendations"))?,
        score: reply.score,
        opinion: reply.opinion,
    })
}

impl PartialReply {
    /// Adds the answers of the reply to the second request, which replace those that are
    /// there.
    pub(super) fn merge(self, second: Self) -> Self {
        let pairs = second.items.into_iter().zip(self.items);
        Self {
            items: pairs.map(|(new, old)| new.or(old)).collect(),
            issues: second.issues.or(self.issues),
            recommendations: second.recommendations.or(self.recommendations),
            score: second.score.or(self.score),
            opinion: second.opinion.or(self.opinion),
        }
    }
}

/// `item_2` or `2`.
fn item_index(key: &str) -> Option<usize> {
    key.strip_prefix(ITEM_KEY).unwrap_or(key).parse().ok()
}

fn answer(number: &str, item: RawItem) -> Result<ItemAnswer, String> {
    if item.met.is_some() && item.basis.is_none() {
        return Err(format!("Item {number} has an answer without a basis."));
    }
    let clean = |quote: Quote| Quote { quote: replace_nul(quote.quote), ..quote };
    Ok(ItemAnswer {
        reason: replace_nul(item.reason),
        met: item.met,
        basis: item.basis,
        evidence: item.evidence.into_iter().map(clean).collect(),
    })
}
