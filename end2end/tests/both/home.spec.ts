import { expect, expectAccessible, test } from "../../support/test";

test("home page has a title and one heading and is accessible", async ({ page, visit }) => {
  await visit("/");
  await expect(page).toHaveTitle(/Rehearsal/);
  await expect(page.locator("h1")).toHaveCount(1);
  await expectAccessible(page);
});
