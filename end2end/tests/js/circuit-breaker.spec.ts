import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { Provider } from "../../support/provider";
import { expect, expectAccessible, hydrated, test } from "../../support/test";

// Long enough for the test to visit a page in between on a slow machine.
test.use({ serverSettings: { REHEARSAL_SIGN_UP: "open", REHEARSAL_CIRCUIT_WAIT: "5m" } });

test("runs wait for a failing provider, and a button retries it", async ({ page }) => {
  const provider = await Provider.start();
  try {
    await createAccount(page);
    const api = new Api(page.request);
    const agent = await api.agentFor(provider.url);
    // Rule checks only, so that no judge is called.
    const scenarios = await Promise.all(
      Array.from({ length: 6 }, (_, n) => api.ruleScenario(`Case ${n}`)),
    );
    const suite = await api.startSuite(agent, scenarios);

    await page.goto(`/suites/${suite.id}`);
    await hydrated(page);
    const waits = page.getByText(/^Provider failing: 6 runs paused, next retry /);
    await expect(waits).toBeVisible({ timeout: 30_000 });
    // The notice and all rows show the same next retry, and the estimate is not earlier.
    const times = page.locator(".wait-notice time, .run-detail time");
    const next = async () => new Set(await times.evaluateAll((all) => all.map((one) => one.getAttribute("datetime"))));
    await expect.poll(async () => [await times.count(), (await next()).size]).toEqual([7, 1]);
    await page.getByRole("link", { name: "Details and retry" }).click();
    await page.getByRole("link", { name: "Ours" }).click();
    await expect(page.getByText(/(5 calls in a row failed|The probe failed too): .*503/)).toBeVisible();
    await expect(page.locator(".circuit .chip")).toHaveText(/Failing|Retrying/);
    await expectAccessible(page);

    // The provider is still down, so the circuit stays open.
    await page.getByRole("button", { name: "Retry now" }).click();
    await expect(page.getByText("Connection failed")).toBeVisible();
    await expect(page.getByRole("button", { name: "Retry now" })).toBeVisible();

    provider.isDown = false;
    await page.getByRole("button", { name: "Retry now" }).click();
    await expect(page.getByText("Connection OK")).toBeVisible();
    await expect(page.locator(".circuit .chip")).toHaveText(/OK/);
    await expect(page.getByRole("button", { name: "Retry now" })).toBeHidden();
    const ended = await api.waitUntilFinal(suite.id);
    expect(ended.counts).toMatchObject({ passed: 6, error: 0, failed: 0 });
  } finally {
    await provider.stop();
  }
});
