import { randomUUID } from "node:crypto";
import { expect, type Page } from "@playwright/test";

export interface Account {
  email: string;
  password: string;
}

/** A unique account, because tests share a server. */
export function newAccount(): Account {
  return { email: `${randomUUID()}@example.com`, password: "correct horse battery" };
}

/** Signs up with the form. */
export async function signUpWithForm(page: Page, account = newAccount()): Promise<Account> {
  await page.goto("/sign-up");
  await fillIn(page, account);
  await page.getByRole("button", { name: "Sign up" }).click();
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
  return account;
}

/** Signs in with the form. */
export async function signIn(page: Page, account: Account): Promise<void> {
  await page.goto("/sign-in");
  await fillIn(page, account);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
}

async function fillIn(page: Page, account: Account): Promise<void> {
  await page.getByLabel("Email").fill(account.email);
  await page.getByLabel("Password").fill(account.password);
}

/** Signs up with a request, for tests about something else. */
export async function createAccount(page: Page, account = newAccount()): Promise<Account> {
  const response = await page.request.post("/forms/sign-up", {
    form: { ...account, next: "/" },
    maxRedirects: 0,
  });
  expect(response.status(), "signing up").toBe(303);
  return account;
}
