// Batches: how far they are, who is missing; opening, closing, reports.

import { ask, el, name, put, say, span, state, tone, when, words } from "./dom.js";
import { listen, station } from "./feed.js";

const STATES = { done: "good", failed: "bad", running: "busy", missing: "quiet" };
const REFRESH = 5000;
const SOON = 400;
const PAGE = 100;

function bar(batch) {
  const parts = ["done", "failed", "running"].map((part) => el("span", { class: part }));
  const element = el("div", { class: "progress", role: "progressbar", "aria-label": `Batch ${batch.name}`, "aria-valuemin": "0", "aria-valuemax": "100" }, parts);
  const show = ({ progress: now, sentence }) => {
    parts.forEach((part) => { part.style.width = `${now.expected ? (100 * now[part.className]) / now.expected : 0}%`; });
    element.setAttribute("aria-valuenow", now.percent);
    element.setAttribute("aria-valuetext", sentence);
  };
  show(batch);
  return { element, show };
}

function rest(progress) {
  if (!progress.expected || progress.done + progress.failed >= progress.expected) return null;
  if (progress.eta_s !== null) return `about ${span(progress.eta_s * 1000)} left`;
  return progress.per_hour === null ? "no rate yet" : null;
}

/** Asks again now and then, and soon after something ended. */
function repeat(work) {
  let timer = 0;
  let over = false;
  const run = async () => {
    clearTimeout(timer);
    if (!document.hidden) await work();
    if (!over) timer = setTimeout(run, REFRESH);
  };
  run();
  return {
    soon: () => { clearTimeout(timer); timer = setTimeout(run, SOON); },
    end: () => { over = true; clearTimeout(timer); },
  };
}

/** The open batch, above the bays. */
export function strip() {
  const element = el("section", { class: "panel strip", "aria-label": "Open batch", hidden: true });
  const head = el("div", { class: "row" });
  let shown = null;
  let meter = null;
  const repeating = repeat(async () => {
    const { data } = await ask("/api/v1/batches").catch(() => ({ data: [] }));
    const open = data.find((batch) => batch.state !== "closed");
    element.hidden = !open;
    if (!open) return;
    if (shown !== open.id) {
      shown = open.id;
      meter = bar(open);
      put(element, head, meter.element);
    }
    meter.show(open);
    put(head, [el("b", {}, el("a", { href: `#/batches/${open.id}` }, open.name)), el("span", {}, open.sentence),
      open.next ? el("b", {}, open.next) : null, rest(open.progress) ? el("span", {}, rest(open.progress)) : null]);
  });
  return { element, soon: repeating.soon, end: repeating.end };
}

function figures({ progress }) {
  const figure = (value, text) => el("div", {}, el("b", {}, String(value)), el("span", {}, text));
  return el("div", { class: "figures" },
    figure(progress.expected, "expected"), figure(progress.done, "done"), figure(progress.failed, "failed"),
    figure(progress.running, "in work"), figure(progress.missing, "missing"), figure(progress.unexpected, "not on the list"),
    progress.unidentified ? figure(progress.unidentified, "not known which line") : null,
    progress.per_hour === null ? null : figure(Math.round(progress.per_hour), "an hour"),
    rest(progress) && progress.eta_s !== null ? figure(span(progress.eta_s * 1000), "left, at this rate") : null);
}

function form(main, reload) {
  const failure = el("p", { class: "failure", role: "alert" });
  const file = el("input", { type: "file", name: "manifest", accept: ".csv,text/csv", required: true });
  const title = el("input", { name: "name", maxlength: 100, autocomplete: "off" });
  const policy = el("select", { name: "unexpected" }, [["refuse", "refuse them"], ["ask", "ask"], ["allow", "enroll them too"]].map(([value, text]) => el("option", { value }, text)));
  const stop = el("input", { type: "number", name: "stop", min: 0, max: 1000, value: 5 });
  return el("form", { class: "panel", "aria-labelledby": "open-batch", onsubmit: async (event) => {
    event.preventDefault();
    say(failure, "");
    const query = new URLSearchParams({ unexpected: policy.value, stop_after: stop.value || "0" });
    const called = title.value.trim() || file.files[0].name.replace(/\.csv$/i, "");
    query.set("name", called.slice(0, 100));
    try {
      const { data } = await ask(`/api/v1/batches?${query}`, { method: "POST", headers: { "Content-Type": "text/csv" }, body: file.files[0] });
      location.hash = `#/batches/${data.id}`;
      reload();
    } catch (error) { say(failure, error.message); }
  } },
  el("h2", { id: "open-batch" }, "Open a batch"),
  el("div", { class: "actions" }, el("label", {}, "Manifest (CSV: serial or imei, name, tag, blueprint)", file), el("label", {}, "Name", title),
    el("label", {}, "Devices not on the list", policy), el("label", {}, "Stop after equal faults in a row", stop),
    el("button", { class: "main" }, "Open batch")), failure);
}

export function batches(main) {
  const list = el("div", {});
  const heading = el("h1", {}, "Batches");
  const load = async () => {
    try {
      const { data } = await ask("/api/v1/batches");
      const rows = data.map((batch) => el("tr", {},
        el("td", {}, el("a", { href: `#/batches/${batch.id}` }, batch.name)),
        el("td", {}, state(batch.state === "closed" ? "good" : batch.state === "stopped" ? "bad" : "busy", words(batch.state))),
        el("td", {}, `${batch.progress.done} of ${batch.progress.expected}`), el("td", {}, String(batch.progress.failed)), el("td", {}, when(batch.opened))));
      const head = el("tr", {}, ["Batch", "State", "Done", "Failed", "Opened"].map((text) => el("th", { scope: "col" }, text)));
      put(list, rows.length
        ? el("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": "All batches" }, el("table", {}, el("thead", {}, head), el("tbody", {}, rows)))
        : el("p", { class: "empty" }, "No batch yet. Open one with a list of the devices you expect."));
    } catch (error) { put(list, el("p", { class: "failure" }, error.message)); }
  };
  put(main, [el("div", { class: "bar" }, heading), list, station.info?.kiosk ? null : form(main, load)]);
  const repeating = repeat(load);
  return repeating.end;
}

export function batch(main, id) {
  const head = el("div", {});
  const failure = el("p", { class: "failure", role: "alert" });
  const body = el("tbody", {});
  const more = el("button", { type: "button", hidden: true, onclick: () => { limit += PAGE; repeating.soon(); } }, "Show more");
  const filter = el("select", { onchange: () => repeating.soon() }, [["", "all"], ["missing", "missing"], ["running", "in work"], ["failed", "failed"], ["done", "done"]].map(([value, text]) => el("option", { value }, text)));
  let limit = PAGE;
  const act = (verb, body) => async () => {
    say(failure, "");
    const options = { method: "POST" };
    if (body) Object.assign(options, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body()) });
    await ask(`/api/v1/batches/${id}/${verb}`, options).catch((error) => say(failure, error.message));
    repeating.soon();
  };
  const device = el("input", { maxlength: 64, autocomplete: "off" });
  const actions = el("div", { class: "actions" });
  const reports = el("div", { class: "actions" }, ["html", "csv", "json"].map((format) => el("a", { class: "button", href: `/api/v1/batches/${id}/report?format=${format}`, download: `batch-${id}.${format}` }, `Report as ${format.toUpperCase()}`)));
  const seal = async (force) => {
    say(failure, "");
    try { await ask(`/api/v1/batches/${id}/close${force ? "?force=true" : ""}`, { method: "POST" }); } catch (error) {
      if (error.status === 409 && !force && confirm(`${error.message}\n\nClose it all the same?`)) return seal(true);
      say(failure, error.message);
    }
    repeating.soon();
  };
  const close = el("button", { type: "button", onclick: () => { if (confirm("Close the batch and seal its report?")) seal(false); } }, "Close batch");
  const resume = el("button", { type: "button", class: "main", onclick: act("resume") }, "Go on");
  const allow = el("form", { class: "actions", onsubmit: (event) => { event.preventDefault(); act("allow", () => ({ device: device.value.trim() }))(); } },
    el("label", {}, "Let a device in: serial number, IMEI or UDID", device), el("button", {}, "Allow"));
  let meter = null;
  const title = el("h1", {}, "Batch");
  const sentence = el("p", { class: "sentence" });
  const numbers = el("div", {});
  const load = async () => {
    try {
      const { data } = await ask(`/api/v1/batches/${id}`);
      if (!meter) {
        meter = bar(data);
        put(head, sentence, meter.element, numbers, reports, actions, failure);
      }
      meter.show(data);
      say(title, data.name);
      say(sentence, [data.sentence, data.next].filter(Boolean).join(" "));
      put(numbers, figures(data));
      const open = data.state !== "closed" && !station.info?.kiosk;
      const wanted = open ? [data.state === "stopped" ? resume : null, close, allow].filter(Boolean) : [];
      if (actions.childElementCount !== wanted.length) put(actions, ...wanted);
      const query = new URLSearchParams({ limit: Math.min(limit, 1000) });
      if (filter.value) query.set("state", filter.value);
      const entries = (await ask(`/api/v1/batches/${id}/entries?${query}`)).data;
      more.hidden = entries.length < limit || limit >= 1000;
      put(body, ...entries.map(row));
    } catch (error) { put(head, el("p", { class: "failure" }, error.message)); }
  };
  const columns = el("tr", {}, ["Serial or IMEI", "Name", "Tag", "State", "Bay", "What happened", "Job"].map((text) => el("th", { scope: "col" }, text)));
  put(main, el("div", { class: "bar" }, title, el("a", { class: "button", href: "#/batches" }, "All batches")),
    el("section", { class: "panel", "aria-label": "Progress" }, head),
    el("section", { class: "panel", "aria-label": "Entries" }, el("div", { class: "bar" }, el("h2", {}, "Devices"), el("label", {}, "Show", filter)),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Devices of the batch" }, el("table", {}, el("thead", {}, columns), body)), more));
  const repeating = repeat(load);
  const stop = listen((what, news) => { if (what === "bay" && news.line.ended !== news.before?.ended) repeating.soon(); });
  return () => { stop(); repeating.end(); };
}

function row(entry) {
  const { device } = entry;
  const mark = entry.waiting ? "person" : device && entry.state === "failed" ? tone(device, true) : STATES[entry.state];
  const stands = entry.waiting ? "Waiting" : words(entry.state);
  const unlisted = entry.unidentified ? "not known which line" : "not on the list";
  return el("tr", { "data-state": entry.state },
    el("td", { class: "mono short" }, entry.serial ?? entry.imei ?? ""), el("td", {}, entry.name ?? (device ? name(device) : "")), el("td", {}, entry.tag ?? ""),
    el("td", {}, state(entry.waiting || mark === "good" ? mark : STATES[entry.state], entry.line === null ? `${stands}, ${unlisted}` : stands)),
    el("td", { class: "short" }, device?.bay ?? ""), el("td", { class: "long" }, device ? device.sentence : ""),
    el("td", { class: "short" }, device?.job ? el("a", { href: `#/jobs/${device.job}` }, `Job ${device.job}`) : ""));
}
