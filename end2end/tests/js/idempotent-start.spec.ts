import type { Locator, Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount, signUpWithForm } from "../../support/accounts";
import { expect, test } from "../../support/test";

/**
 * Clicks twice and delays both responses until the server has handled both posts.
 */
async function doubleClickSlowly(page: Page, button: Locator, path: string): Promise<string[]> {
  const places: string[] = [];
  let posted: () => void = () => undefined;
  const both = new Promise<void>((done) => {
    posted = done;
  });
  await page.route(`**${path}`, async (route) => {
    const answer = await route.fetch({ maxRedirects: 0 });
    places.push(answer.headers().location?.split("?")[0] ?? "");
    if (places.length === 2) {
      posted();
    }
    await both;
    // The browser cancels the first request.
    await route.fulfill({ response: answer }).catch(() => undefined);
  });
  const box = await button.boundingBox();
  const at = { x: (box?.x ?? 0) + 5, y: (box?.y ?? 0) + 5 };
  await page.mouse.click(at.x, at.y);
  await expect.poll(() => places.length).toBe(1);
  await page.mouse.click(at.x, at.y);
  await both;
  await page.waitForURL(/\/suites\/[0-9a-f-]{36}/);
  return places;
}

/** Creates an agent and a scenario and returns the URL of the start form with both. */
async function startForm(page: Page): Promise<{ api: Api; address: string; body: object }> {
  await createAccount(page);
  const api = new Api(page.request);
  const [agent, scenario] = [await api.agent(), await api.scenario("Hours", 60)];
  return {
    api,
    address: `/suites/new?agent=${agent}&scenario=${scenario}`,
    body: { agent_id: agent, scenario_ids: [scenario] },
  };
}

test("double click on the demo starts one suite", async ({ page }) => {
  await signUpWithForm(page);
  const button = page.getByRole("button", { name: "Run the demo" });
  const places = await doubleClickSlowly(page, button, "/forms/demo");
  const [suite, ...others] = await new Api(page.request).suites();
  expect(others).toEqual([]);
  expect(places).toEqual([`/suites/${suite?.id}`, `/suites/${suite?.id}`]);
});

test("double click on Run starts one suite", async ({ page, visit }) => {
  const { api, address } = await startForm(page);
  await visit(address);
  const button = page.getByRole("button", { name: "Run 1 conversation" });
  const places = await doubleClickSlowly(page, button, "/forms/suites");
  const [suite, ...others] = await api.suites();
  expect(others).toEqual([]);
  expect(places).toEqual([`/suites/${suite?.id}`, `/suites/${suite?.id}`]);
  expect(new URL(page.url()).pathname).toBe(`/suites/${suite?.id}`);
});

test("concurrent posts of one form start one suite", async ({ page, visit }) => {
  const { api, address } = await startForm(page);
  await visit(address);
  const form = await page.evaluate(() => {
    const fields = new FormData(document.querySelector<HTMLFormElement>("form.start") ?? undefined);
    return [...fields].map(([name, value]) => [name, String(value)]);
  });
  const data = new URLSearchParams(form).toString();
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const post = () => page.request.post("/forms/suites", { data, headers, maxRedirects: 0 });
  const answers = await Promise.all(Array.from({ length: 10 }, post));
  expect(answers.map((answer) => answer.status())).toEqual(answers.map(() => 303));
  const places = answers.map((answer) => answer.headers().location?.split("?")[0]);
  const [suite, ...others] = await api.suites();
  expect(others).toEqual([]);
  expect(new Set(places)).toEqual(new Set([`/suites/${suite?.id}`]));
});

test("reused idempotency key with other content shows the form and a link to the suite", async ({
  page,
  visit,
}) => {
  const { api, address } = await startForm(page);
  await visit(address);
  const chosen = new URL(address, page.url()).searchParams;
  const form = {
    idempotency_key: await page.locator("form.start input[name=idempotency_key]").inputValue(),
    agent_id: chosen.get("agent") ?? "",
    "scenario_ids[]": chosen.get("scenario") ?? "",
  };
  const once = await page.request.post("/forms/suites", { form, maxRedirects: 0 });
  const first = once.headers().location?.split("?")[0] ?? "";
  expect(first).toMatch(/^\/suites\/[0-9a-f-]{36}$/);
  const other = { ...form, repeats: "2", note: "typed before" };
  const headers = { referer: new URL(address, page.url()).href };
  const repeated = await page.request.post("/forms/suites", { form: other, headers, maxRedirects: 0 });
  expect(repeated.status()).toBe(303);
  await visit(repeated.headers().location ?? "");
  const summary = page.getByRole("alert");
  // The only link leads to the suite: the key is not a field of the form.
  await expect(summary.getByRole("link")).toHaveAttribute("href", first);
  await expect(page.getByLabel("Note")).toHaveValue("typed before");
  await expect(page.locator("form.start input[name=idempotency_key]")).not.toHaveValue(
    form.idempotency_key,
  );
  expect(await api.suites()).toHaveLength(1);
});

test("unfinished suite disables Run and explains why", async ({ page, visit }) => {
  const { api, address, body } = await startForm(page);
  const running = await api.post<{ id: string }>("/suites", body, 202);
  await visit(address);
  const before = page.getByRole("complementary", { name: "Preflight check" });
  const run = before.getByRole("button", { name: /^Run/ });
  await expect(run).toBeDisabled();
  await expect(run).toHaveAccessibleDescription(/already has an unfinished suite/);
  await expect(before.getByRole("link", { name: "View the unfinished suite" })).toHaveAttribute(
    "href",
    `/suites/${running.id}`,
  );
  await before.getByLabel("Run in parallel anyway").check();
  await expect(run).toBeEnabled();
});

test("conflicting start is refused with a link", async ({ page, visit }) => {
  const { api, address, body } = await startForm(page);
  await visit(address);
  await page.getByLabel("Note").fill("is kept");
  await page.getByLabel("Note").blur();
  const run = page.getByRole("button", { name: "Run 1 conversation" });
  await expect(run).toBeEnabled();
  const running = await api.post<{ id: string }>("/suites", body, 202);
  await run.click();
  const summary = page.getByRole("alert");
  await expect(summary.getByRole("link")).toHaveAttribute("href", `/suites/${running.id}`);
  await expect(page.getByLabel("Note")).toHaveValue("is kept");
  const refused = await page.request.post("/api/v1/suites", { data: body });
  expect(refused.status()).toBe(409);
  expect((await refused.json()).link).toBe(`/suites/${running.id}`);
  expect(await api.suites()).toHaveLength(1);
});
