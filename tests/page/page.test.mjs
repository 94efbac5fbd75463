// The page in a real browser: every state, every view, and what it must never do.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { accessible, browser, go, live, open, picture, pictures, poll, readme, run, scratch, Station, write } from "./support.mjs";

/** One persona for each state that lasts. */
const STATES = `
seed = 3
[[device]]
persona = "person-ignores"
[[device]]
persona = "trust-ignored"
[[device]]
persona = "locked-forever"
[[device]]
persona = "in-setup"
install_takes = "0s"
[[device]]
persona = "in-setup"
install_takes = "10m"
[[device]]
persona = "trust-denied"
[[device]]
persona = "before-first-unlock"
[[device]]
persona = "pairing-forbidden"
[[device]]
persona = "unactivated"
[[device]]
persona = "activation-locked"
[[device]]
persona = "old-os"
[[device]]
persona = "other-mdm"
[[device]]
persona = "lockdown-mode"
[[device]]
persona = "enrollment-forbidden"
[[device]]
persona = "restore-mode"
[[device]]
persona = "server-down"
[[device]]
persona = "in-setup"
install_takes = "0s"
name = "<img src=x onerror=alert(1)>"
`;

let chromium;
before(async () => { chromium = await browser(); });
after(async () => { await Station.endAll(); await chromium.close(); });

test("every state has its colour, its word and its shape", async () => {
  const folder = scratch();
  const station = await Station.start(folder, ["--scenario", write(folder, "states.toml", STATES)]);
  const { page, well, weight, loaded } = await open(chromium.launched, station.url, { width: 1920, height: 1080 });
  await live(page);
  const shown = () => page.$$eval(".tile", (tiles) => tiles.map((tile) => tile.dataset.outcome));
  const lasting = ["waiting-for-person", "waiting-for-trust", "waiting-for-unlock", "pushing", "enrolled", "trust-denied", "failed"];
  await poll("the states", async () => {
    const now = await shown();
    return lasting.every((outcome) => now.includes(outcome)) && !now.includes("attached");
  });
  await picture(page, "bays-light");
  await page.setViewport({ width: 1440, height: 900 });
  await readme(page, "page.png");
  await page.setViewport({ width: 1920, height: 1080 });
  const tiles = await page.$$(".tile");
  assert.equal(tiles.length, 17);
  const tones = new Set();
  for (const tile of tiles) {
    const seen = await tile.evaluate((element) => ({
      outcome: element.dataset.outcome, tone: /tone-(\w+)/.exec(element.className)[1],
      shape: element.querySelector("use").getAttribute("href"), word: element.querySelector(".word").textContent,
      sentence: element.querySelector(".sentence").textContent, mark: element.querySelector(".mark")?.textContent,
    }));
    assert.equal(seen.shape, `#shape-${seen.tone}`);
    assert.equal(seen.word.toLowerCase(), seen.outcome.replaceAll("-", " "));
    assert.ok(seen.sentence.length > 10 && seen.mark === "SIMULATED", JSON.stringify(seen));
    tones.add(seen.tone);
    await tile.screenshot({ path: join(pictures, `state-${seen.outcome}.png`) });
  }
  assert.deepEqual([...tones].sort(), ["bad", "busy", "good", "person"]);
  const card = await page.$$eval('.tile[data-outcome="waiting-for-person"] .card li', (steps) => steps.length);
  assert.equal(card, 6);
  const clock = () => page.$eval('.tile[data-outcome="waiting-for-person"] .clock', (element) => element.textContent);
  await poll("the countdown from 8:00", async () => /^[0-7]:\d\d$/.test(await clock()));
  assert.equal(await page.$eval("#simulated", (element) => element.checkVisibility() && element.textContent), "SIMULATED");
  const names = await page.$$eval(".tile .who b", (all) => all.map((element) => element.textContent));
  assert.ok(names.includes("<img src=x onerror=alert(1)>"), "a device's text is text");
  assert.ok(weight() > 20000 && weight() <= 200000, `${weight()} bytes: ${JSON.stringify([...loaded])}`);
  console.log(`the page weighs ${weight()} bytes in ${loaded.size} files`);
  await well();

  // Every view, in both themes and on a phone.
  const failed = (await station.jobs()).find((job) => job.outcome === "failed");
  const views = [["#/bays", ".tile"], ["#/history", "tbody tr"], [`#/jobs/${failed.job}`, ".chain li"], ["#/batches", "form.panel"],
    ["#/profiles", ".empty"], ["#/doctor", ".checks li"]];
  for (const [theme, width, height] of [["light", 1600, 1000], ["dark", 1600, 1000], ["dark", 390, 844]]) {
    const other = await open(chromium.launched, station.url, { theme, width, height });
    await live(other.page);
    for (const [hash, selector] of views) {
      await go(other.page, hash, selector);
      const name = hash.replace(/\W+/g, "-").replace(/-\d+$/, "").slice(1);
      await accessible(other.page, `${name} ${theme} ${width}`);
      await picture(other.page, `${name}-${theme}-${width}`);
      const wide = await other.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${hash} is ${wide} wider than a window of ${width}`);
    }
    await other.well();
    await other.page.close();
  }

  // With the keyboard alone.
  await page.keyboard.press("3");
  await page.waitForSelector('input[type="search"]');
  await page.focus('input[type="search"]');
  await page.keyboard.type("no such device 5");
  await page.waitForSelector(".empty:not([hidden])");
  assert.match(page.url(), /#\/history\?q=/);
  await page.keyboard.press("Tab");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, "solid", "focus can be seen");
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("1");
  await page.waitForSelector(".tally button");
  await page.click(".tally button.ink-bad");
  await poll("the filter", async () => (await shown()).every((outcome) => ["failed", "pairing-forbidden", "too-old"].includes(outcome)));
  await well();

  // The station goes and comes back.
  await station.end("SIGKILL");
  await page.waitForSelector(".banner.bad");
  assert.match(await page.$eval(".banner", (element) => element.textContent), /Connection lost/);
  await picture(page, "connection-lost");
  const again = await Station.start(folder, ["--simulate", "2"], { port: station.port });
  await live(page);
  await poll("no banner", async () => (await page.$(".banner")) === null);
  await again.end();
  await poll("the farewell", async () => /was stopped/.test(await page.$eval("#banners", (element) => element.textContent)));
  await page.close();
});

test("a station with a token asks for it once; a kiosk only shows", async () => {
  const folder = scratch();
  const token = "token-of-a-browser-test-1";
  const station = await Station.start(folder, ["--simulate", "1", "--kiosk"], { env: { ENLIST_API_TOKEN: token } });
  const { page } = await open(chromium.launched, station.url);
  await page.waitForSelector(".gate input");
  await accessible(page, "token");
  await picture(page, "token");
  await page.type(".gate input", "not the token");
  await page.keyboard.press("Enter");
  await poll("a word", () => page.$eval(".gate .failure", (element) => element.textContent === "That is not the token."));
  await page.$eval(".gate input", (element) => { element.value = ""; });
  await page.type(".gate input", token);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".tile");
  const kept = await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie, document.body.innerHTML]));
  assert.ok(!kept.includes(token), "the token stays nowhere");
  await page.reload();
  await page.waitForSelector(".tile");
  await go(page, "#/batches", ".empty");
  assert.equal(await page.$("form"), null, "a kiosk has nothing to press");
  await page.close();
  await station.end();
});

test("three hundred devices over sixteen bays, driven through the page", { timeout: 400000 }, async () => {
  const folder = scratch();
  const devices = Number(process.env.ENLIST_PAGE_DEVICES ?? 300);
  const kinds = 'percent = 5\npersonas = ["trust-denied", "pairing-forbidden", "enrollment-forbidden"]';
  const scenario = (bays) => write(folder, "day.toml", `seed = 11\n${bays}[trouble]\n${kinds}\n[[device]]\npersona = "in-setup"\ninstall_takes = "0s"\ncount = ${devices}\n`);
  // A rehearsal elsewhere tells the serial numbers: an owner has them from the shop.
  const rehearsal = scratch();
  const first = await Station.start(rehearsal, ["--scenario", scenario("")]);
  const known = await poll("the rehearsal", async () => {
    const jobs = await first.jobs();
    return jobs.length === devices && jobs.every((job) => !job.open) && jobs;
  }, 240000);
  await first.end();
  const imeis = known.filter((job) => !job.serial).length;
  const rows = known.filter((job) => job.serial).map((job, n) => `${job.serial},Tablet ${n + 1},school`);
  const manifest = write(folder, "tablets.csv", `serial,name,tag\n${rows.join("\n")}\n`);
  console.log(`${rows.length} serial numbers, ${imeis} devices never told one`);

  const morning = await Station.start(folder, ["--simulate", "1", "--seed", "99"]);
  const { page, wrong, well } = await open(chromium.launched, morning.url);
  await live(page);
  await go(page, "#/batches", "form.panel");
  await (await page.$('input[type="file"]')).uploadFile(manifest);
  await page.type('input[name="name"]', "School tablets");
  await page.select('select[name="unexpected"]', "allow");
  await page.$eval('input[name="stop"]', (element) => { element.value = "0"; });
  await page.click("form button.main");
  await page.waitForSelector(".progress");
  assert.match(page.url(), /#\/batches\/1$/);
  await well();
  await morning.end();

  // The rest of the day: the station starts anew, the page comes back by itself.
  const station = await Station.start(folder, ["--scenario", scenario("bays = 16\n")], { port: morning.port });
  await live(page);
  await go(page, "#/bays", ".strip:not([hidden]) .progress");
  let most = 0;
  let pictured = false;
  const batch = await poll("the day's end", async () => {
    most = Math.max(most, await page.$$eval(".tile", (tiles) => tiles.length));
    const [now] = await station.api("/api/v1/batches");
    if (!pictured && now.progress.percent > 30) { pictured = true; await picture(page, "batch-day"); }
    return now.progress.done + now.progress.failed === now.progress.expected && now.progress.running === 0 && now;
  }, 240000);
  assert.ok(most <= 17, `${most} tiles for 16 bays and the one of the morning`);
  await go(page, "#/batches/1", ".figures b");
  await poll("the figures", async () => {
    const [expected, done, failed, , missing] = await page.$$eval(".figures b", (figures) => figures.map((figure) => Number(figure.textContent)));
    return expected === rows.length && done === batch.progress.done && failed === batch.progress.failed && missing === 0;
  });
  await accessible(page, "batch");
  await picture(page, "batch-done");
  // The page matches the journal.
  const jobs = (await station.jobs()).filter((job) => job.job > 1);
  const newest = new Map(jobs.reverse().map((job) => [job.udid, job]));
  assert.equal(newest.size, devices, "every device is accounted for");
  const good = [...newest.values()].filter((job) => job.serial && ["enrolled", "policies-seen", "already-enrolled"].includes(job.outcome)).length;
  assert.equal(good, batch.progress.done);
  assert.ok(batch.progress.failed > 0 || imeis > 0, "5 % are in trouble");

  page.removeAllListeners("dialog");
  page.on("dialog", (dialog) => dialog.accept());
  await (await page.$("::-p-text(Close batch)")).click();
  await poll("the seal", async () => (await station.api("/api/v1/batches/1")).state === "closed");
  for (const format of ["csv", "json", "html"]) {
    const answer = await fetch(`${station.url}/api/v1/batches/1/report?format=${format}`);
    assert.match(answer.headers.get("content-security-policy"), /^default-src 'none'/);
    const file = write(folder, `report.${format}`, await answer.text());
    const checked = await run(folder, ["report", "--verify", file]);
    assert.equal(checked.code, 0, checked.out);
  }
  const away = wrong.filter((text) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/.test(text));
  assert.deepEqual(away, []);
  await page.close();
  await station.end();
});
