//! The stylesheet of the HTML report. It uses system fonts and works without a network.

pub(crate) const STYLE: &str = "
:root { color-scheme: light dark; --text: #1c2024; --weak: #60646c; --back: #fff;
  --panel: #f4f5f7; --line: #d9dbe0; --link: #0b57d0; --passed: #18794e; --failed: #c62a2f;
  --error: #8f5600; --inconclusive: #793aaf; --running: #0b5cad; --neutral: #60646c }
@media (prefers-color-scheme: dark) { :root { --text: #edeef0; --weak: #b0b4ba;
  --back: #111113; --panel: #1b1d20; --line: #363a3f; --link: #8ab4f8; --passed: #3dd68c;
  --failed: #ff9592; --error: #ffca16; --inconclusive: #d19dff; --running: #70b8ff;
  --neutral: #b0b4ba } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 24px 16px 48px; max-width: 1000px; color: var(--text);
  background: var(--back); font: 14px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 4px }
h2 { font-size: 17px; margin: 32px 0 8px }
h3 { font-size: 14px; margin: 16px 0 4px }
a { color: var(--link) }
p { margin: 4px 0 }
.hint { color: var(--weak) }
.notice { border: 1px solid var(--running); border-radius: 6px; padding: 8px 12px }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: 6px 8px;
  border-bottom: 1px solid var(--line) }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
td.rate { white-space: nowrap }
.chip { font-weight: 600; white-space: nowrap }
.passed { color: var(--passed) } .failed { color: var(--failed) } .error { color: var(--error) }
.inconclusive { color: var(--inconclusive) } .running { color: var(--running) }
.neutral { color: var(--neutral) }
.tag { border: 1px solid var(--line); border-radius: 4px; padding: 0 4px; font-size: 12px }
svg.bar { width: 120px; height: 10px; vertical-align: middle }
svg .track { fill: var(--line) } svg .rate { fill: var(--passed) }
svg .range { stroke: var(--text); stroke-width: 2 }
details.run { border: 1px solid var(--line); border-radius: 6px; margin: 8px 0 }
details.run > summary { padding: 8px 12px; cursor: pointer }
details.run > div { padding: 0 12px 12px }
.items { list-style: none; margin: 0; padding: 0 }
.items > li { border-top: 1px solid var(--line); padding: 6px 0 }
blockquote { margin: 4px 0; padding: 2px 12px; border-left: 3px solid var(--line) }
.turn { margin: 6px 0; padding: 6px 12px; border-radius: 6px; background: var(--panel);
  border-left: 3px solid var(--neutral) }
.turn.agent { border-left-color: var(--running) }
.turn:target { outline: 2px solid var(--link) }
.turn .text, .tool { white-space: pre-wrap; unicode-bidi: isolate }
.tool { font: 12px/1.5 ui-monospace, monospace; margin: 4px 0 }
@media print { :root { --text: #000; --weak: #444; --back: #fff; --panel: #f4f5f7;
  --line: #bbb; --passed: #18794e; --failed: #b3181d; --error: #7a4a00;
  --inconclusive: #5e2a8c; --running: #0b4f95 }
  body { max-width: none; padding: 0 }
  details::details-content { content-visibility: visible; display: block }
  details.run { break-inside: avoid-page } tr, .turn { break-inside: avoid } }
";
