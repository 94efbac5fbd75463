// The shipped station and Debian's Chromium, for tests of the page. All devices are simulated.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const top = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
export const binary = resolve(process.env.ENLIST_TEST_BINARY ?? join(top, "target/debug/enlist"));
/** Where tests/run puts what npm installs. */
const tools = createRequire(join(resolve(process.env.ENLIST_PAGE_TOOLS ?? join(top, "target/test-tools/page")), "/"));
const puppeteer = tools("puppeteer-core");
const axe = tools("axe-core");

/** Pictures that stay after the test. */
export const pictures = join(top, "target/page");
mkdirSync(pictures, { recursive: true });

const PATIENCE = 120000;

export function scratch() {
  return mkdtempSync(join(tmpdir(), "enlist-page-"));
}

/** Polls until `look` gives something. */
export async function poll(what, look, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited too long for ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

export function environment(folder) {
  return { PATH: "/usr/bin:/bin", HOME: folder, ENLIST_STATE_DIR: join(folder, "state"), USBMUXD_SOCKET_ADDRESS: join(folder, "mux") };
}

/** Runs a command of the station to its end. */
export async function run(folder, args) {
  const child = spawn(binary, args, { cwd: folder, env: environment(folder), stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  child.stdout.on("data", (data) => { out += data; });
  child.stderr.on("data", (data) => { out += data; });
  const code = await new Promise((done) => child.on("exit", done));
  return { code, out };
}

/** A station that serves. */
export class Station {
  static running = new Set();

  /** Ends what tests that failed left behind: this process would wait for it. */
  static async endAll() {
    await Promise.all([...Station.running].map((station) => station.end("SIGKILL")));
  }

  static async start(folder, args, { port = 0, env = {} } = {}) {
    const station = new Station();
    const all = ["serve", "--listen", `127.0.0.1:${port}`, ...args];
    station.child = spawn(binary, all, { cwd: folder, env: { ...environment(folder), ...env }, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    station.child.stdout.on("data", (data) => { out += data; });
    station.child.stderr.on("data", (data) => { out += data; });
    Station.running.add(station);
    station.gone = new Promise((done) => station.child.on("exit", () => done(Station.running.delete(station))));
    station.url = await poll("the station", () => {
      assert.equal(station.child.exitCode, null, out);
      return /^page {2}(\S+)\/$/m.exec(out)?.[1];
    });
    station.port = Number(new URL(station.url).port);
    return station;
  }

  async api(path, options) {
    const answer = await fetch(this.url + path, options);
    assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
    return answer.json();
  }

  /** The whole history, page by page. */
  async jobs() {
    const jobs = [];
    for (;;) {
      const before = jobs.length ? `&before=${jobs.at(-1).job}` : "";
      const page = await this.api(`/api/v1/jobs?limit=500${before}`);
      jobs.push(...page);
      if (page.length < 500) return jobs;
    }
  }

  async end(signal = "SIGTERM") {
    this.child.kill(signal);
    await this.gone;
  }
}

/** One browser with a profile of its own. */
export async function browser() {
  const userDataDir = mkdtempSync(join(tmpdir(), "enlist-chromium-"));
  const launched = await puppeteer.launch({
    executablePath: process.env.ENLIST_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    userDataDir,
    acceptInsecureCerts: true,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
  });
  const close = async () => {
    await launched.close();
    rmSync(userDataDir, { recursive: true, force: true, maxRetries: 5 });
  };
  return { launched, close };
}

/** A page that keeps everything a page must not do. */
export async function open(launched, url, { width = 1600, height = 1000, theme = "light" } = {}) {
  const page = await launched.newPage();
  await page.setViewport({ width, height });
  const wrong = [];
  const loaded = new Map();
  page.on("console", (message) => { if (["error", "warn"].includes(message.type())) wrong.push(`console: ${message.text()}`); });
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => { wrong.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => { if (!request.url().startsWith(url)) wrong.push(`foreign: ${request.url()}`); });
  page.on("response", async (response) => {
    const { pathname } = new URL(response.url());
    if (!pathname.startsWith("/api/")) loaded.set(pathname, (await response.buffer().catch(() => Buffer.alloc(0))).length);
  });
  await page.evaluateOnNewDocument((wanted) => {
    localStorage.theme = wanted;
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  }, theme);
  await page.goto(`${url}/`, { timeout: PATIENCE });
  const well = async () => {
    const violations = await page.evaluate(() => window.violations);
    assert.deepEqual([...wrong, ...violations], []);
  };
  const weight = () => [...loaded.values()].reduce((sum, size) => sum + size, 0);
  return { page, wrong, loaded, well, weight };
}

export async function live(page) {
  await page.waitForSelector('#link[data-state="live"]', { timeout: PATIENCE });
}

export async function go(page, hash, selector) {
  await page.evaluate((wanted) => { location.hash = wanted; }, hash);
  await page.waitForSelector(selector, { timeout: PATIENCE });
}

/** No violation of axe's rules. */
export async function accessible(page, what) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map(({ id, nodes }) => `${what}: ${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`).join(" | ")}`);
  assert.deepEqual(told, []);
}

export async function picture(page, name) {
  mkdirSync(dirname(join(pictures, name)), { recursive: true });
  await page.screenshot({ path: join(pictures, `${name}.png`) });
}

/** The picture of README, where one is asked for: ENLIST_WRITE_PICTURES=1. */
export async function readme(page, name) {
  if (process.env.ENLIST_WRITE_PICTURES) await page.screenshot({ path: join(top, "tests/pictures", name) });
}

export function write(folder, name, text) {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}
