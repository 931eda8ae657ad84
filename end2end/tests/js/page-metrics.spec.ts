import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { Provider } from "../../support/provider";
import { expect, hydrated, test } from "../../support/test";

/*
 * Page metrics. Times depend on the machine, so they are only printed. Layout
 * shifts do not, so the tests assert that there are none.
 */

interface Metrics {
  /** Largest contentful paint, in ms after navigation start. */
  lcp: number;
  /** Cumulative layout shift. */
  cls: number;
  /** Elements that shifted, with their old and new position. */
  shifted: string[];
  /** Total blocking time in ms. */
  blocked: number;
  /** Hydration, in ms after navigation start. */
  hydrated: number;
  /** Transfer size of the document in KB. */
  document: number;
}

/** Records the metrics of every page that is opened from now on. */
async function recordMetrics(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const seen = { lcp: 0, cls: 0, shifted: [] as string[], blocked: 0, hydrated: 0 };
    Object.assign(window, { seen });
    const each = (type: string, take: (entry: PerformanceEntry) => void) =>
      new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({
        type,
        buffered: true,
      });
    each("largest-contentful-paint", (entry) => (seen.lcp = entry.startTime));
    each("longtask", (entry) => (seen.blocked += Math.max(0, entry.duration - 50)));
    each("layout-shift", (entry) => {
      const shift = entry as PerformanceEntry & {
        value: number;
        hadRecentInput: boolean;
        sources: { node: Node | null; previousRect: DOMRect; currentRect: DOMRect }[];
      };
      if (shift.hadRecentInput) {
        return;
      }
      seen.cls += shift.value;
      for (const { node, previousRect, currentRect } of shift.sources) {
        const name = node instanceof Element ? `${node.tagName}.${node.className}` : node?.nodeName;
        seen.shifted.push(`${name} ${previousRect.top} → ${currentRect.top}`);
      }
    });
    new MutationObserver(() => {
      if (!seen.hydrated && document.body?.hasAttribute("data-hydrated")) {
        seen.hydrated = performance.now();
      }
    }).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-hydrated"] });
  });
}

/** Loads a page and returns its metrics. */
async function measure(page: Page, path: string): Promise<Metrics> {
  await page.goto(path);
  await hydrated(page);
  // Two frames after hydration the layout is final.
  return page.evaluate(async () => {
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    await frame();
    await frame();
    const [navigation] = performance.getEntriesByType("navigation");
    const { transferSize } = navigation as PerformanceNavigationTiming;
    return { ...(window as unknown as { seen: Metrics }).seen, document: transferSize / 1000 };
  });
}

function print(name: string, metrics: Metrics): void {
  const ms = (value: number) => `${Math.round(value)} ms`;
  console.log(
    `measured: ${name}: largest paint ${ms(metrics.lcp)}, hydrated ${ms(metrics.hydrated)}, ` +
      `blocked ${ms(metrics.blocked)}, shift ${metrics.cls.toFixed(3)}, document ${metrics.document.toFixed(1)} KB`,
  );
}

/** A percentile, nearest rank. */
function percentile(values: number[], hundredths: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil((sorted.length * hundredths) / 100) - 1] ?? Number.NaN;
}

test("no page has layout shifts, and each prints its metrics", async ({ page }) => {
  test.setTimeout(180_000);
  await recordMetrics(page);
  await page.goto("/sign-in");
  print("signing in", await measure(page, "/sign-in"));
  await createAccount(page);
  print("the empty home", await measure(page, "/"));
  const provider = await Provider.start();
  provider.isDown = false;
  // Nothing happens in the suite while its page loads. An event that arrives before
  // hydration shows another transcript or the end of the suite, on purpose.
  provider.hold();
  try {
    const api = new Api(page.request);
    const agent = await api.agentFor(provider.url);
    const scenarios = await Promise.all(
      Array.from({ length: 25 }, (_, n) => api.ruleScenario(`Question ${n + 1}`)),
    );
    const suite = await api.startSuite(agent, scenarios, { repeats: 20, concurrency: 8 });
    expect(suite.total).toBe(500);
    const pages = {
      "a suite of 500 runs, live": `/suites/${suite.id}`,
      "the home": "/",
      scenarios: "/scenarios",
      "the editor of a scenario": `/scenarios/${scenarios[0]}`,
      "the editor of an agent": `/agents/${agent}`,
      "the start form": `/suites/new?agent=${agent}`,
      connections: "/settings/connections",
    };
    for (const [name, path] of Object.entries(pages)) {
      const seen = await measure(page, path);
      print(name, seen);
      expect.soft(seen.cls, `${path} shifted: ${seen.shifted.join(", ")}`).toBeLessThanOrEqual(0.02);
    }
    expect((await api.suite(suite.id)).status, "the suite was measured live").toBe("running");
    provider.release();
    await expect
      .poll(async () => (await api.suite(suite.id)).status, { timeout: 120_000 })
      .toBe("finished");
    const ended = await api.suite(suite.id);
    expect(ended.counts).toMatchObject({ passed: 500 });
    for (const path of [`/suites/${suite.id}`, `/runs/${ended.runs[0]?.id}`]) {
      const seen = await measure(page, path);
      print(path.startsWith("/runs") ? "a run" : "the report of 500 runs", seen);
      expect.soft(seen.cls, `${path} shifted: ${seen.shifted.join(", ")}`).toBeLessThanOrEqual(0.02);
    }
  } finally {
    await provider.stop();
  }
});

/**
 * Records the time of a click and of the first painted progress bar after it, on
 * any page. Both are recorded in the page, so that they use one clock and exclude
 * the latency of the driver.
 */
async function recordStartTimes(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const now = (at: number) => String(performance.timeOrigin + at);
    const note = (click: Event) => sessionStorage.setItem("clicked", now(click.timeStamp));
    addEventListener("click", note, { capture: true });
    const look = () => {
      const shown = document.querySelector("section.progress progress");
      requestAnimationFrame((at) => (shown ? sessionStorage.setItem("painted", now(at)) : look()));
    };
    look();
  });
}

test("time from click to first progress", async ({ page, visit }) => {
  test.setTimeout(120_000);
  await recordStartTimes(page);
  await createAccount(page);
  const provider = await Provider.start();
  provider.isDown = false;
  try {
    const api = new Api(page.request);
    const agent = await api.agentFor(provider.url);
    const scenario = await api.ruleScenario("One");
    const times: number[] = [];
    for (let start = 0; start < 20; start += 1) {
      await visit(`/suites/new?agent=${agent}&scenario=${scenario}`);
      await page.evaluate(() => sessionStorage.removeItem("painted"));
      await page.getByRole("button", { name: "Run 1 conversation" }).click();
      await expect(page).toHaveURL(/\/suites\/[0-9a-f-]{36}$/);
      await expect.poll(() => page.evaluate(() => sessionStorage.getItem("painted"))).toBeTruthy();
      times.push(
        await page.evaluate(() => Number(sessionStorage.painted) - Number(sessionStorage.clicked)),
      );
      const id = new URL(page.url()).pathname.split("/").at(-1) ?? "";
      await expect.poll(async () => (await api.suite(id)).status).toBe("finished");
    }
    const [p50, p95] = [50, 95].map((part) => Math.round(percentile(times, part)));
    console.log(`measured: time from click to first progress: p50 ${p50} ms, p95 ${p95} ms`);
    expect(times.every((time) => time > 0), `${times}`).toBe(true);
  } finally {
    await provider.stop();
  }
});
