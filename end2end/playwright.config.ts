import path from "node:path";
import { defineConfig } from "@playwright/test";
import { chromiumPath } from "./support/chromium";

// `cargo xtask test` sets the results folder; by default it is in this folder.
const results =
  process.env.REHEARSAL_END2END_RESULTS ?? path.join(import.meta.dirname ?? __dirname, "results");

export default defineConfig({
  testDir: "tests",
  outputDir: path.join(results, "artifacts"),
  reporter: [["list"], ["json", { outputFile: path.join(results, "report.json") }]],
  // A flaky test is a bug.
  retries: 0,
  forbidOnly: !!process.env.CI,
  fullyParallel: false,
  workers: 2,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  use: {
    // Playwright creates a fresh profile for every browser.
    launchOptions: {
      executablePath: chromiumPath(),
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
  },
  projects: [
    // tests/js needs JavaScript, tests/nojs runs without it, tests/both runs with
    // and without.
    { name: "js", testMatch: ["js/**/*.spec.ts", "both/**/*.spec.ts"] },
    {
      name: "nojs",
      testMatch: ["nojs/**/*.spec.ts", "both/**/*.spec.ts"],
      use: { javaScriptEnabled: false },
    },
  ],
});
