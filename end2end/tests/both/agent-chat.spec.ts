import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, expectAccessible, test } from "../../support/test";

test("chat with an agent becomes a scenario", async ({ page, visit }) => {
  await createAccount(page);
  const agent = await new Api(page.request).agent();
  await visit(`/agents/${agent}`);
  await page.getByRole("link", { name: "Try it" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Try Front desk");
  await expectAccessible(page);

  // With the keyboard alone.
  await page.getByLabel("Message").focus();
  await page.keyboard.type("When are you open?");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const turns = page.getByRole("region", { name: "Conversation" }).getByRole("article");
  await expect(turns).toHaveCount(2);
  await expect(turns.first()).toContainText("When are you open?");
  await expect(page.getByLabel("Message")).toHaveValue("");
  await page.getByLabel("Message").fill("Thanks");
  await page.getByRole("button", { name: "Send" }).click();
  await expect(turns).toHaveCount(4);
  await expectAccessible(page);
  expect(await new Api(page.request).suites(), "nothing is stored as a run").toEqual([]);

  await page.getByRole("button", { name: "Turn into a scenario" }).click();
  await expect(page).toHaveURL(/\/scenarios\/new\?saved_form=/);
  await expect(page.locator("#name")).toHaveValue("Chat with Front desk");
  await expect(page.getByLabel("Message").nth(0)).toHaveValue("When are you open?");
  await expect(page.getByLabel("Message").nth(1)).toHaveValue("Thanks");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);
});
