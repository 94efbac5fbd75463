// How long from an event in the journal to the tile that shows it, with 128 simulated devices
// and ten open pages; then what an idle station costs. Prints figures, asserts nothing:
// computers differ. Usage: cargo bench -- page

import { readFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { browser, live, open, poll, scratch, Station, write } from "./support.mjs";

const DEVICES = 128;
const PAGES = 10;

function usage(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(")").at(-1).trim().split(" ");
  const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1];
  return { ms: (Number(fields[11]) + Number(fields[12])) * 10, rss: Number(rss) / 1024 };
}

const folder = scratch();
const chromium = await browser();
// Devices that come when the pages are there: Trust takes its time, then all move at once.
const scenario = `seed = 5\n[[device]]\npersona = "ready"\ntrust_after = "70s"\naccept_after = "4s"\nperson_jitter = "8s"\ncount = ${DEVICES}\n`;
const station = await Station.start(folder, ["--person-within", "300", "--scenario", write(folder, "s.toml", scenario)]);
// Beside the pages a follower that draws nothing: the station's share of the time.
const heard = [];
const following = fetch(`${station.url}/api/v1/events`).then(async ({ body }) => {
  let text = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const now = performance.timeOrigin + performance.now();
    text += chunk;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      if (!event.startsWith("event: bay\n")) continue;
      const { udid, outcome } = JSON.parse(event.split("\ndata: ")[1]);
      heard.push([udid, outcome, now]);
    }
  }
}).catch(() => {});
const pages = [];
while (pages.length < PAGES) {
  // A browser opens six connections to a server: each page is a browser of its own.
  const { page } = await open(await chromium.launched.createBrowserContext(), station.url);
  await live(page);
  await page.evaluate(() => {
    window.seen = [];
    const watch = new MutationObserver((changes) => {
      const now = performance.timeOrigin + performance.now();
      for (const { target, oldValue } of changes) {
        if (target.dataset.outcome !== oldValue) window.seen.push([target.dataset.udid, target.dataset.outcome, now]);
      }
    });
    watch.observe(document.getElementById("main"), { subtree: true, attributeFilter: ["data-outcome"], attributeOldValue: true });
  });
  pages.push(page);
}
await poll("the end", async () => (await station.jobs()).every((job) => !job.open), 300000);
await new Promise((done) => setTimeout(done, 1000));

const written = new Map();
for (const { job, udid } of await station.jobs()) {
  for (const moment of (await station.api(`/api/v1/jobs/${job}`)).timeline) {
    if (!moment.outcome) continue;
    const key = `${udid} ${moment.outcome}`;
    written.set(key, [...(written.get(key) ?? []), Date.parse(moment.at)]);
  }
}
/** From a moment in the journal to the first time it was seen. Which moment is meant is known
 *  of what a device was once only. */
function tell(what, seen) {
  const late = [];
  const told = new Set();
  for (const [who, udid, outcome, at] of seen) {
    const moments = written.get(`${udid} ${outcome}`) ?? [];
    const key = `${who} ${udid} ${outcome}`;
    if (moments.length === 1 && moments[0] <= at + 1 && !told.has(key)) late.push(at - moments[0]);
    told.add(key);
  }
  late.sort((a, b) => a - b);
  const part = (share) => late[Math.min(late.length - 1, Math.floor(late.length * share))]?.toFixed(1);
  console.log(`${what}: ${late.length} seen, p50 ${part(0.5)} ms, p90 ${part(0.9)} ms, p99 ${part(0.99)} ms, most ${part(1)} ms`);
}

console.log(`${DEVICES} simulated devices, ${PAGES} pages in one Chromium on ${availableParallelism()} cores, load ${loadavg()[0]} (budget: p99 100 ms)`);
tell("event to a follower", heard.map((seen) => ["follower", ...seen]));
const seen = [];
for (const [place, page] of pages.entries()) {
  for (const change of await page.evaluate(() => window.seen)) seen.push([place, ...change]);
}
tell("event to page", seen);

const idle = async (what) => {
  const before = usage(station.child.pid);
  await new Promise((done) => setTimeout(done, 20000));
  const now = usage(station.child.pid);
  console.log(`idle, ${what}: ${((now.ms - before.ms) / 200).toFixed(2)} % of a core, ${now.rss.toFixed(1)} MiB resident`);
};
await idle(`${DEVICES} simulated devices in the same process, ${PAGES} pages`);
await chromium.close();
await station.end();
await following;
const empty = await Station.start(scratch(), ["--simulate", "1"]);
station.child = empty.child;
await poll("its job", async () => (await empty.api("/api/v1/bays")).every((bay) => bay.ended));
await idle("one simulated device, no page");
await empty.end();
