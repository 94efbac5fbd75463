// The history, and one job with everything that happened.

import { ask, clock, el, name, put, say, shape, simulated, span, state, tone, when, words } from "./dom.js";
import { listen } from "./feed.js";

const OUTCOMES = ["enrolled", "policies-seen", "already-enrolled", "person-did-not-accept", "trust-denied", "failed", "pairing-forbidden", "too-old",
  "not-activated", "activation-locked", "in-setup", "other-mdm", "waiting-for-trust", "waiting-for-unlock", "never-unlocked", "detached-midway", "quarantined"];
const TYPING = 250;

export function history(main, query) {
  const search = el("input", { type: "search", value: query.get("q") ?? "", maxlength: 100, autocomplete: "off", placeholder: "Serial, UDID, name, IMEI, bay" });
  const outcome = el("select", {}, el("option", { value: "" }, "any"), el("option", { value: "open" }, "still open"),
    OUTCOMES.map((value) => el("option", { value }, words(value))));
  outcome.value = query.get("outcome") ?? "";
  const body = el("tbody", {});
  const failure = el("p", { class: "failure", role: "alert" });
  const count = el("p", { role: "status" });
  let following = null;
  const more = el("button", { type: "button", hidden: true, onclick: () => load(following, true) }, "Older jobs");
  const empty = el("p", { class: "empty", hidden: true }, "No job fits.");

  async function load(path, adding) {
    try {
      const { data, next } = await ask(path);
      following = next;
      more.hidden = !next;
      const rows = data.map((job) => el("tr", {},
        el("td", { class: "short" }, el("a", { href: `#/jobs/${job.job}` }, `Job ${job.job}`)),
        el("td", {}, state(tone(job, !job.open), words(job.outcome))),
        el("td", {}, name(job), " ", simulated(job)), el("td", { class: "mono short" }, job.serial ?? ""), el("td", { class: "short" }, job.bay),
        el("td", { class: "short" }, when(job.started)), el("td", { class: "short" }, span(job.ms)), el("td", { class: "long" }, job.sentence)));
      if (adding) body.append(...rows);
      else put(body, ...rows);
      empty.hidden = body.childElementCount > 0;
      say(count, `${body.childElementCount}${next ? " newest" : ""} jobs`);
      say(failure, "");
    } catch (error) { say(failure, error.message); }
  }

  function first() {
    const wanted = new URLSearchParams();
    if (search.value.trim()) wanted.set("q", search.value.trim());
    const shown = new URLSearchParams(wanted);
    if (outcome.value) shown.set("outcome", outcome.value);
    window.history.replaceState(null, "", `#/history${shown.size ? `?${shown}` : ""}`);
    if (outcome.value === "open") wanted.set("open", "true");
    else if (outcome.value) wanted.set("outcome", outcome.value);
    load(`/api/v1/jobs?${wanted}`, false);
  }

  let typing = 0;
  search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(first, TYPING); });
  outcome.addEventListener("change", first);
  const columns = el("tr", {}, ["Job", "Outcome", "Device", "Serial", "Bay", "Began", "Took", "What happened"].map((text) => el("th", { scope: "col" }, text)));
  put(main, 
    el("div", { class: "bar", role: "search" }, el("h1", {}, "History"), el("label", {}, "Search", search), el("label", {}, "Outcome", outcome)),
    failure, el("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": "Jobs" }, count, el("table", {}, el("thead", {}, columns), body), empty, more));
  first();
  return () => clearTimeout(typing);
}

export function job(main, id) {
  let again = 0;
  let shown = "";
  put(main, el("h1", {}, `Job ${id}`));

  async function load() {
    try {
      const { data } = await ask(`/api/v1/jobs/${id}`);
      const text = JSON.stringify([data.timeline.length, data.outcome, data.open, data.hooks.length]);
      if (text !== shown) draw(data);
      shown = text;
    } catch (error) { put(main, el("h1", {}, `Job ${id}`), el("p", { class: "empty" }, error.message)); }
  }

  function draw(data) {
    const mark = tone(data, !data.open);
    const fact = (term, value) => (value ? [el("dt", {}, term), el("dd", {}, value)] : []);
    put(main, 
      el("div", { class: "bar" }, el("h1", {}, `Job ${id}: ${name(data)}`), simulated(data),
        data.serial ? el("a", { class: "button", href: `#/history?q=${encodeURIComponent(data.serial)}` }, "All jobs of this device") : null),
      el("section", { class: `panel verdict tone-${mark}`, "aria-label": "Verdict" },
        el("p", { class: "word" }, shape(mark), words(data.outcome)), el("p", { class: "sentence" }, data.sentence),
        data.next ? el("p", { class: "todo" }, data.next) : null),
      data.raw_chain.length ? el("section", { class: "panel" }, el("h2", {}, "What the device said"),
        el("details", { open: true }, el("summary", {}, "Raw error chain, outermost first"),
          el("ol", { class: "chain" }, data.raw_chain.map((link) => el("li", {},
            el("p", { class: "mono" }, `${link.domain} ${link.code}`), link.meaning ? el("p", {}, link.meaning) : null,
            link.english ? el("p", { class: "mono" }, link.english) : null,
            link.localized && link.localized !== link.english ? el("p", { class: "mono" }, link.localized) : null))))) : null,
      el("section", { class: "panel" }, el("h2", {}, "Timeline"), el("ol", { class: "timeline" }, data.timeline.map(moment))),
      data.hooks.length ? el("section", { class: "panel" }, el("h2", {}, "Hooks"), data.hooks.map((hook) => el("details", {},
        el("summary", {}, `${words(hook.result)}: ${hook.command}`), el("pre", { class: "mono" }, hook.output || "It printed nothing.")))) : null,
      el("section", { class: "panel" }, el("h2", {}, "Facts"), el("dl", { class: "facts" },
        fact("Bay", data.bay), fact("UDID", data.udid), fact("Serial", data.serial), fact("Model", data.product_type), fact("System", data.os_version),
        fact("IMEI", data.imei), fact("ECID", data.ecid), fact("Began", when(data.started)), fact("Ended", when(data.ended)), fact("Took", span(data.ms)),
        fact("Attempts", String(data.attempts)), fact("Pushes", String(data.pushes)), fact("Profile", `${data.profile_name} (${data.profile_identifier})`),
        fact("SHA-256", data.profile_sha256), fact("Old export allowed", data.stale_allowed))));
  }

  load();
  const stop = listen((what, news) => {
    if (what === "bay" && news.line.job === Number(id)) { clearTimeout(again); again = setTimeout(load, 150); }
  });
  return () => { stop(); clearTimeout(again); };
}

function moment(event) {
  const results = { done: "good", skipped: "quiet", warning: "person", failed: "bad" };
  const of = event.outcome ? tone({ outcome: event.outcome, class: "none" }, event.event === "job-ended") : "quiet";
  const mark = event.result ? results[event.result] : event.event === "retrying" ? "person" : of;
  return el("li", {}, el("time", { datetime: event.at }, clock(event.at)), el("span", { class: `ink-${mark}` }, shape(mark)),
    el("span", {}, event.sentence, event.chain.length ? el("span", { class: "mono" }, ` ${event.chain.map((link) => `${link.domain} ${link.code}`).join(" → ")}`) : null));
}
