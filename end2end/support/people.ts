import { randomUUID } from "node:crypto";
import { expect, type Page } from "@playwright/test";

/** Somebody who can sign in. */
export interface Person {
  email: string;
  password: string;
}

/** Nobody of this name was here before: tests share a server. */
export function somebody(): Person {
  return { email: `${randomUUID()}@example.com`, password: "correct horse battery" };
}

/** Signs somebody new up as a person does it: by the form. */
export async function signUp(page: Page, person = somebody()): Promise<Person> {
  await page.goto("/sign-up");
  await fillIn(page, person);
  await page.getByRole("button", { name: "Sign up" }).click();
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
  return person;
}

/** Signs in by the form. */
export async function signIn(page: Page, person: Person): Promise<void> {
  await page.goto("/sign-in");
  await fillIn(page, person);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
}

async function fillIn(page: Page, person: Person): Promise<void> {
  await page.getByLabel("Email").fill(person.email);
  await page.getByLabel("Password").fill(person.password);
}

/** The same without a page, for tests about something else. */
export async function signedUp(page: Page, person = somebody()): Promise<Person> {
  const answer = await page.request.post("/forms/sign-up", {
    form: { ...person, next: "/" },
    maxRedirects: 0,
  });
  expect(answer.status(), "signing up").toBe(303);
  return person;
}
