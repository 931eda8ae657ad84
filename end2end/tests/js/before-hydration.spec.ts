import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount, newAccount } from "../../support/accounts";
import { expect, hydrated, test } from "../../support/test";

/** Delays the WASM until the returned function is called. */
async function delayWasm(page: Page): Promise<() => void> {
  let releaseWasm: () => void = () => undefined;
  const held = new Promise<void>((done) => {
    releaseWasm = done;
  });
  await page.route("**/*.wasm", async (route) => {
    await held;
    // The page may have been left meanwhile.
    await route.continue().catch(() => undefined);
  });
  return releaseWasm;
}

/** Opens a page and does not wait for hydration. */
async function visitBeforeHydration(page: Page, path: string): Promise<void> {
  await page.goto(path, { waitUntil: "domcontentloaded" });
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page.locator("body[data-hydrated]")).not.toBeAttached();
}

test("sign-up and demo work before hydration", async ({ page }) => {
  const releaseWasm = await delayWasm(page);
  const account = newAccount();
  await visitBeforeHydration(page, "/sign-up");
  await page.getByLabel("Email").fill(account.email);
  await page.getByLabel("Password").fill(account.password);
  await page.getByRole("button", { name: "Sign up" }).click();
  await expect(page.getByText(account.email)).toBeVisible();
  await page.getByRole("button", { name: "Run the demo" }).click();
  await page.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
  await expect(page.locator("body[data-hydrated]")).not.toBeAttached();
  await page.getByRole("button", { name: "Cancel suite" }).click();
  await expect(page.getByText("Cancellation requested. The transcript so far is kept.")).toBeVisible();
  const [suite] = await new Api(page.request).suites();
  expect(suite?.status).toBe("cancelled");
  releaseWasm();
  await hydrated(page);
});

test("scenario can be edited and saved before hydration", async ({ page }) => {
  await createAccount(page);
  const releaseWasm = await delayWasm(page);
  await visitBeforeHydration(page, "/scenarios/new");
  const message = (n: number) =>
    page.getByRole("group", { name: `Turn ${n}`, exact: true }).getByLabel("Message");
  await page.locator("#name").fill("Early");
  await message(1).fill("Hello?");
  await page.getByRole("button", { name: "Add turn" }).click();
  await message(2).fill("Good morning.");
  await page.getByRole("button", { name: "Add behavior" }).click();
  await page.getByLabel("What the agent should do").fill("Greets");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);
  await expect(message(1)).toHaveValue("Hello?");
  await expect(message(2)).toHaveValue("Good morning.");
  releaseWasm();
  await hydrated(page);
});

test("text typed before hydration is kept and submitted", async ({ page }) => {
  await createAccount(page);
  const releaseWasm = await delayWasm(page);
  await visitBeforeHydration(page, "/scenarios/new");
  await page.locator("#name").fill("Typed early");
  await page.getByLabel("Category").first().selectOption("support");
  await page.getByLabel("Message").fill("Is anybody there?");
  await page.getByRole("checkbox", { name: "Active" }).uncheck();
  releaseWasm();
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

test("text typed after a reload and before hydration is newer than the kept input", async ({ page }) => {
  await createAccount(page);
  await page.goto("/settings/connections/new");
  await hydrated(page);
  page.on("dialog", (dialog) => void dialog.accept());
  await page.locator("#name").fill("Before the reload");
  await page.locator("#kind").selectOption("openai");
  await page.locator("#base_url").fill("https://models.example.org/v1");
  const releaseWasm = await delayWasm(page);
  await page.reload({ waitUntil: "domcontentloaded" });
  await expect(page.locator("body[data-hydrated]")).not.toBeAttached();
  await page.locator("#api_key").fill("sk-typed-early");
  await page.locator("#name").pressSequentially("Typed early");
  releaseWasm();
  await hydrated(page);
  await expect(page.getByText("was restored")).toBeVisible();
  await expect(page.locator("#name")).toHaveValue("Typed early");
  await expect(page.locator("#api_key")).toHaveValue("sk-typed-early");
  await expect(page.locator("#kind")).toHaveValue("openai");
  await expect(page.locator("#base_url")).toHaveValue("https://models.example.org/v1");
  // The user continues to type where the cursor was.
  await expect(page.locator("#name")).toBeFocused();
  await page.keyboard.type(" and late");
  await expect(page.locator("#name")).toHaveValue("Typed early and late");
});

test("scenarios chosen before hydration are the ones that run", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const [agent] = [await api.agent("First"), await api.agent("Second")];
  await api.scenario("Hours", 1);
  const releaseWasm = await delayWasm(page);
  await visitBeforeHydration(page, "/suites/new");
  await page.getByLabel("Agent").selectOption({ label: "First" });
  await page.getByRole("checkbox", { name: /Hours Information/ }).check();
  await page.getByLabel("Repeats").fill("2");
  releaseWasm();
  await hydrated(page);
  const run = page.getByRole("button", { name: "Run 2 conversations" });
  await expect(run).toBeEnabled();
  await expect(page).toHaveURL(new RegExp(`agent=${agent}`));
  await run.click();
  await page.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
});

test("select-all appears after hydration", async ({ page }) => {
  await createAccount(page);
  await new Api(page.request).scenario("Hours", 1);
  const releaseWasm = await delayWasm(page);
  await visitBeforeHydration(page, "/scenarios");
  const all = page.getByRole("checkbox", { name: "Select all" });
  await expect(page.locator("input[aria-label='Select all']")).toBeHidden();
  releaseWasm();
  await hydrated(page);
  await all.check();
  for (const one of await page.locator("input[name=scenario]").all()) {
    await expect(one).toBeChecked();
  }
});

test("page works when WASM fails to load", async ({ browser, server, context, page }) => {
  // Uses another context, because the console of this page must stay clean.
  expect(page.url()).toBe("about:blank");
  expect(context.pages()).toHaveLength(1);
  const own = await browser.newContext({ baseURL: server.url });
  const broken = await own.newPage();
  await broken.route("**/*.wasm", (route) => route.abort());
  await createAccount(broken);
  const api = new Api(broken.request);
  const [agent, scenario] = [await api.agent(), await api.scenario("Hours", 1)];
  await broken.goto(`/suites/new?agent=${agent}&scenario=${scenario}`);
  await broken.getByRole("button", { name: "Run 1 conversation" }).click();
  await broken.waitForURL(/\/suites\/[0-9a-f-]{36}$/);
  const id = new URL(broken.url()).pathname.split("/").pop() ?? "";
  await api.waitUntilFinal(id);
  await broken.reload();
  await expect(broken.getByRole("region", { name: "Progress" })).toContainText("Finished");
  await own.close();
});
