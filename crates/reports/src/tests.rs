//! Every format is read back by a parser, whatever the texts in it are.

use crate::fixtures::{EVERY_STATUS, id, render, report, run, suite};
use crate::text::printable;
use crate::{Format, Report, ReportWriter, reason};
use domain::{RunStatus, SuiteStatus, Timestamp};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;
use rstest::rstest;
use serde_json::Value;

/// An element of a JUnit file with its attributes and its text.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Element {
    fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// Parses a file, which must be well-formed, into its elements in document order.
fn parse_xml(text: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(text);
    let (mut elements, mut open) = (Vec::<Element>::new(), Vec::new());
    loop {
        match reader.read_event().expect("well-formed XML") {
            event @ (Event::Start(_) | Event::Empty(_)) => {
                let is_start = matches!(event, Event::Start(_));
                let (Event::Start(tag) | Event::Empty(tag)) = event else { continue };
                let attributes = tag.attributes().map(|attribute| {
                    let attribute = attribute.expect("an attribute");
                    let value = quick_xml::escape::unescape(&attribute.value).expect("escaped");
                    (attribute.key.as_ref().to_owned(), value.into_owned())
                });
                let name = tag.name().as_ref().to_owned();
                let attributes = attributes.collect();
                if is_start {
                    open.push(elements.len());
                }
                elements.push(Element { name, attributes, text: String::new() });
            }
            Event::Text(piece) => {
                if let Some(element) = open.last().and_then(|at| elements.get_mut(*at)) {
                    element.text.push_str(&piece);
                }
            }
            Event::GeneralRef(reference) => {
                let name = format!("&{};", &*reference);
                let value = quick_xml::escape::unescape(&name).expect("a known reference");
                if let Some(element) = open.last().and_then(|at| elements.get_mut(*at)) {
                    element.text.push_str(&value);
                }
            }
            Event::End(_) => {
                open.pop();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty(), "every element is closed");
    elements
}

fn named<'a>(elements: &'a [Element], name: &str) -> Vec<&'a Element> {
    elements.iter().filter(|element| element.name == name).collect()
}

#[test]
fn junit_maps_each_status_to_one_element() {
    let elements = parse_xml(&render(EVERY_STATUS, "Text", Format::Junit));
    let suite = named(&elements, "testsuite")[0];
    let counts = ["tests", "failures", "errors", "skipped"].map(|name| suite.attribute(name));
    assert_eq!(counts, ["8", "1", "1", "4"]);
    assert_eq!(suite.attribute("timestamp"), "2026-01-31T12:00:00");
    assert_eq!(named(&elements, "testcase").len(), 8);
    assert_eq!(named(&elements, "failure").len(), 1);
    assert_eq!(named(&elements, "error")[0].attribute("type"), "rate_limited");
    let skipped = named(&elements, "skipped");
    let messages: Vec<_> = skipped.iter().map(|element| element.attribute("message")).collect();
    assert_eq!(
        messages,
        [
            "Inconclusive: Text",
            "Canceled: A user canceled the run.",
            "Queued: The run had not begun yet.",
            "Running: The run was not finished yet.",
        ]
    );
}

#[test]
fn junit_names_are_distinct_and_have_links() {
    // All scenarios have the same name, so their ids distinguish them.
    let elements = parse_xml(&render(EVERY_STATUS, &"long ".repeat(100), Format::Junit));
    let cases = named(&elements, "testcase");
    let mut names: Vec<_> = cases.iter().map(|case| case.attribute("name")).collect();
    assert!(names.iter().all(|name| name.chars().count() <= 255), "{names:?}");
    assert!(names[1].ends_with("(repeat 2)"), "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 8);
    let url = format!("https://rehearsal.example/runs/{}", id(100));
    let properties = named(&elements, "property");
    assert!(properties.iter().any(|property| property.attribute("value") == url));
}

#[rstest]
#[case::cdata_end("]]> <![CDATA[ </testsuite> & <!-- ")]
#[case::forbidden_in_xml("\0\u{1}\u{8}\u{b}\u{1b}[31m\u{fffe}\u{ffff}\u{85}")]
#[case::entity("&lt;script&gt;alert(1)&lt;/script&gt; &#0; &unknown;")]
#[case::script("</style></title><script>alert(1)</script><img src=x onerror=\"alert('x')\">")]
#[case::right_to_left("\u{202e}fdp.exe\u{202c} \u{200f}\u{2067}שלום\u{2069} مرحبا")]
#[case::line_breaks("one\r\ntwo\rthree\n\n| four |\u{2028}five")]
#[case::formula("=HYPERLINK(\"https://evil.example\", \"click\")")]
#[case::markdown("@octocat | **bold** | [x](https://evil.example) `code` ~~~ #1 <b>")]
#[case::quotes("\"a\", 'b', \"\"c")]
#[case::empty("")]
fn bad_text_stays_text(#[case] text: &str) {
    assert_formats_hold(text);
}

#[test]
fn long_text_is_cut_where_files_are_read_by_others() {
    let text = "<&]]>\u{202e}=é".repeat(200 * 1024 / 10);
    assert_formats_hold(&text);
    let junit = render(&[RunStatus::Failed], &text, Format::Junit);
    let elements = parse_xml(&junit);
    assert!(elements.iter().all(|element| element.text.chars().count() < 8200));
    let csv = render(EVERY_STATUS, &text, Format::Csv);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let cells = |record: csv::StringRecord| record.iter().map(|c| c.chars().count()).max();
    assert!(reader.records().all(|record| cells(record.unwrap()) < Some(32_767)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_text_stays_text(text in any::<String>()) {
        assert_formats_hold(&text);
    }

    #[test]
    fn markup_stays_text(text in "[<>&\"'|@#=+\\-\\]\\[!`\r\n\t\0 a]{0,60}") {
        assert_formats_hold(&text);
    }
}

/// Whatever the text is, each file has the structure that it has with a plain text, and
/// contains the text.
fn assert_formats_hold(text: &str) {
    let elements = parse_xml(&render(EVERY_STATUS, text, Format::Junit));
    let plain = parse_xml(&render(EVERY_STATUS, "plain", Format::Junit));
    let names = |elements: &[Element]| -> Vec<_> {
        elements.iter().map(|element| element.name.clone()).collect()
    };
    assert_eq!(names(&elements), names(&plain));
    if text.chars().count() < 200 {
        let expected = printable(text).into_owned();
        assert_eq!(named(&elements, "testcase")[0].attribute("classname"), expected);
        assert!(named(&elements, "system-out")[0].text.contains(&expected), "{expected:?}");
    }

    let csv = render(EVERY_STATUS, text, Format::Csv);
    let records: Vec<_> =
        csv::Reader::from_reader(csv.as_bytes()).records().map(Result::unwrap).collect();
    assert_eq!(records.len(), EVERY_STATUS.len());
    for cell in records.iter().flatten() {
        assert!(!cell.trim_start().starts_with(['=', '+', '-', '@']), "{cell:?}");
        assert!(!cell.starts_with(['\t', '\r']), "{cell:?}");
    }

    let json: Value = serde_json::from_str(&render(EVERY_STATUS, text, Format::Json)).unwrap();
    assert_eq!(json["runs"].as_array().unwrap().len(), EVERY_STATUS.len());
    assert_eq!(json["runs"][1]["transcript"][1]["message"], text);

    let tags = |html: &str| (html.matches('<').count(), html.matches('>').count());
    let with = |text| render(&[RunStatus::Failed, RunStatus::Error], text, Format::Html);
    let html = with(text);
    // A run without a message has no element for it.
    if !text.is_empty() {
        assert_eq!(tags(&html), tags(&with("plain")), "{text:?}");
    }
    assert!(!html.contains("<script") && !html.contains('\0'));

    let markdown = render(EVERY_STATUS, text, Format::Markdown);
    assert!(markdown.chars().count() <= 65_536);
    let plain = render(EVERY_STATUS, "plain", Format::Markdown);
    assert_eq!(markdown.lines().count(), plain.lines().count(), "{markdown}");
}

#[test]
fn markdown_of_many_failures_fits_into_a_comment() {
    let statuses = vec![RunStatus::Failed; 1000];
    for text in ["@".repeat(400), "é".repeat(400), "|".repeat(400)] {
        let markdown = render(&statuses, &text, Format::Markdown);
        assert!(markdown.chars().count() <= 65_536, "{}", markdown.len());
        assert!(markdown.contains("more scenarios"), "{markdown}");
        assert!(markdown.contains("more runs"), "{markdown}");
    }
}

#[test]
fn markdown_lists_failures_before_errors() {
    let mut statuses = vec![RunStatus::Error; 30];
    statuses.push(RunStatus::Failed);
    let markdown = render(&statuses, "S", Format::Markdown);
    let lines: Vec<_> = markdown.lines().filter(|line| line.starts_with("- ")).collect();
    assert!(lines[0].starts_with("- ✕ Failed: ") && lines[1].starts_with("- ⚠ Error: "));
    assert_eq!((lines.len(), *lines.last().unwrap()), (21, "- and 11 more runs"));
}

#[test]
fn statistics_exclude_what_was_not_judged_and_say_why() {
    use RunStatus::{Cancelled, Error, Failed, Passed};
    let report = report(&[Passed, Failed, Passed, Error, Cancelled, Error], "S");
    let summary = report.summary();
    assert_eq!((summary.outcome.judged, summary.outcome.passed), (3, 2));
    assert_eq!(
        summary.outcome.exclusions().as_deref(),
        Some("3 of 6 judged; 3 excluded: 2 rate limited, 1 canceled")
    );
    let flaky: Vec<_> = summary.scenarios.iter().map(|scenario| scenario.is_flaky).collect();
    assert_eq!(flaky, [true, false, false]);
    assert_eq!(summary.scenarios[0].pass_hat_k, [0.5, 0.0]);
    assert_eq!(summary.scenarios[0].pass_at_k, [0.5, 1.0]);
    assert_eq!(
        summary.scenarios[1].outcome.exclusions().as_deref(),
        Some("1 of 2 judged; 1 excluded: rate limited")
    );
    assert_eq!(summary.scenarios[2].outcome.pass_rate, None);
}

#[test]
fn cancelled_suite_has_no_pass_rate() {
    let mut cancelled = suite(&[RunStatus::Passed, RunStatus::Cancelled], "S");
    cancelled.status = SuiteStatus::Cancelled;
    let report = Report::new(cancelled, None, Timestamp(0));
    assert_eq!(report.summary().outcome.pass_rate, None);
    assert_eq!(report.summary().outcome.judged, 1);
}

#[test]
fn report_of_a_running_suite_says_so() {
    let statuses = [RunStatus::Passed, RunStatus::Running];
    let sentence = "The suite was still running: 1 of 2 runs were finished";
    for format in [Format::Junit, Format::Html, Format::Markdown] {
        assert!(render(&statuses, "S", format).contains(sentence), "{format:?}");
    }
    let json: Value = serde_json::from_str(&render(&statuses, "S", Format::Json)).unwrap();
    assert_eq!(json["is_final"], false);
    assert!(render(&statuses, "S", Format::Csv).contains(",running,"));
    let done = render(&[RunStatus::Passed; 2], "S", Format::Html);
    assert!(!done.contains("still running"));
}

#[test]
fn status_in_a_file_is_that_of_its_beginning() {
    let mut writer = ReportWriter::new(report(&[RunStatus::Running], "S"), Format::Json);
    // The run has finished since then.
    let text = String::from_utf8(writer.run(0, run(0, RunStatus::Passed, "S")).unwrap()).unwrap();
    let run: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!((&run["status"], &run["score"]), (&"running".into(), &Value::Null));
    assert_eq!(run["transcript"].as_array().unwrap().len(), 2);
    assert!(writer.run(1, super::fixtures::run(1, RunStatus::Passed, "S")).is_err());
}

#[test]
fn html_links_evidence_to_turns_and_loads_nothing() {
    let html = render(&[RunStatus::Failed], "Text", Format::Html);
    assert!(html.contains("href=\"#r1t1\"") && html.contains("id=\"r1t1\""), "{html}");
    let loading = ["<script", "<img", "<link", "src=", "url(", "@import"];
    assert!(loading.iter().all(|part| !html.contains(part)));
    assert!(html.contains("p95 120 ms"));
}

#[rstest]
#[case(RunStatus::Passed, None)]
#[case(RunStatus::Failed, Some("The text"))]
#[case(RunStatus::Error, Some("The text"))]
#[case(RunStatus::Cancelled, Some("A user canceled the run."))]
fn reason_is_one_line(#[case] status: RunStatus, #[case] expected: Option<&str>) {
    assert_eq!(reason(&run(0, status, "The\ntext")).as_deref(), expected);
}

#[test]
fn failed_run_without_evaluation_has_a_reason() {
    let mut run = run(0, RunStatus::Failed, "S");
    run.evaluations = None;
    assert_eq!(reason(&run).as_deref(), Some("The agent did not do what was expected."));
}
