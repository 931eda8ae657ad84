import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, test } from "../../support/test";

test("re-run of a part is marked as a part in the list, on the overview and on its page", async ({ page, visit }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const agent = await api.agent();
  // One run fails its rule, the other passes.
  const passes = await api.post<{ id: string }>("/scenarios", {
    name: "Passes",
    category: "information",
    conversation_flow: [{ speaker: "user", message: "When are you open?" }],
    success_criteria: { must_not_include: ["words that nobody says"] },
  });
  const { id } = await api.startSuite(agent, [await api.ruleScenario("Fails"), passes.id]);
  const whole = await api.waitUntilFinal(id);
  expect(whole.counts).toMatchObject({ failed: 1, passed: 1 });
  await visit(`/suites/${id}`);
  await page.getByRole("button", { name: "Re-run failed" }).click();
  await page.waitForURL((url) => /\/suites\/[0-9a-f-]{36}$/.test(url.pathname) && !url.pathname.endsWith(id));
  const part = new URL(page.url()).pathname.split("/").pop() ?? "";
  await api.waitUntilFinal(part);
  const mark = "re-run of 1 of 2 runs";
  await visit(`/suites/${part}`);
  await expect(page.getByText(`${mark} of an earlier suite`)).toBeVisible();
  await page.getByRole("link", { name: "an earlier suite" }).click();
  await expect(page).toHaveURL(new RegExp(`/suites/${id}$`));
  for (const path of ["/suites", "/"]) {
    await visit(path);
    await expect(page.getByText(mark), path).toHaveCount(1);
    await expect(page.getByRole("row").filter({ hasText: mark }), path).toContainText("0% (0 of 1)");
  }
  // All runs of the part are still a part.
  await visit(`/suites/${part}`);
  await page.getByRole("button", { name: "Re-run all" }).click();
  await page.waitForURL((url) => !url.pathname.endsWith(part));
  await expect(page.getByText(`${mark} of an earlier suite`)).toBeVisible();
});

test("nothing is offered for a re-run without its agent", async ({ page, visit }) => {
  await createAccount(page);
  const api = new Api(page.request);
  const agent = await api.agent();
  const { id } = await api.startSuite(agent, [await api.scenario("Hours", 1)]);
  await api.waitUntilFinal(id);
  await visit(`/suites/${id}`);
  await expect(page.getByRole("button", { name: "Re-run all" })).toBeVisible();
  expect((await page.request.delete(`/api/v1/agents/${agent}`)).status()).toBe(204);
  const refused = await page.request.post(`/api/v1/suites/${id}/rerun`, { data: { which: "all" } });
  expect(refused.status()).toBe(409);
  expect(await refused.json()).toMatchObject({
    detail: "The agent of this suite was deleted, so nothing can be run again.",
  });
  await visit(`/suites/${id}`);
  await expect(page.getByText("The agent was deleted, so nothing can be run again.")).toBeVisible();
  await expect(page.getByRole("button", { name: /Re-run/ })).toHaveCount(0);
});
