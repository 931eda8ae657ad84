import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { Provider } from "../../support/provider";
import { expect, hydrated, test } from "../../support/test";

test.use({ serverSettings: { REHEARSAL_SIGN_UP: "open", REHEARSAL_CIRCUIT_WAIT: "1s" } });

test("run that gave up names the status of the provider and can be re-run", async ({ page }) => {
  const provider = await Provider.start();
  try {
    await createAccount(page);
    const api = new Api(page.request);
    const agent = await api.agentFor(provider.url);
    const names = ["One", "Two"];
    const scenarios = await Promise.all(names.map((name) => api.ruleScenario(name)));
    const suite = await api.startSuite(agent, scenarios);
    // Both give up: a run that has not begun waits longer, so it is not waited for.
    const failed = async () => (await api.suite(suite.id)).counts.error ?? 0;
    await expect.poll(failed, { timeout: 60_000 }).toBeGreaterThan(0);
    provider.isDown = false;
    await api.waitUntilFinal(suite.id, 120_000);
    await page.goto(`/suites/${suite.id}`);
    await hydrated(page);
    const error = page.locator(".run-detail").filter({ hasText: "provider failing" }).first();
    await expect(error).toContainText("503");
    await expect(page.getByRole("button", { name: "Re-run errors" })).toBeVisible();
  } finally {
    await provider.stop();
  }
});

test("Re-run errors is not offered where it cannot help", async ({ page }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const made = await api.post<{ id: string }>("/scenarios", {
    name: "Needs a tool",
    category: "booking",
    required_tools: ["book"],
    conversation_flow: [{ speaker: "user", message: "Hello" }],
  });
  const agent = await api.agent();
  const suite = await api.startSuite(agent, [made.id, await api.scenario("Hours", 1)], { skip_incompatible: true });
  await api.waitUntilFinal(suite.id);
  await page.goto(`/suites/${suite.id}`);
  await hydrated(page);
  await expect(page.locator(".run-detail").filter({ hasText: "has no tool book" })).toBeVisible();
  await expect(page.getByRole("button", { name: "Re-run all" })).toBeVisible();
  await expect(page.getByRole("button", { name: "Re-run errors" })).toBeHidden();
});
