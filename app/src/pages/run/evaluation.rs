//! What an evaluation says: items with reason and evidence, checks by rule,
//! the judge's own words.

use crate::components::chip::{chip, evaluation_chip};
use crate::components::time::time;
use crate::components::words::{duration, score};
use crate::domain::{Basis, Evaluation, Evidence, Item, ItemKind, Turn};
use leptos::prelude::*;

/// Every question with its answer and what that rests on.
pub fn items(evaluation: &Evaluation, turns: &[Turn]) -> AnyView {
    let items = evaluation.items.iter().enumerate().map(|(i, it)| item(i, it, turns));
    let checks = evaluation.checks.iter().map(|check| {
        let (tone, icon, word) =
            if check.ok { ("passed", "✓", "Holds") } else { ("failed", "✕", "Broken") };
        view! {
            <li class="item">
                {chip(tone, icon, word)}
                <div><code>{check.check.clone()}</code>
                    <p class="hint">{check.detail.clone()}</p></div>
            </li>
        }
    });
    let no_items = evaluation.items.is_empty();
    let no_checks = evaluation.checks.is_empty();
    view! {
        {(!no_items).then(|| view! {
            <section><h2>"What was judged"</h2><ul class="items">{items.collect_view()}</ul></section>
        })}
        {(!no_checks).then(|| view! {
            <section><h2>"Checked by rule"</h2><ul class="items">{checks.collect_view()}</ul></section>
        })}
    }
    .into_any()
}

/// The answer as a chip. For a failure condition "met" is the bad news.
fn answer(item: &Item) -> AnyView {
    let bad = item.kind == ItemKind::FailureCondition;
    match (item.met, bad) {
        (None, _) => chip("inconclusive", "?", "Cannot say"),
        (Some(true), false) if !item.verified => chip("inconclusive", "?", "Not shown"),
        (Some(true), true) if !item.verified => chip("inconclusive", "?", "Accused, not shown"),
        (Some(true), false) => chip("passed", "✓", "Met"),
        (Some(false), false) => chip("failed", "✕", "Not met"),
        (Some(true), true) => chip("failed", "✕", "Happened"),
        (Some(false), true) => chip("passed", "✓", "Did not happen"),
    }
}

fn item(index: usize, item: &Item, turns: &[Turn]) -> AnyView {
    let absence = (item.basis == Some(Basis::Absence) && item.met.is_some())
        .then(|| view! { <span class="tag">"by absence"</span> });
    let required = (item.required && item.kind != ItemKind::FailureCondition)
        .then(|| view! { <span class="tag">"required"</span> });
    let evidence = item.evidence.iter().map(|e| quote(e, turns)).collect_view();
    view! {
        <li class="item" id=format!("i{}", index + 1)>
            {answer(item)}
            <div>
                <p class="question">
                    <span class="hint">{item.kind.label()} ": "</span>{item.text.clone()} " "
                    {required} " " {absence}
                </p>
                <p>{item.reason.clone()}</p>
                {evidence}
            </div>
        </li>
    }
    .into_any()
}

fn quote(evidence: &Evidence, turns: &[Turn]) -> AnyView {
    let number = evidence.turn;
    let who = turns.iter().find(|t| t.index == evidence.turn).map(|t| t.speaker.label());
    let place = format!("Turn {number}{}", who.map(|w| format!(", {w}")).unwrap_or_default());
    let class = if evidence.verified { "quote" } else { "quote unverified" };
    let mark = if evidence.verified {
        view! { <span class="tag">"✓ verified"</span> }.into_any()
    } else {
        view! { <span class="tag warn">"⚠ not in that turn"</span> }.into_any()
    };
    view! {
        <blockquote class=class>
            <p>"“" {evidence.quote.clone()} "”"</p>
            <footer><a href=format!("#t{number}") rel="external">{place}</a> " " {mark}</footer>
        </blockquote>
    }
    .into_any()
}

/// Beside a turn: the items that quote it.
pub fn marks(evaluation: Option<&Evaluation>, turn: u32) -> AnyView {
    let Some(evaluation) = evaluation else { return ().into_any() };
    let quoting = evaluation.items.iter().enumerate().filter(|(_, item)| {
        item.evidence.iter().any(|evidence| evidence.turn == turn && evidence.verified)
    });
    let links: Vec<_> = quoting
        .map(|(i, item)| {
            let href = format!("#i{}", i + 1);
            view! { <a class="mark" href=href rel="external">"❝ " {item.text.clone()}</a> }
        })
        .collect();
    if links.is_empty() {
        return ().into_any();
    }
    view! { <div class="marks">{links}</div> }.into_any()
}

/// What the judge said besides, and its words as they came.
pub fn details(evaluation: &Evaluation) -> AnyView {
    let list = |title: &'static str, items: &[String]| {
        let texts: Vec<_> = items.iter().map(|text| view! { <li>{text.clone()}</li> }).collect();
        (!texts.is_empty()).then(|| view! { <section><h2>{title}</h2><ul>{texts}</ul></section> })
    };
    view! {
        {list("The judge also noticed", &evaluation.issues)}
        {list("The judge would change", &evaluation.recommendations)}
        {about(evaluation)}
    }
    .into_any()
}

fn about(evaluation: &Evaluation) -> AnyView {
    let took = evaluation.latency_ms.map(|ms| format!(" · {}", duration(u64::from(ms))));
    let own = evaluation.judge_score.map(|own| {
        format!("The judge’s own number was {}; it is kept and not used. ", score(Some(own)))
    });
    let error = evaluation.error.as_ref().map(|error| {
        view! { <p class="problem">{error.kind.label()} ": " {error.message.clone()}</p> }
    });
    let raw = evaluation.raw_reply.clone().map(|raw| {
        view! { <pre tabindex="0">{raw}</pre> }
    });
    view! {
        <details class="raw">
            <summary>"The judge: " {evaluation.judge_model.clone()} {took}</summary>
            <p class="hint">
                {own}
                {format!("Prompt version {}. ", evaluation.prompt_version)}
                {format!("{} tokens in, {} out. ", evaluation.input_tokens, evaluation.output_tokens)}
                "Asked for at " {time(evaluation.created_at)}
            </p>
            {error}
            {raw}
        </details>
    }
    .into_any()
}

/// One of the others, in short, with everything inside.
pub fn short(evaluation: &Evaluation) -> AnyView {
    let sentence = match &evaluation.error {
        Some(error) => format!("{}: {}", error.kind.label(), error.message),
        None => evaluation.summary.clone(),
    };
    view! {
        <article class="other">
            <p>
                {evaluation_chip(evaluation.status, evaluation.verdict)} " "
                <span class="num">{score(evaluation.score)}</span> " · "
                {time(evaluation.created_at)}
            </p>
            <p>{sentence}</p>
            {about(evaluation)}
        </article>
    }
    .into_any()
}
