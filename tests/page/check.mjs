// Looks at the page in a browser. See run.py, which starts what is looked at.
//
//   node check.mjs FOLDER CHROMIUM URL      FOLDER has axe-core and playwright-core; screenshots go there

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, executablePath, url] = process.argv.slice(2);
const { chromium } = createRequire(join(folder, "package.json"))("playwright-core");
const axe = readFileSync(join(folder, "node_modules/axe-core/axe.min.js"), "utf8");
const wide = { width: 1400, height: 900 };
const narrow = { width: 360, height: 740 };
const problems = [];
const check = (good, what) => good || problems.push(what);

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, viewport] of Object.entries({ wide, narrow })) {
      await audit(`${colorScheme}-${name}`, { colorScheme, viewport });
    }
  }
  await audit("forced-colours", { forcedColors: "active", viewport: wide });
  await asItIs();
} finally {
  await browser.close();
}
for (const problem of problems) console.error(`PROBLEM: ${problem}`);
console.log(problems.length ? `${problems.length} problems` : "no problem found");
process.exit(problems.length ? 1 : 0);

/// Every rule of axe-core, best practices too. The policy of the page would keep axe out, so it is off for this.
async function audit(name, options) {
  const context = await browser.newContext({ ...options, bypassCSP: true });
  const page = await context.newPage();
  // The still one: a page that renews itself has a rule of its own, see below.
  await page.goto(`${url}?still`);
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  await page.addScriptTag({ content: axe });
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations", "incomplete"] }));
  check(found.passes.length > 15, `${name}: only ${found.passes.length} rules had something to look at`);
  for (const { id, help, nodes } of found.violations) problems.push(`${name}: ${id}: ${help}: ${nodes[0].html}`);
  for (const { id, help, nodes } of found.incomplete) {
    // Of what the table has scrolled half out of sight axe cannot tell; the same colours are decided on where it is wide.
    if (id === "color-contrast" && options.viewport === narrow) continue;
    problems.push(`${name}: undecided: ${id}: ${help}: ${nodes[0].html}`);
  }
  // Nothing but the table is wider than the window.
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(overflow <= 0, `${name}: the page is ${overflow} px wider than the window`);
  console.log(`${name}: ${found.passes.length} rules passed`);
  await context.close();
}

/// With its policy in force, and with scripts turned off, as people have it.
async function asItIs() {
  for (const javaScriptEnabled of [true, false]) {
    const context = await browser.newContext({ javaScriptEnabled, viewport: wide });
    const page = await context.newPage();
    page.on("console", (message) => problems.push(`the browser says: ${message.text()}`));
    page.on("dialog", (dialog) => (problems.push("a script ran"), dialog.dismiss()));
    page.on("request", (request) => check(request.url().startsWith(url), `something is loaded from ${request.url()}`));
    await page.goto(url);
    check((await page.locator("tbody tr").count()) >= 7, "there are rows");
    check(await page.getByText("<img src=x onerror=alert(1)>.png").first().isVisible(), "a hostile name is shown as text");
    const first = await page.locator("tbody tr .state").first().innerText();
    check(first === "lapsed", `what is worst comes first, not ${first}`);
    const colour = await page.locator(".lapsed").first().evaluate((node) => getComputedStyle(node).color).catch(() => null);
    check(!javaScriptEnabled || colour === "rgb(179, 20, 31)", `the style sheet counts: ${colour}`);
    // Whoever needs more than 30 s finds, by keyboard and before the table, how to make it stay (WCAG 2.2.1 and 2.2.2).
    const refresh = page.locator('meta[http-equiv="refresh"]');
    check((await refresh.count()) === 1, "it renews itself");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/?still");
    check((await refresh.count()) === 0, "it stays when it is told to");
    await context.close();
  }
}
