import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, expectAccessible, test } from "../../support/test";

interface Preset {
  label: string;
  word: string;
  /** The fields that are visible at first. */
  asks: string[];
  baseUrl: string;
  scheme: string;
  needsKey?: boolean;
}

const hosted = (label: string, word: string, baseUrl: string): Preset => {
  return { label, word, asks: ["name", "api_key"], baseUrl, scheme: "bearer", needsKey: true };
};
const local = (label: string, word: string, port: number): Preset => {
  const asks = ["name", "base_url", "api_key"];
  return { label, word, asks, baseUrl: `http://localhost:${port}/v1`, scheme: "bearer" };
};

const PRESETS: Preset[] = [
  hosted("OpenAI", "openai", "https://api.openai.com/v1"),
  { ...hosted("Anthropic", "anthropic", "https://api.anthropic.com"), scheme: "x_api_key" },
  {
    ...hosted("Azure OpenAI", "azure_openai", "https://ours.openai.azure.com/openai/v1"),
    asks: ["name", "resource", "api_version", "api_key"],
    scheme: "api_key",
  },
  hosted("Google Gemini", "gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
  hosted("OpenRouter", "openrouter", "https://openrouter.ai/api/v1"),
  hosted("Groq", "groq", "https://api.groq.com/openai/v1"),
  hosted("Mistral", "mistral", "https://api.mistral.ai/v1"),
  { ...local("Ollama", "ollama", 11434), asks: ["name", "base_url"], scheme: "none" },
  local("vLLM", "vllm", 8000),
  local("LM Studio", "lm_studio", 1234),
  local("llama.cpp", "llama_cpp", 8080),
];

interface Connection {
  name: string;
  base_url: string;
  preset: string;
  has_key: boolean;
  auth: { scheme: string };
}

/** The names of the visible fields of the form. */
async function visibleFields(page: Page): Promise<string[]> {
  const fields = page.locator("#connection :is(input, select, textarea):visible");
  return fields.evaluateAll((all) => all.map((field) => field.id));
}

const save = (page: Page) => page.getByRole("button", { name: "Save connection" }).click();
const problems = (page: Page) => page.locator("#error-summary li");

for (const preset of PRESETS) {
  test(`form of ${preset.label} asks only for what is needed`, async ({ page, visit }) => {
    await createAccount(page);
    await visit("/settings/connections/new");
    await page.getByRole("link", { name: preset.label, exact: true }).click();
    await expect(page).toHaveURL(new RegExp(`preset=${preset.word}$`));
    await expect(page.locator("#name")).toHaveValue(preset.label);
    expect(await visibleFields(page)).toEqual(preset.asks);
    await expect(page.locator(".presets [aria-current=page]")).toHaveText(preset.label);
    await expectAccessible(page);

    // Problems are listed in the order of the fields, which are visible.
    await page.getByText("More settings", { exact: true }).click();
    await page.locator("#timeout_seconds").fill("soon");
    await page.locator("#query").fill("nonsense");
    await page.getByText("More settings", { exact: true }).click();
    await page.locator("#name").fill("");
    await save(page);
    const expected = [/^Name:/, /^Timeout:/, /^Query parameters:/];
    if (preset.asks.includes("resource")) {
      expected.splice(1, 0, /^Resource:/);
    }
    await expect(problems(page)).toHaveText(expected);
    await expect(page.locator("#timeout_seconds")).toBeVisible();
    await expect(page.locator("#query")).toHaveValue("nonsense");
    await expectAccessible(page);

    await page.locator("#name").fill("Ours");
    await page.locator("#timeout_seconds").fill("90");
    await page.locator("#query").fill("");
    if (preset.asks.includes("resource")) {
      await page.locator("#resource").fill("ours");
      await page.locator("#api_version").fill("preview");
    }
    await save(page);
    if (preset.needsKey) {
      await expect(problems(page)).toHaveText([/^API key: must not be empty/]);
      await page.locator("#api_key").fill("key-1234567890");
      await save(page);
    }
    await expect(page.getByText("Saved.")).toBeVisible();

    const { items } = await new Api(page.request).get<{ items: (Connection & { id: string })[] }>(
      "/connections",
    );
    const made = items[0];
    expect(made?.base_url).toBe(preset.baseUrl);
    expect(made?.auth.scheme).toBe(preset.scheme);
    expect(made?.preset).toBe(preset.word);
    expect(made?.has_key).toBe(preset.needsKey ?? false);

    // The stored connection is edited in the same form, and keeps its key.
    await visit(`/settings/connections/${made?.id}`);
    await expect(page.locator("#name")).toHaveValue("Ours");
    await expect(page.locator("#timeout_seconds")).toHaveValue("90");
    if (preset.asks.includes("resource")) {
      await expect(page.locator("#resource")).toHaveValue("ours");
      await expect(page.locator("#api_version")).toHaveValue("preview");
    }
    await page.locator("#name").fill("Renamed");
    await save(page);
    await expect(page.getByText("Saved.")).toBeVisible();
    const renamed = await new Api(page.request).get<Connection>(`/connections/${made?.id}`);
    expect({ ...renamed, name: "Ours", updated_at: 0 }).toEqual({ ...made, updated_at: 0 });
  });
}

test("fields of an authentication scheme appear when it is selected", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/settings/connections/new");
  await page.locator("#kind").selectOption("openai");
  await page.locator("#base_url").fill("http://127.0.0.1:9/v1");
  const [username, client] = [page.locator("#auth-username"), page.locator("#auth-client_id")];
  await expect(username).toBeHidden();
  await expect(client).toBeHidden();
  await page.locator("#auth-scheme").selectOption("basic");
  await expect(username).toBeVisible();
  await page.locator("#auth-scheme").selectOption("oauth_client_credentials");
  await expect(username).toBeHidden();
  await expect(client).toBeVisible();
  await expectAccessible(page);

  // By keyboard: Enter saves, the summary links to the fields.
  await page.locator("#name").fill("With OAuth");
  await page.locator("#name").press("Enter");
  const expected = [/^Token URL: must not be empty/, /^Client ID: must not be empty/];
  await expect(problems(page)).toHaveText(expected);
  await page.getByRole("link", { name: /^Client ID/ }).press("Enter");
  await expect(client).toBeFocused();
  await client.fill("app");
  await page.locator("#auth-token_url").fill("http://127.0.0.1:9/token");
  await page.locator("#api_key").fill("client-secret-1");
  await page.locator("#api_key").press("Enter");
  await expect(page.getByText("Saved.")).toBeVisible();
  await page.getByRole("link", { name: "With OAuth" }).click();
  await expect(client).toHaveValue("app");
  await expect(page.getByText("A client secret that ends in et-1 is stored.")).toBeVisible();
  expect(await page.content()).not.toContain("client-secret-1");
});

test("presets and more settings are reached by keyboard", async ({ page, visit }) => {
  await createAccount(page);
  await visit("/settings/connections/new");
  await page.getByRole("link", { name: "Ollama", exact: true }).press("Enter");
  await expect(page.locator("#name")).toHaveValue("Ollama");
  await page.locator("#base_url").focus();
  await page.keyboard.press("Tab");
  await expect(page.locator("details.more > summary")).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await expect(page.locator("#auth-scheme")).toBeFocused();
});
