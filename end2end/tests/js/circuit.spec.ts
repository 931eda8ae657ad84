import { Api } from "../../support/api";
import { signedUp } from "../../support/people";
import { Provider } from "../../support/provider";
import { expect, expectAccessible, hydrated, test } from "../../support/test";

// A page is looked at in between, however slow the machine.
test.use({ serverSettings: { REHEARSAL_SIGN_UP: "open", REHEARSAL_CIRCUIT_WAIT: "5m" } });

test("a provider that is down is waited for, and tried by a button", async ({ page }) => {
  const provider = await Provider.start();
  try {
    await signedUp(page);
    const api = new Api(page.request);
    const agent = await api.agentOf(provider.url);
    // Nothing to judge by a model: rules alone decide.
    const scenarios = await Promise.all(
      Array.from({ length: 6 }, (_, n) => api.ruled(`Case ${n}`)),
    );
    const suite = await api.start(agent, scenarios);

    await page.goto(`/suites/${suite.id}`);
    await hydrated(page);
    const waits = page.getByText(/^6 runs wait for the circuit, which is open, next try at /);
    await expect(waits).toBeVisible({ timeout: 30_000 });
    await page.getByRole("link", { name: "why, and try now" }).click();
    await page.getByRole("link", { name: "Ours" }).click();
    await expect(page.getByText(/(5 calls in a row failed|The call that tried again failed too): .*503/)).toBeVisible();
    await expect(page.locator(".circuit .chip")).toHaveText(/Open|Trying/);
    await expectAccessible(page);

    // It is still down: the button says so, and the circuit stays open.
    await page.getByRole("button", { name: "Try now" }).click();
    await expect(page.getByText("It does not work")).toBeVisible();
    await expect(page.getByRole("button", { name: "Try now" })).toBeVisible();

    provider.down = false;
    await page.getByRole("button", { name: "Try now" }).click();
    await expect(page.getByText("It answers")).toBeVisible();
    await expect(page.locator(".circuit .chip")).toHaveText(/Closed/);
    await expect(page.getByRole("button", { name: "Try now" })).toBeHidden();
    const ended = await api.finished(suite.id);
    expect(ended.counts).toMatchObject({ passed: 6, error: 0, failed: 0 });
  } finally {
    await provider.stop();
  }
});
