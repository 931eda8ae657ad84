import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, hydrated, test } from "../../support/test";

const CHUNK = /[0-9a-f]{16}_(?!bg)(\w+)\.wasm$/;

/** The files that a chunk needs: their names list their users. */
function filesOf(files: string[], chunk: string): string[] {
  return files.filter((file) => file.split("_").includes(chunk));
}

/** The chunk files that a page preloads. */
async function preloaded(page: Page): Promise<string[]> {
  const links = await page.locator(PRELOAD).all();
  const urls = await Promise.all(links.map((link) => link.getAttribute("href")));
  return urls.map((url) => CHUNK.exec(url ?? "")?.[1] ?? "").sort();
}

/** Preload links for lazy chunks. */
const PRELOAD = 'link[rel="preload"][href$=".wasm"]:not([href$="_bg.wasm"])';

/** Records the chunks that a page requests from now on, one entry per request. */
function recordChunkRequests(page: Page): string[] {
  const requested: string[] = [];
  page.on("request", (request) => {
    const chunk = CHUNK.exec(request.url())?.[1];
    if (chunk !== undefined) {
      requested.push(chunk);
    }
  });
  return requested;
}

test("lazy routes load their chunks on demand and once", async ({
  page,
  visit,
}) => {
  const headers: Record<string, string>[] = [];
  page.on("response", (response) => {
    if (CHUNK.test(response.url())) {
      headers.push(response.headers());
    }
  });
  const chunks = recordChunkRequests(page);
  await visit("/sign-in");
  await expect(page.locator(PRELOAD)).not.toBeAttached();
  expect(chunks).toEqual([]);

  await createAccount(page);
  await visit("/suites");
  expect([...chunks].sort()).toEqual(await preloaded(page));
  expect(filesOf(chunks, "results")).toEqual(chunks);

  // Client-side navigation within one document.
  await page.evaluate(() => document.body.setAttribute("data-same", ""));
  const main = page.getByRole("navigation", { name: "Main" });
  await main.getByRole("link", { name: "Scenarios" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Scenarios" })).toBeFocused();
  await page.getByRole("link", { name: "New scenario" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "New scenario" })).toBeFocused();
  await main.getByRole("link", { name: "Suites" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Suites" })).toBeFocused();
  await main.getByRole("link", { name: "Scenarios" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Scenarios" })).toBeFocused();
  expect(chunks).toContain("scenarios");
  expect(chunks).not.toContain("setup");
  await main.getByRole("link", { name: "Settings" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Connections" })).toBeFocused();
  await main.getByRole("link", { name: "Agents" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Agents" })).toBeFocused();
  await main.getByRole("link", { name: "Scenarios" }).click();
  await page.getByRole("link", { name: "New scenario" }).click();
  await page.getByRole("button", { name: "Add turn" }).click();
  await expect(page.getByRole("group", { name: "Turn 2", exact: true })).toBeVisible();
  await expect(page.locator("body[data-same]")).toBeAttached();
  for (const chunk of ["results", "agents", "scenarios", "setup"]) {
    expect(chunks).toContain(chunk);
  }
  expect(new Set(chunks).size, "each file is loaded once").toBe(chunks.length);

  // Cached permanently and compressed.
  expect(headers.length).toBeGreaterThanOrEqual(chunks.length);
  for (const header of headers) {
    expect(header["cache-control"]).toContain("immutable");
    expect(header["content-encoding"]).toMatch(/^(br|gzip)$/);
  }
});

test("direct visit to a settings page loads only its chunks", async ({
  page,
  visit,
}) => {
  await createAccount(page);
  const chunks = recordChunkRequests(page);
  await visit("/settings/connections/new");
  // The scripts reuse the preloaded files.
  expect([...chunks].sort()).toEqual(await preloaded(page));
  expect(chunks).toContain("setup");
  expect(filesOf(chunks, "setup")).toEqual(chunks);
});

test("direct visit to an editor hydrates with its chunks", async ({
  page,
  visit,
}) => {
  await createAccount(page);
  const chunks = recordChunkRequests(page);
  await visit("/scenarios/new");
  expect([...chunks].sort()).toEqual(await preloaded(page));
  expect(chunks).toContain("scenarios");
  expect(filesOf(chunks, "scenarios")).toEqual(chunks);
  // Validation runs in the browser: the summary gets the focus.
  await page.locator("#name").fill("");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page.getByRole("alert")).toBeFocused();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Suites" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Suites" })).toBeFocused();
});

test.describe("when a chunk fails to load", () => {
  test.use({ expectedErrors: [/ERR_FAILED|Failed to fetch/] });

  for (const missing of ["agents_scenarios"]) {
    test(`without the "${missing}" chunk pages work unhydrated and links show an error`, async ({
      page,
      visit,
    }) => {
      const file = new RegExp(`_${missing}\\.wasm$`);
      await createAccount(page);
      await page.route(file, (route) => route.abort());
      await page.goto("/scenarios/new");
      await page.locator("#name").fill("Without it");
      await page.getByLabel("Message").fill("Hello?");
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
      await page.unroute(file);
      await page.getByRole("link", { name: "Try again" }).click();
      await hydrated(page);
      await expect(page.getByRole("heading", { level: 1, name: "Agents" })).toBeVisible();
    });
  }

  test("pages of other chunks still work", async ({ page, visit }) => {
    await createAccount(page);
    await page.route(/[0-9a-f]{16}_setup\.wasm$/, (route) => route.abort());
    await visit("/agents");
    const main = page.getByRole("navigation", { name: "Main" });
    await main.getByRole("link", { name: "Settings" }).click();
    await expect(page.getByText("A part of the application could not be loaded.")).toBeVisible();
    await main.getByRole("link", { name: "Scenarios" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "Scenarios" })).toBeVisible();
    await page.unroute(/[0-9a-f]{16}_setup\.wasm$/);
    await main.getByRole("link", { name: "Settings" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "Connections" })).toBeVisible();
  });
});
