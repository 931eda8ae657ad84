import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, expectAccessible, expectContrast, hydrated, test } from "../../support/test";

// The browser logs 404 responses.
test.use({ expectedErrors: [/404/] });
test.describe.configure({ mode: "parallel" });

/** Checks all rules in the light theme and contrast in the dark theme. */
async function expectAccessibleInBothThemes(page: Page): Promise<void> {
  // Without motion, because colors in transition have no stable contrast.
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  await expectAccessible(page);
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await expectContrast(page);
}

/** Checks each page. The heading makes sure that it is the intended page. */
async function checkPages(page: Page, pages: readonly (readonly [string, RegExp])[]): Promise<void> {
  for (const [path, heading] of pages) {
    await test.step(path, async () => {
      await page.goto(path);
      await hydrated(page);
      await expect(page.getByRole("heading", { level: 1 })).toHaveText(heading);
      await expectAccessibleInBothThemes(page);
    });
  }
}

test("pages without an account", async ({ page }) => {
  await checkPages(page, [
    ["/", /./],
    ["/sign-in", /Sign in/],
    ["/sign-up", /Sign up/],
    ["/no/such/page", /Not found|no page/i],
  ]);
});

test("pages of a new account", async ({ page }) => {
  await createAccount(page);
  await checkPages(page, [
    ["/", /in a minute/],
    ["/suites", /Suites/],
    ["/suites/new", /Run scenarios/],
    ["/agents", /Agents/],
    ["/agents/new", /New agent/],
    ["/scenarios/new", /New scenario/],
    ["/settings/connections", /Connections/],
    ["/settings/connections/new", /New connection/],
    ["/settings/models", /models/i],
    ["/settings/profiles", /Test profiles/],
    ["/settings/profiles/new", /New test profile/],
    ["/settings/tokens", /Tokens/],
    ["/settings/account", /Account/],
    ["/runs/0190a000-0000-7000-8000-000000000001", /Not found/],
  ]);
});

test("pages of an account with data", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const agent = await api.agent();
  const scenario = await api.scenario("Hours");
  const connection = (await api.get<{ items: { id: string }[] }>("/connections")).items[0]?.id;
  const builtIn = (await api.get<{ items: { id: string }[] }>("/scenarios?built_in=true")).items;
  await checkPages(page, [
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

test("editor with validation errors", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/scenarios/new");
  await page.getByRole("button", { name: "Add mock" }).click();
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page.getByRole("alert")).toBeFocused();
  await expectAccessibleInBothThemes(page);
});

test("running and canceled suite", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const scenarios = [await api.scenario("Long", 100), await api.scenario("Longer", 100)];
  const suite = await api.startSuite(await api.agent(), scenarios, { concurrency: 1 });
  const [live, run] = [`/suites/${suite.id}`, `/runs/${suite.runs[0]?.id}`];
  await page.goto(live);
  await expect(page.getByRole("log").getByRole("article").nth(1)).toBeVisible();
  await checkPages(page, [
    [live, /2 runs/],
    [run, /×/],
    ["/", /Overview/],
  ]);
  await expect(page.getByRole("heading", { name: "Running now" })).toBeVisible();
  await api.post(`/suites/${suite.id}/cancel`, {}, 202);
  await api.waitUntilFinal(suite.id);
  await checkPages(page, [
    [live, /2 runs/],
    [run, /×/],
  ]);
});

test("reports with and without repeats", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const started = await page.request.post("/forms/demo", { form: {}, maxRedirects: 0 });
  const path = started.headers().location ?? "";
  const repeated = await api.startSuite(await api.agent(), [await api.scenario("Hours", 1)], {
    repeats: 3,
    note: "how often?",
  });
  const suite = await api.waitUntilFinal(path.split("/").pop() ?? "");
  await api.waitUntilFinal(repeated.id);
  const failed = suite.runs.find((run) => run.status === "failed");
  await checkPages(page, [
    [path, /14 runs/],
    [`/suites/${repeated.id}`, /3 runs/],
    [`/runs/${failed?.id}`, /×/],
    ["/", /Overview/],
    ["/suites", /Suites/],
  ]);
});

test("keyboard shortcut dialog opens by key and is accessible", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeVisible();
  await expectAccessibleInBothThemes(page);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
});

test("explicit theme has the same colors as the system theme", async ({
  page,
  context,
  server,
}) => {
  const colors = async (system: "light" | "dark", theme: string) => {
    await context.addCookies([{ name: "theme", value: theme, url: server.url }]);
    await page.emulateMedia({ colorScheme: system });
    await page.goto("/sign-in");
    return page.evaluate(tokens);
  };
  const [light, dark] = [await colors("light", "system"), await colors("dark", "system")];
  expect(light.length).toBeGreaterThan(20);
  expect(light).not.toEqual(dark);
  expect(await colors("dark", "light")).toEqual(light);
  expect(await colors("light", "dark")).toEqual(dark);
});

/** Runs in the page: all custom properties of the style sheets with their values. */
function tokens(): string[] {
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
  const text = rules.map((rule) => rule.cssText).join("");
  const names = new Set([...text.matchAll(/(--[\w-]+):/g)].map(([, name]) => name ?? ""));
  const style = getComputedStyle(document.documentElement);
  return [...names].map((name) => `${name}: ${style.getPropertyValue(name)}`);
}
