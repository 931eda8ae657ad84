import type { BrowserContext, Page } from "@playwright/test";
import { Api } from "../../support/api";
import { signedUp } from "../../support/people";
import { expect, expectAccessible, hydrated, test } from "../../support/test";

// The browser's own line about a page that is answered with 404.
test.use({ expectedErrors: [/404/] });
test.describe.configure({ mode: "parallel" });

/** How somebody may see the pages: as the cookie says, or as the system has it. */
const LOOKS = [
  { name: "light", cookie: "light", system: "dark" },
  { name: "dark", cookie: "dark", system: "light" },
] as const;

type Look = (typeof LOOKS)[number];

async function dress(context: BrowserContext, page: Page, look: Look, url: string): Promise<void> {
  await context.addCookies([{ name: "theme", value: look.cookie, url }]);
  await page.emulateMedia({ colorScheme: look.system });
}

/** Looks at each page; a page that does not say its heading is the wrong one. */
async function examine(page: Page, pages: readonly (readonly [string, RegExp])[]): Promise<void> {
  for (const [path, heading] of pages) {
    await test.step(path, async () => {
      await page.goto(path);
      await hydrated(page);
      await expect(page.getByRole("heading", { level: 1 })).toHaveText(heading);
      await expectAccessible(page);
    });
  }
}

for (const look of LOOKS) {
  test(`before and just after signing up, in ${look.name}`, async ({ context, page, server }) => {
    await dress(context, page, look, server.url);
    await examine(page, [
      ["/", /./],
      ["/sign-in", /Sign in/],
      ["/sign-up", /Sign up/],
      ["/no/such/page", /Not found|no page/i],
    ]);
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

  test(`with things of one's own, in ${look.name}`, async ({ context, page, server }) => {
    await dress(context, page, look, server.url);
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
    await page.goto("/scenarios/new");
    await hydrated(page);
    await page.getByRole("button", { name: "Add answer" }).click();
    await page.getByRole("button", { name: "Save scenario" }).click();
    await expect(page.getByRole("alert")).toBeFocused();
    await expectAccessible(page);
  });

  test(`a suite live, its report and a run, in ${look.name}`, async ({ context, page, server }) => {
    await dress(context, page, look, server.url);
    await signedUp(page);
    const api = new Api(page.request);
    const started = await page.request.post("/forms/demo", { form: {}, maxRedirects: 0 });
    const path = started.headers().location ?? "";
    await page.goto(path);
    await hydrated(page);
    await expect(page.getByRole("log").getByRole("article").first()).toBeVisible();
    await expectAccessible(page);
    await page.goto("/");
    await expect(page.getByRole("heading", { name: "Running now" })).toBeVisible();
    await expectAccessible(page);
    const suite = await api.finished(path.split("/").pop() ?? "");
    const failed = suite.runs.find((run) => run.status === "failed");
    await examine(page, [
      [path, /14 runs/],
      [`/runs/${failed?.id}`, /×/],
      ["/", /Overview/],
      ["/suites", /Suites/],
      [`/suites/new?agent=${"0".repeat(8)}-0000-7000-8000-000000000000`, /Run scenarios/],
    ]);
  });
}

test("a suite with repetitions, and one that was cancelled", async ({ page, visit }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const [agent, scenario] = [await api.agent(), await api.scenario("Hours", 1)];
  const { id } = await api.start(agent, [scenario], { repeats: 3, note: "how often?" });
  await api.finished(id);
  await visit(`/suites/${id}`);
  await expect(page.getByRole("heading", { name: "Repetitions" })).toBeVisible();
  await expectAccessible(page);
  const long = await api.start(agent, [await api.scenario("Long", 60)]);
  await api.post(`/suites/${long.id}/cancel`, {}, 202);
  await api.finished(long.id);
  await visit(`/suites/${long.id}`);
  await expectAccessible(page);
  await visit(`/runs/${long.runs[0]?.id}`);
  await expectAccessible(page);
});

test("the help is opened by a key, and is accessible", async ({ page, visit }) => {
  await signedUp(page);
  await visit("/");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
});
