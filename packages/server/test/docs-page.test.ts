// The page at /docs, as a browser shows it.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Browser, Locator, Page } from "playwright-core";
import { hasBrowser, startBrowser } from "./browser.js";
import { ROOT_KEY, startWith, type Started } from "./support.js";

let server: Started;
beforeAll(async () => {
  server = await startWith([{ tag: "exports", limit: 3, period: "month" }]);
});
afterAll(() => server.close());

/** An answer as it was sent, without a redirect followed or a body unpacked. */
async function ask(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${server.url}${path}`, { headers, redirect: "manual" });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

describe("/", () => {
  it("redirects people to /docs, and programs that accept only JSON to the document", async () => {
    for (const accept of ["text/html,application/json;q=0.9", "*/*"]) {
      const { status, headers } = await ask("/", { accept });
      expect([status, headers.get("location")]).toEqual([302, "docs"]);
    }
    const { headers } = await ask("/", { accept: "application/json" });
    expect(headers.get("location")).toBe("openapi.json");
    expect(headers.get("vary")).toBe("accept");
  });
});

describe("/docs", () => {
  it("loads only its own files, under a policy without inline scripts or styles", async () => {
    const { headers, text } = await ask("/docs");
    expect(headers.get("content-type")).toBe("text/html; charset=utf-8");
    const policy = headers.get("content-security-policy");
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(text).not.toMatch(/https?:|<style|\son\w+=|<script(?![^>]* src="docs\/)|\sstyle=/i);
    // A fault's `type` leads here.
    expect(text).toContain('id="QUOTA_NOT_FOUND"');
  });

  it("has files that a browser can keep for good, gzipped if it accepts that", async () => {
    const { text } = await ask("/docs");
    const files = [...text.matchAll(/(?:src|href)="(docs\/[^"]+)"/g)].map(([, path]) => `/${path}`);
    expect(files).toHaveLength(5);
    for (const path of files) {
      const packed = await ask(path);
      expect(packed.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      expect([packed.status, packed.headers.get("content-encoding")]).toEqual([200, "gzip"]);
      const plain = await ask(path, { "accept-encoding": "gzip;q=0" });
      expect(plain.headers.get("content-encoding")).toBeNull();
      expect(plain.text === packed.text).toBe(true);
      const etag = plain.headers.get("etag") ?? "";
      expect((await ask(path, { "if-none-match": etag })).status).toBe(304);
      expect((await ask(path, { "if-none-match": '"other"' })).status).toBe(200);
    }
    expect((await ask(files.at(-1) ?? "")).text).toMatch(/Apache License[^]*React/);
  });

  it("has no file but those", async () => {
    for (const name of ["LICENSE", "..%2fpackage.json", "page.js", "__proto__"]) {
      const { status, text } = await ask(`/docs/${name}`);
      expect([name, status, JSON.parse(text)]).toMatchObject([
        name,
        404,
        { code: "ROUTE_NOT_FOUND" },
      ]);
    }
  });
});

/** A page of a browser, and all that it asked for and complained of. */
async function open(browser: Browser, colorScheme: "light" | "dark") {
  const context = await browser.newContext({ colorScheme, viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const [requests, complaints]: [string[], string[]] = [[], []];
  page.on("request", (request) => void requests.push(request.url()));
  page.on("pageerror", (error) => void complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() !== "log") complaints.push(message.text());
  });
  await page.goto(server.url);
  await page.waitForSelector("#viewer .opblock");
  return { page, requests, complaints, close: () => context.close() };
}

const RUN = "#operations-decisions-post_quota_run";

/** Gives the page a key, as a person does. */
async function authorize(page: Page): Promise<void> {
  await page.click("#viewer .auth-wrapper .authorize");
  await page.fill("#viewer .auth-container input", ROOT_KEY);
  await page.click("#viewer .auth-btn-wrapper .authorize");
  await page.click("#viewer .auth-btn-wrapper .btn-done");
}

/** Takes a picture, which is written down where `PICTURES` names a folder: look at it. */
async function show(shown: Page | Locator, name: string): Promise<void> {
  const picture = await shown.screenshot();
  expect(picture.length).toBeGreaterThan(20_000);
  const folder = process.env["PICTURES"];
  if (folder !== undefined) writeFileSync(join(folder, `${name}.png`), picture);
}

describe.runIf(hasBrowser("the page at /docs in a browser"))("/docs in a browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(() => browser.close());

  it.each(["light", "dark"] as const)(
    "shows fields and examples, and decides a call with a key, in %s",
    async (scheme) => {
      const { page, requests, complaints, close } = await open(browser, scheme);
      expect(page.url()).toBe(`${server.url}/docs`);
      const paper = await page.evaluate("getComputedStyle(document.body).backgroundColor");
      expect(paper).toBe(scheme === "light" ? "rgb(255, 255, 255)" : "rgb(28, 32, 34)");
      await show(page, `docs-${scheme}`);
      await authorize(page);
      await page.click(`${RUN} .opblock-summary-control`);
      const form = page.locator(RUN);
      await form.locator("textarea").waitFor();
      expect(await form.locator("select option").allTextContents()).toContain(
        "Count for the user of a session",
      );
      expect(await form.locator("textarea").inputValue()).toContain('"quota_tag": "api-requests"');
      await show(form, `docs-${scheme}-form`);
      const input = { env: "prd", product_tag: "shop", quota_tag: "exports", action: "check" };
      await form.locator("textarea").fill(JSON.stringify({ ...input, amount: 2 }));
      await form.locator(".execute").click();
      const answer = form.locator(
        ".live-responses-table .response-col_description .highlight-code",
      );
      await answer.first().waitFor();
      expect(await answer.first().textContent()).toMatch(/"code": "OK"[^]*"remaining": 3/);
      expect(
        await form
          .locator(".live-responses-table .response .response-col_status")
          .first()
          .textContent(),
      ).toContain("200");
      await form.locator(".model-example .tablinks", { hasText: "Schema" }).first().click();
      await expect
        .poll(() => form.locator(".model-example").first().textContent(), { timeout: 10_000 })
        .toContain("Tag of the quota.");
      await show(form, `docs-${scheme}-answer`);
      const foreign = requests.filter(
        (url) => !url.startsWith(server.url) && !url.startsWith("data:"),
      );
      expect(foreign).toEqual([]);
      expect(complaints).toEqual([]);
      await close();
    },
  );

  it("shows the code that the type of a problem leads to", async () => {
    const { page, close } = await open(browser, "light");
    await page.goto(`${server.url}/docs#QUOTA_NOT_FOUND`);
    await page.reload();
    await page.waitForSelector("#viewer .opblock");
    await expect
      .poll(async () => (await page.locator("#QUOTA_NOT_FOUND").boundingBox())?.y, {
        timeout: 10_000,
      })
      .toBeLessThan(900);
    await close();
  });
});
