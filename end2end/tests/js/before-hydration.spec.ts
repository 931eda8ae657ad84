import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { signedUp, somebody } from "../../support/people";
import { expect, hydrated, test } from "../../support/test";

/** Holds the WASM back until the returned function lets it go. */
async function holdWasm(page: Page): Promise<() => void> {
  let letGo: () => void = () => undefined;
  const held = new Promise<void>((done) => {
    letGo = done;
  });
  await page.route("**/*.wasm", async (route) => {
    await held;
    // The page may have gone on meanwhile.
    await route.continue().catch(() => undefined);
  });
  return letGo;
}

/** Opens a page that has not come alive. */
async function visitDead(page: Page, path: string): Promise<void> {
  await page.goto(path, { waitUntil: "domcontentloaded" });
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page.locator("body[data-hydrated]")).not.toBeAttached();
}

test("signing up and the demo need not wait for the page to come alive", async ({ page }) => {
  const letGo = await holdWasm(page);
  const person = somebody();
  await visitDead(page, "/sign-up");
  await page.getByLabel("Email").fill(person.email);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Sign up" }).click();
  await expect(page.getByText(person.email)).toBeVisible();
  await page.getByRole("button", { name: "Run the demo" }).click();
  await page.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
  await expect(page.locator("body[data-hydrated]")).not.toBeAttached();
  await page.getByRole("button", { name: "Cancel suite" }).click();
  await expect(page.getByText("Asked to stop. What was said so far is kept.")).toBeVisible();
  const [suite] = await new Api(page.request).suites();
  expect(suite?.status).toBe("cancelled");
  letGo();
  await hydrated(page);
});

test("a scenario typed, grown and saved before the page is alive", async ({ page }) => {
  await signedUp(page);
  const letGo = await holdWasm(page);
  await visitDead(page, "/scenarios/new");
  const message = (n: number) =>
    page.getByRole("group", { name: `Turn ${n}`, exact: true }).getByLabel("Message");
  await page.locator("#name").fill("Early");
  await message(1).fill("Hello?");
  await page.getByRole("button", { name: "Add turn" }).click();
  await message(2).fill("Good morning.");
  await page.getByRole("button", { name: "Add behaviour" }).click();
  await page.getByLabel("What the agent does").fill("Greets");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);
  await expect(message(1)).toHaveValue("Hello?");
  await expect(message(2)).toHaveValue("Good morning.");
  letGo();
  await hydrated(page);
});

test("what was typed before the page came alive stays, and is what is sent", async ({ page }) => {
  await signedUp(page);
  const letGo = await holdWasm(page);
  await visitDead(page, "/scenarios/new");
  await page.locator("#name").fill("Typed early");
  await page.getByLabel("Category").first().selectOption("support");
  await page.getByLabel("Message").fill("Is anybody there?");
  await page.getByRole("checkbox", { name: "Active" }).uncheck();
  letGo();
  await hydrated(page);
  await expect(page.locator("#name")).toHaveValue("Typed early");
  await expect(page.getByLabel("Message")).toHaveValue("Is anybody there?");
  await page.getByRole("button", { name: "Add turn" }).click();
  await expect(page.getByLabel("Message").first()).toHaveValue("Is anybody there?");
  await page.getByRole("group", { name: "Turn 2" }).getByLabel("Message").fill("Hello?");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}/);
  const id = new URL(page.url()).pathname.split("/").pop();
  const saved = await new Api(page.request).get<Record<string, unknown>>(`/scenarios/${id}`);
  expect(saved).toMatchObject({
    name: "Typed early",
    category: "support",
    is_active: false,
    conversation_flow: [
      { speaker: "user", message: "Is anybody there?" },
      { speaker: "user", message: "Hello?" },
    ],
  });
});

test("what was chosen before the page came alive is what would run", async ({ page }) => {
  await signedUp(page);
  const api = new Api(page.request);
  const [agent] = [await api.agent("First"), await api.agent("Second")];
  await api.scenario("Hours", 1);
  const letGo = await holdWasm(page);
  await visitDead(page, "/suites/new");
  await page.getByLabel("Agent").selectOption({ label: "First" });
  await page.getByRole("checkbox", { name: /Hours Information/ }).check();
  await page.getByLabel("Repeats").fill("2");
  letGo();
  await hydrated(page);
  const run = page.getByRole("button", { name: "Run 2 conversations" });
  await expect(run).toBeEnabled();
  await expect(page).toHaveURL(new RegExp(`agent=${agent}`));
  await run.click();
  await page.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
});

test("the box that ticks all is there when it can do it", async ({ page }) => {
  await signedUp(page);
  await new Api(page.request).scenario("Hours", 1);
  const letGo = await holdWasm(page);
  await visitDead(page, "/scenarios");
  const all = page.getByRole("checkbox", { name: "Select all" });
  await expect(page.locator("input[aria-label='Select all']")).toBeHidden();
  letGo();
  await hydrated(page);
  await all.check();
  for (const one of await page.locator("input[name=scenario]").all()) {
    await expect(one).toBeChecked();
  }
});

test("a page whose WASM never comes can be used", async ({ browser, server, context, page }) => {
  // The page of this test stays unused: its console must be clean.
  expect(page.url()).toBe("about:blank");
  expect(context.pages()).toHaveLength(1);
  const own = await browser.newContext({ baseURL: server.url });
  const broken = await own.newPage();
  await broken.route("**/*.wasm", (route) => route.abort());
  await signedUp(broken);
  const api = new Api(broken.request);
  const [agent, scenario] = [await api.agent(), await api.scenario("Hours", 1)];
  await broken.goto(`/suites/new?agent=${agent}&scenario=${scenario}`);
  await broken.getByRole("button", { name: "Run 1 conversation" }).click();
  await broken.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
  const id = new URL(broken.url()).pathname.split("/").pop() ?? "";
  await api.finished(id);
  await broken.reload();
  await expect(broken.getByRole("region", { name: "Progress" })).toContainText("Finished");
  await own.close();
});
