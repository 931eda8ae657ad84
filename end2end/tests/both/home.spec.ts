import { expect, expectAccessible, test } from "../../support/test";

test("the first page has a title, one heading, and is accessible", async ({ page, visit }) => {
  await visit("/");
  await expect(page).toHaveTitle(/Rehearsal/);
  await expect(page.locator("h1")).toHaveCount(1);
  await expectAccessible(page);
});
