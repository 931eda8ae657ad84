import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, expectAccessible, test } from "../../support/test";

const RETELL = JSON.stringify({
  llm_id: "llm_1",
  begin_message: "Bike shop, good morning!",
  general_prompt: "You answer the phone of a bike shop.",
  general_tools: [
    { type: "custom", name: "book_repair", description: "Books.", url: "https://shop.invalid" },
  ],
});

interface File {
  name: string;
  mimeType: string;
  buffer: Buffer;
}

function file(name: string, text: string): File {
  return { name, mimeType: "application/json", buffer: Buffer.from(text) };
}

async function expectChecked(page: Page): Promise<void> {
  await expect(page.locator("p.notice[role=status]")).toContainText("1 document can be imported.");
  await expect(page.getByText("bikes.json: Retell LLM")).toBeVisible();
  const lost = page.getByRole("region", { name: "Not carried over" });
  const row = lost.getByRole("row", { name: /general_tools\[0\]\.url/ });
  await expect(row).toContainText("Rehearsal never executes tools");
  await expect(page.getByRole("region", { name: "Inferred" })).toContainText("general_tools[0]");
}

test("file is checked, shown and imported", async ({ page, visit }) => {
  await createAccount(page);
  await new Api(page.request).connection();
  await visit("/agents");
  await page.getByRole("link", { name: "Import" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Import");
  await expectAccessible(page);
  await page.getByLabel("Select files").setInputFiles(file("bikes.json", RETELL));
  await page.getByRole("button", { name: "Check files" }).click();
  await expectChecked(page);
  await expectAccessible(page);
  await page.getByRole("button", { name: "Import 1 document" }).click();
  await expect(page.locator("p.notice[role=status]")).toContainText("1 document imported.");
  await expectAccessible(page);
  await page.getByRole("link", { name: "bikes" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("bikes");
  await expect(page.getByLabel("System prompt")).toHaveValue(/bike shop/);
  await expect(page.getByLabel("First message")).toHaveValue("Bike shop, good morning!");
});

test("broken file is refused with its place", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/import");
  await page.getByLabel("Select files").setInputFiles(file("bikes.json", '{"llm_id": }'));
  await page.getByRole("button", { name: "Check files" }).click();
  await expect(page.getByRole("alert")).toContainText("This is not JSON");
  await expect(page.getByRole("alert")).toContainText("line 1 column 12");
  await expectAccessible(page);
});

test("dropped file is checked", async ({ page, visit, javaScriptEnabled }) => {
  test.skip(javaScriptEnabled === false, "Dropping a file needs JavaScript.");
  await createAccount(page);
  await new Api(page.request).connection();
  await visit("/import");
  const dropped = await page.evaluateHandle((text) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([text], "bikes.json", { type: "application/json" }));
    return transfer;
  }, RETELL);
  const zone = page.locator("[data-drop]");
  await zone.dispatchEvent("dragover", { dataTransfer: dropped });
  await expect(zone).toHaveAttribute("data-over", "");
  await zone.dispatchEvent("drop", { dataTransfer: dropped });
  await expectChecked(page);
});
