import { Api } from "../../support/api";
import { signedUp } from "../../support/people";
import { expect, hydrated, test } from "../../support/test";

const LATER = /_later\.wasm$/;
/** What the page itself asks for, before its scripts do. */
const HINT = 'link[rel="preload"][href$="_later.wasm"]';

test("pages where one writes load their file when they are needed, once", async ({
  page,
  visit,
}) => {
  const fetched: string[] = [];
  page.on("request", (request) => {
    if (LATER.test(request.url())) {
      fetched.push(request.url());
    }
  });
  await signedUp(page);
  await visit("/suites");
  await page.getByRole("link", { name: "Rehearsal" }).click();
  await expect(page).toHaveURL("/");
  await expect(page.locator(HINT)).not.toBeAttached();
  expect(fetched).toEqual([]);

  // By links, within one document.
  await page.evaluate(() => document.body.setAttribute("data-same", ""));
  const main = page.getByRole("navigation", { name: "Main" });
  await main.getByRole("link", { name: "Scenarios" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Scenarios" })).toBeFocused();
  await page.getByRole("link", { name: "New scenario" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "New scenario" })).toBeFocused();
  await page.getByRole("button", { name: "Add turn" }).click();
  await expect(page.getByRole("group", { name: "Turn 2", exact: true })).toBeVisible();
  await main.getByRole("link", { name: "Suites" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Suites" })).toBeFocused();
  await main.getByRole("link", { name: "Agents" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Agents" })).toBeFocused();
  await expect(page.locator("body[data-same]")).toBeAttached();
  expect(fetched).toHaveLength(1);
});

test("opened at its own address, such a page comes alive with its file", async ({
  page,
  visit,
}) => {
  await signedUp(page);
  const fetched: string[] = [];
  page.on("request", (request) => {
    if (LATER.test(request.url())) {
      fetched.push(request.url());
    }
  });
  await visit("/scenarios/new");
  await expect(page.locator(HINT)).toBeAttached();
  // The scripts take what the page asked for.
  expect(fetched).toHaveLength(1);
  // Checked in the browser: no request, and the summary takes the focus.
  await page.locator("#name").fill("");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page.getByRole("alert")).toBeFocused();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Suites" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Suites" })).toBeFocused();
});

test.describe("where the second file does not come", () => {
  test.use({ expectedErrors: [/ERR_FAILED|Failed to fetch/] });

  test("its pages work as without scripts, and links to them say so", async ({ page, visit }) => {
    await signedUp(page);
    await page.route(LATER, (route) => route.abort());
    await page.goto("/scenarios/new");
    await page.locator("#name").fill("Without it");
    await page.getByLabel("Message").fill("Hello?");
    await page.getByLabel("What the agent does").fill("Greets");
    await page.getByRole("button", { name: "Save scenario" }).click();
    await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);
    await expect(page.locator("body[data-hydrated]")).not.toBeAttached();
    const scenarios = await new Api(page.request).get<{ items: { name: string }[] }>(
      "/scenarios?q=Without",
    );
    expect(scenarios.items.map((scenario) => scenario.name)).toEqual(["Without it"]);

    await visit("/suites");
    const main = page.getByRole("navigation", { name: "Main" });
    await main.getByRole("link", { name: "Agents" }).click();
    await expect(page.getByText("A part of the application could not be loaded.")).toBeVisible();
    await page.unroute(LATER);
    await page.getByRole("link", { name: "Try again" }).click();
    await hydrated(page);
    await expect(page.getByRole("heading", { level: 1, name: "Agents" })).toBeVisible();
  });
});
