//! An evaluation: judged items with reason and evidence, checks of rules, and the
//! judge's raw reply.

use crate::components::chip::{chip, evaluation_chip};
use crate::components::format::{duration, score};
use crate::components::time::time;
use crate::domain::{Basis, Evaluation, Evidence, Item, ItemKind, Turn};
use leptos::prelude::*;

/// Judged items and checks of rules with their results and evidence.
pub fn items(evaluation: &Evaluation, turns: &[Turn]) -> AnyView {
    let items = evaluation.items.iter().enumerate().map(|(i, it)| item(i, it, turns));
    let checks = evaluation.checks.iter().map(|check| {
        let (tone, icon, word) = if check.undecided {
            ("inconclusive", "?", "Not decided")
        } else if check.ok {
            ("passed", "✓", "Passed")
        } else {
            ("failed", "✕", failure(&check.rule))
        };
        view! {
            <li class="item">
                {chip(tone, icon, word)}
                <div><code>{check.rule.clone()}</code>
                    <p class="hint">{check.detail.clone()}</p></div>
            </li>
        }
    });
    let no_items = evaluation.items.is_empty();
    let no_checks = evaluation.checks.is_empty();
    view! {
        {(!no_items).then(|| view! {
            <section><h2>"Judge results"</h2><ul class="items">{items.collect_view()}</ul></section>
        })}
        {(!no_checks).then(|| view! {
            <section><h2>"Rule checks"</h2><ul class="items">{checks.collect_view()}</ul></section>
        })}
    }
    .into_any()
}

/// What a failed check of a rule means. A check is the name of its rule with its argument, such
/// as `must_include "refund"`.
fn failure(check: &str) -> &'static str {
    match check.split(' ').next() {
        Some("must_include") => "Missing required text",
        Some("must_not_include") => "Said a forbidden phrase",
        Some("must_call_tools") => "Required tool not called",
        Some("max_response_seconds") => "Too slow",
        _ => "Failed",
    }
}

/// The result of an item. A failure condition that is met is a failure.
fn result_chip(item: &Item) -> AnyView {
    let is_failure = item.kind == ItemKind::FailureCondition;
    match (item.met, is_failure) {
        (None, _) => chip("inconclusive", "?", "Unclear"),
        (Some(true), false) if !item.verified => chip("inconclusive", "?", "No evidence"),
        (Some(true), true) if !item.verified => chip("inconclusive", "?", "Unproven"),
        (Some(true), false) => chip("passed", "✓", "Met"),
        (Some(false), false) => chip("failed", "✕", "Not met"),
        (Some(true), true) => chip("failed", "✕", "Happened"),
        (Some(false), true) => chip("passed", "✓", "Did not happen"),
    }
}

fn item(index: usize, item: &Item, turns: &[Turn]) -> AnyView {
    let absence = (item.basis == Some(Basis::Absence) && item.met.is_some())
        .then(|| view! { <span class="tag">"nothing found in the transcript"</span> });
    let required = (item.required && item.kind != ItemKind::FailureCondition)
        .then(|| view! { <span class="tag">"required"</span> });
    let evidence = item.evidence.iter().map(|e| quote(e, turns)).collect_view();
    view! {
        <li class="item" id=format!("i{}", index + 1)>
            {result_chip(item)}
            <div>
                <p class="item-text">
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
    let speaker = turns.iter().find(|t| t.index == evidence.turn).map(|t| t.speaker.label());
    let label = format!(
        "Turn {number}{}",
        speaker.map(|speaker| format!(", {speaker}")).unwrap_or_default()
    );
    let class = if evidence.verified { "quote" } else { "quote unverified" };
    let mark = if evidence.verified {
        view! { <span class="tag">"✓ verified"</span> }.into_any()
    } else {
        view! { <span class="tag warn">"⚠ not found in what the agent said"</span> }.into_any()
    };
    view! {
        <blockquote class=class>
            <p>"“" {evidence.quote.clone()} "”"</p>
            <footer><a href=format!("#t{number}") rel="external">{label}</a> " " {mark}</footer>
        </blockquote>
    }
    .into_any()
}

/// Links from a turn to the items that quote it.
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

/// Issues, recommendations and the raw reply of the judge.
pub fn details(evaluation: &Evaluation) -> AnyView {
    let list = |title: &'static str, items: &[String]| {
        let texts: Vec<_> = items.iter().map(|text| view! { <li>{text.clone()}</li> }).collect();
        (!texts.is_empty()).then(|| view! { <section><h2>{title}</h2><ul>{texts}</ul></section> })
    };
    view! {
        {list("Other issues", &evaluation.issues)}
        {list("Recommendations", &evaluation.recommendations)}
        {about(evaluation)}
    }
    .into_any()
}

fn about(evaluation: &Evaluation) -> AnyView {
    let took = evaluation.latency_ms.map(|ms| format!(" · {}", duration(u64::from(ms))));
    let judge_score = evaluation.judge_score.map(|judge_score| {
        format!("The judge’s own score was {} (recorded, not used). ", score(Some(judge_score)))
    });
    let error = evaluation.error.as_ref().map(|error| {
        view! { <p class="problem">{error.kind.label()} ": " {error.message.clone()}</p> }
    });
    let raw = evaluation.earlier_reply.clone().into_iter().chain(evaluation.raw_reply.clone());
    let raw = raw.map(|raw| view! { <pre tabindex="0">{raw}</pre> }).collect_view();
    let adjustments = match evaluation.adjustments.as_slice() {
        [] => String::new(),
        adjustments => {
            format!("Changed because the model’s server rejects it: {}. ", adjustments.join(", "))
        }
    };
    view! {
        <details class="raw">
            <summary>"Judge: " {evaluation.judge_model.clone()} {took}</summary>
            <p class="hint">
                {judge_score}
                {format!("Prompt version {}. ", evaluation.prompt_version)}
                {format!("{} tokens in, {} out. ", evaluation.input_tokens, evaluation.output_tokens)}
                {adjustments}
                "Created " {time(evaluation.created_at)}
            </p>
            {error}
            {raw}
        </details>
    }
    .into_any()
}

/// Summary of an evaluation.
pub fn summary(evaluation: &Evaluation) -> AnyView {
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
