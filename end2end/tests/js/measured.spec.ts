import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { signedUp } from "../../support/people";
import { Provider } from "../../support/provider";
import { expect, hydrated, test } from "../../support/test";

/*
 * What a page costs its reader. Times are printed, not judged: they belong to
 * the machine. What does not depend on it is judged: that nothing jumps.
 */

interface Cost {
  /** When the largest thing was painted, ms after the navigation began. */
  lcp: number;
  /** Cumulative layout shift. */
  cls: number;
  /** What jumped, and how far. */
  jumped: string[];
  /** By how much tasks blocked the page, beyond 50 ms each. */
  blocked: number;
  /** When the page came alive, ms after the navigation began. */
  alive: number;
  /** What came over the wire for the document, KB. */
  document: number;
}

/** Watches every page that is opened from now on. */
async function watch(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const seen = { lcp: 0, cls: 0, jumped: [] as string[], blocked: 0, alive: 0 };
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
        seen.jumped.push(`${name} ${previousRect.top} → ${currentRect.top}`);
      }
    });
    new MutationObserver(() => {
      if (!seen.alive && document.body?.hasAttribute("data-hydrated")) {
        seen.alive = performance.now();
      }
    }).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-hydrated"] });
  });
}

/** Opens a page anew and tells what that cost. */
async function cost(page: Page, path: string): Promise<Cost> {
  await page.goto(path);
  await hydrated(page);
  // Two frames later all of what hydration changed has been laid out.
  return page.evaluate(async () => {
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    await frame();
    await frame();
    const [navigation] = performance.getEntriesByType("navigation");
    const { transferSize } = navigation as PerformanceNavigationTiming;
    return { ...(window as unknown as { seen: Cost }).seen, document: transferSize / 1000 };
  });
}

function print(name: string, cost: Cost): void {
  const ms = (value: number) => `${Math.round(value)} ms`;
  console.log(
    `measured: ${name}: largest paint ${ms(cost.lcp)}, alive ${ms(cost.alive)}, ` +
      `blocked ${ms(cost.blocked)}, shift ${cost.cls.toFixed(3)}, document ${cost.document.toFixed(1)} KB`,
  );
}

/** The value that so many of a hundred stay under. */
function percentile(values: number[], hundredths: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil((sorted.length * hundredths) / 100) - 1] ?? Number.NaN;
}

test("nothing jumps on any page, and each prints what it costs", async ({ page }) => {
  test.setTimeout(180_000);
  await watch(page);
  await page.goto("/sign-in");
  print("signing in", await cost(page, "/sign-in"));
  await signedUp(page);
  print("the empty home", await cost(page, "/"));
  const provider = await Provider.start();
  provider.down = false;
  try {
    const api = new Api(page.request);
    const agent = await api.agentOf(provider.url);
    const scenarios = await Promise.all(
      Array.from({ length: 25 }, (_, n) => api.ruled(`Question ${n + 1}`)),
    );
    const suite = await api.start(agent, scenarios, { repeats: 20, concurrency: 8 });
    expect(suite.total).toBe(500);
    const pages = {
      "a suite of 500 runs, live": `/suites/${suite.id}`,
      "the home": "/",
      scenarios: "/scenarios",
      "the editor of a scenario": `/scenarios/${scenarios[0]}`,
      "the editor of an agent": `/agents/${agent}`,
      "what is started": `/suites/new?agent=${agent}`,
      connections: "/settings/connections",
    };
    for (const [name, path] of Object.entries(pages)) {
      const seen = await cost(page, path);
      print(name, seen);
      expect.soft(seen.cls, `${path} jumped: ${seen.jumped.join(", ")}`).toBeLessThanOrEqual(0.02);
    }
    await expect
      .poll(async () => (await api.suite(suite.id)).status, { timeout: 120_000 })
      .toBe("finished");
    const ended = await api.suite(suite.id);
    expect(ended.counts).toMatchObject({ passed: 500 });
    for (const path of [`/suites/${suite.id}`, `/runs/${ended.runs[0]?.id}`]) {
      const seen = await cost(page, path);
      print(path.startsWith("/runs") ? "a run" : "the report of 500 runs", seen);
      expect.soft(seen.cls, `${path} jumped: ${seen.jumped.join(", ")}`).toBeLessThanOrEqual(0.02);
    }
  } finally {
    await provider.stop();
  }
});

/**
 * Notes when something was clicked, and when a bar of progress was on the
 * screen after that, on whichever page. Both are seen from within the page, by
 * one clock: no driver stands between them.
 */
async function watchStart(page: Page): Promise<void> {
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

test("from the click to the first progress", async ({ page, visit }) => {
  test.setTimeout(120_000);
  await watchStart(page);
  await signedUp(page);
  const provider = await Provider.start();
  provider.down = false;
  try {
    const api = new Api(page.request);
    const agent = await api.agentOf(provider.url);
    const scenario = await api.ruled("One");
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
    const [half, most] = [50, 95].map((part) => Math.round(percentile(times, part)));
    console.log(`measured: from the click to the first progress: p50 ${half} ms, p95 ${most} ms`);
    expect(times.every((time) => time > 0), `${times}`).toBe(true);
  } finally {
    await provider.stop();
  }
});
