import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, test } from "../../support/test";

test("required and forbidden texts keep their way of matching", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/scenarios/new");
  await page.locator("#name").fill("Literal texts");
  await page.getByRole("group", { name: "Turn 1" }).getByLabel("Message").fill("Hello?");
  await page.getByRole("button", { name: "Add required text" }).click();
  const required = page.getByRole("group", { name: "Required text 1" });
  await expect(required.getByLabel("Matches")).toHaveValue("word");
  await required.getByRole("textbox", { name: "Text" }).fill("C#");
  await page.getByRole("button", { name: "Add forbidden text" }).click();
  const forbidden = page.getByRole("group", { name: "Forbidden text 1" });
  await expect(forbidden.getByLabel("Matches")).toHaveValue("part");
  await forbidden.getByRole("textbox", { name: "Text" }).fill("Lena");
  await forbidden.getByLabel("Matches").selectOption("Whole words");
  await page.getByRole("button", { name: "Add forbidden text" }).click();
  await page.getByRole("group", { name: "Forbidden text 2" }).getByRole("textbox", { name: "Text" }).fill("discount");
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/\/scenarios\/[0-9a-f-]{36}\?notice=saved$/);

  const id = new URL(page.url()).pathname.split("/").pop();
  const saved = async () => (await new Api(page.request).get<Record<string, unknown>>(`/scenarios/${id}`)).success_criteria;
  const lena = { text: "Lena", match: "word" };
  expect(await saved()).toMatchObject({ must_include: ["C#"], must_not_include: [lena, "discount"] });
  await expect(required.getByLabel("Matches")).toHaveValue("word");
  await expect(forbidden.getByLabel("Matches")).toHaveValue("word");
  await expect(page.getByRole("group", { name: "Forbidden text 2" }).getByLabel("Matches")).toHaveValue("part");

  await required.getByLabel("Matches").selectOption("Also inside words");
  await forbidden.getByRole("button", { name: /Remove/ }).click();
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/notice=saved/);
  const part = { text: "C#", match: "part" };
  await expect.poll(saved).toMatchObject({ must_include: [part], must_not_include: ["discount"] });
});

test("impossible tool names and results that are no JSON are problems beside their fields", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/scenarios/new");
  await page.locator("#name").fill("Mocks");
  await page.getByRole("group", { name: "Turn 1" }).getByLabel("Message").fill("Hello?");
  await page.getByRole("button", { name: "Add mock" }).click();
  const mock = page.getByRole("group", { name: "Mock 1" });
  const [tool, result] = [mock.getByLabel("Tool"), mock.getByLabel("Result")];
  await tool.fill("book it");
  await result.fill("{broken");
  await page.getByRole("button", { name: "Save scenario" }).click();
  const summary = page.locator("#error-summary");
  await expect(summary).toContainText("2 problems to fix");
  await expect(tool).toHaveAttribute("aria-invalid", "true");
  await expect(result).toHaveAccessibleDescription(/JSON/);
  await tool.fill("book_it");
  await result.fill('"Booked"');
  await page.getByRole("button", { name: "Save scenario" }).click();
  await expect(page).toHaveURL(/notice=saved/);
  await expect(result).toHaveValue('"Booked"');
});
