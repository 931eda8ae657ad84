import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { signedUp } from "../../support/people";
import { expect, expectAccessible, expectContrast, hydrated, test } from "../../support/test";

// The browser's own line about a page that is answered with 404.
test.use({ expectedErrors: [/404/] });
test.describe.configure({ mode: "parallel" });

/** All rules in light; then what another theme changes, in dark. */
async function expectBoth(page: Page): Promise<void> {
  // Without motion: a colour on its way to another is neither of the two.
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  await expectAccessible(page);
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await expectContrast(page);
}

/** Looks at each page; one with another heading is not the one that is meant. */
async function examine(page: Page, pages: readonly (readonly [string, RegExp])[]): Promise<void> {
  for (const [path, heading] of pages) {
    await test.step(path, async () => {
      await page.goto(path);
      await hydrated(page);
      await expect(page.getByRole("heading", { level: 1 })).toHaveText(heading);
      await expectBoth(page);
    });
  }
}

test("pages of a stranger", async ({ page }) => {
  await examine(page, [
    ["/", /./],
    ["/sign-in", /Sign in/],
    ["/sign-up", /Sign up/],
    ["/no/such/page", /Not found|no page/i],
  ]);
});

test("pages of somebody new", async ({ page }) => {
  await signedUp(page);
  await examine(page, [
    ["/", /in a minute/],
    ["/suites", /Suites/],
    ["/suites/new", /Run scenarios/],
    ["/agents", /Agents/],
    ["/agents/new", /New agent/],
    ["/scenarios/new", /New scenario/],
    ["/settings/connections", /Connections/],
    ["/settings/connections/new", /New connection/],
    ["/settings/models", /models/i],
    ["/settings/tokens", /Tokens/],
    ["/runs/0190a000-0000-7000-8000-000000000001", /Not found/],
  ]);
});

test("pages about things of one's own", async ({ page }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const agent = await api.agent();
  const scenario = await api.scenario("Hours");
  const connection = (await api.get<{ items: { id: string }[] }>("/connections")).items[0]?.id;
  const builtIn = (await api.get<{ items: { id: string }[] }>("/scenarios?built_in=true")).items;
  await examine(page, [
    ["/agents", /Agents/],
    [`/agents/${agent}`, /Front desk/],
    ["/scenarios", /Scenarios/],
    ["/scenarios?q=nothing-like-it", /Scenarios/],
    [`/scenarios/${scenario}`, /Hours/],
    [`/scenarios/${builtIn[0]?.id}`, /./],
    [`/suites/new?agent=${agent}&scenario=${scenario}`, /Run scenarios/],
    ["/settings/connections", /Connections/],
    [`/settings/connections/${connection}`, /Demo/],
  ]);
});

test("an editor with mistakes", async ({ page, visit }) => {
  await signedUp(page);
  await visit("/scenarios/new");
  await page.getByRole("button", { name: "Add answer" }).click();
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page.getByRole("alert")).toBeFocused();
  await expectBoth(page);
});

test("while a suite runs, and once it was cancelled", async ({ page }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const scenarios = [await api.scenario("Long", 100), await api.scenario("Longer", 100)];
  const suite = await api.start(await api.agent(), scenarios, { concurrency: 1 });
  const [live, run] = [`/suites/${suite.id}`, `/runs/${suite.runs[0]?.id}`];
  await page.goto(live);
  await expect(page.getByRole("log").getByRole("article").nth(1)).toBeVisible();
  await examine(page, [
    [live, /2 runs/],
    [run, /×/],
    ["/", /Overview/],
  ]);
  await expect(page.getByRole("heading", { name: "Running now" })).toBeVisible();
  await api.post(`/suites/${suite.id}/cancel`, {}, 202);
  await api.finished(suite.id);
  await examine(page, [
    [live, /2 runs/],
    [run, /×/],
  ]);
});

test("reports, with repetitions and without", async ({ page }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const started = await page.request.post("/forms/demo", { form: {}, maxRedirects: 0 });
  const path = started.headers().location ?? "";
  const repeated = await api.start(await api.agent(), [await api.scenario("Hours", 1)], {
    repeats: 3,
    note: "how often?",
  });
  const suite = await api.finished(path.split("/").pop() ?? "");
  await api.finished(repeated.id);
  const failed = suite.runs.find((run) => run.status === "failed");
  await examine(page, [
    [path, /14 runs/],
    [`/suites/${repeated.id}`, /3 runs/],
    [`/runs/${failed?.id}`, /×/],
    ["/", /Overview/],
    ["/suites", /Suites/],
  ]);
});

test("the help is opened by a key, and is accessible", async ({ page, visit }) => {
  await signedUp(page);
  await visit("/");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
  await expectBoth(page);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
});

test("a theme that was chosen has the colours that the system's has", async ({
  page,
  context,
  server,
}) => {
  const colours = async (system: "light" | "dark", theme: string) => {
    await context.addCookies([{ name: "theme", value: theme, url: server.url }]);
    await page.emulateMedia({ colorScheme: system });
    await page.goto("/sign-in");
    return page.evaluate(tokens);
  };
  const [light, dark] = [await colours("light", "system"), await colours("dark", "system")];
  expect(light.length).toBeGreaterThan(20);
  expect(light).not.toEqual(dark);
  expect(await colours("dark", "light")).toEqual(light);
  expect(await colours("light", "dark")).toEqual(dark);
});

/** In the page: every custom property of the sheets with its value. */
function tokens(): string[] {
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
  const text = rules.map((rule) => rule.cssText).join("");
  const names = new Set([...text.matchAll(/(--[\w-]+):/g)].map(([, name]) => name ?? ""));
  const style = getComputedStyle(document.documentElement);
  return [...names].map((name) => `${name}: ${style.getPropertyValue(name)}`);
}
