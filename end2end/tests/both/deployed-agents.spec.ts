import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "@playwright/test";
import { Api } from "../../support/api";
import { createAccount } from "../../support/accounts";
import { expect, expectAccessible, test } from "../../support/test";

/** A deployed agent with sessions. Its reply is at a place that no preset knows. */
async function startAgent(): Promise<{ http: Server; url: string; messages: string[] }> {
  const messages: string[] = [];
  const http = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk) => (text += chunk));
    request.on("end", () => {
      const body = text === "" ? {} : JSON.parse(text);
      const answer =
        request.url === "/start"
          ? { id: "s-1" }
          : { data: { says: [`You said ${body.text}.`] }, session: body.session };
      if (request.url === "/say") {
        messages.push(body.text);
      }
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((listening) => http.listen(0, "127.0.0.1", listening));
  const { port } = http.address() as AddressInfo;
  return { http, url: `http://127.0.0.1:${port}`, messages };
}

async function connect(page: Page, url: string): Promise<void> {
  const connection = { name: "Endpoint", kind: "http_agent", base_url: url };
  await new Api(page.request).post("/connections", connection);
}

/** The labels of hidden and visible fields depend on the chosen modes. */
test("form shows the fields that the modes need and ignores the others", async ({ page, visit }) => {
  await createAccount(page);
  await connect(page, "https://agent.example.org");
  await visit("/agents/new?deployed=dify");
  await expect(page.locator("#http-request-path")).toHaveValue("/chat-messages");
  await expectAccessible(page);
  const visible = async (ids: Record<string, boolean>) => {
    for (const [id, shown] of Object.entries(ids)) {
      await expect(page.locator(`#${id}`), id).toBeVisible({ visible: shown });
    }
  };
  await visible({
    "http-session-id-at": true,
    "http-session-greeting": false,
    "http-response-events": true,
    "http-poll-status": false,
    "http-response-tool_calls-list": false,
  });
  await page.locator("#http-begins").selectOption("agent");
  await page.locator("#http-tools").selectOption("in_response");
  await page.locator("#http-response-tool_calls-list").fill("no pointer");
  await page.locator("#http-tools").selectOption("none");
  await page.locator("#http-response-format").selectOption("json");
  await visible({
    "http-session-greeting": true,
    "http-response-events": false,
    "http-response-stop": false,
    "http-poll-status": true,
    "http-response-tool_calls-list": false,
  });
  await page.locator("#http-purpose").fill("Answers questions.");
  await page.getByRole("button", { name: "Save agent" }).click();
  await expect(page).toHaveURL(/\/agents\/[0-9a-f-]{36}\?notice=saved$/);
});

test("unsaved agent is tried and a click on a value sets a pointer", async ({ page, visit }) => {
  const agent = await startAgent();
  await createAccount(page);
  await connect(page, agent.url);
  await visit("/agents/new?deployed=true");
  await page.locator("#name").fill("Echo");
  await page.locator("#http-purpose").fill("Repeats what the user says.");
  await page.locator("#http-request-path").fill("/say");
  await page.locator("#http-request-body").fill('{"text": "{{message}}", "session": "{{session_id}}"}');
  await page.locator("#http-session-mode").selectOption("server");
  await page.locator("#http-session-id-at").fill("/id");
  await page.locator("#http-session-start-path").fill("/start");
  await page.getByRole("textbox", { name: "Message" }).fill("Hello");
  await page.getByRole("button", { name: "Send message" }).click();

  await expect(page.getByRole("alert")).toContainText("/reply");
  await expect(page.getByRole("row", { name: /Text of the agent/ })).toContainText("nothing found");
  await expect(page.getByRole("row", { name: /Session id/ })).toContainText("s-1");
  await expectAccessible(page);
  // With the keyboard alone.
  const value = page.getByRole("button", { name: "You said Hello." });
  await value.focus();
  await page.keyboard.press("Enter");
  await expect(page.locator("#http-response-text")).toHaveValue("/data/says/0");
  await expect(page.locator("#name")).toHaveValue("Echo");
  expect(agent.messages).toEqual(["Hello"]);

  await page.getByRole("button", { name: "Send message" }).click();
  await expect(page.getByRole("row", { name: /Text of the agent/ })).toContainText("You said Hello.");
  await expect(page.getByRole("alert")).not.toBeAttached();
  await page.getByRole("button", { name: "Save agent" }).click();
  await expect(page).toHaveURL(/\/agents\/[0-9a-f-]{36}\?notice=saved$/);

  // The saved agent answers in a chat, which becomes a scenario.
  await page.getByRole("link", { name: "Try it" }).click();
  await page.getByRole("textbox", { name: "Message" }).fill("When?");
  await page.getByRole("button", { name: "Send" }).click();
  const turns = page.getByRole("region", { name: "Conversation" }).getByRole("article");
  await expect(turns).toHaveCount(2);
  await expect(turns.last()).toContainText("You said When?.");
  await page.getByRole("button", { name: "Turn into a scenario" }).click();
  await expect(page.locator("#name")).toHaveValue("Chat with Echo");
  agent.http.closeAllConnections();
  agent.http.close();
});
