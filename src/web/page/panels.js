// The profile library and the doctor.

import { ask, el, put, state, when } from "./dom.js";
import { station } from "./feed.js";

const STANDINGS = { fresh: "good", ageing: "person", stale: "bad", "from-the-future": "person" };
const DAY = 86400000;

export function profiles(main) {
  const list = el("div", {});
  put(main, el("div", { class: "bar" }, el("h1", {}, "Profiles")), list);
  ask("/api/v1/profiles").then(({ data }) => {
    const none = station.info?.simulated ? `The simulated devices get the built-in example, “${station.info.profile}”.` : "The library is empty. Add an export: enlist profile add FILE";
    put(list, ...(data.length ? data.map(one) : [el("p", { class: "empty" }, none)]));
  }, (error) => put(list, el("p", { class: "failure" }, error.message)));
  return () => {};
}

function one(stored) {
  const { age } = stored;
  const mark = stored.problem ? "bad" : age ? STANDINGS[age.standing] ?? "quiet" : "quiet";
  const fact = (term, value) => (value ? [el("dt", {}, term), el("dd", {}, value)] : []);
  return el("section", { class: `panel verdict tone-${mark}`, "aria-label": stored.file },
    el("h2", {}, stored.name ?? stored.identifier ?? stored.file),
    el("p", {}, state(mark, stored.problem ?? (age ? `Export ${age.countdown}` : "Nothing tells how old it is")), stored.chosen ? el("b", {}, " · pushed to new devices") : null),
    age && !stored.problem ? meter(age) : null,
    el("dl", { class: "facts" }, fact("File", stored.file), fact("Identifier", stored.identifier), fact("Identity", stored.identity?.toUpperCase()),
      fact("Exported", age?.exported ? when(age.exported) : null), fact("Good until", age ? `${when(age.ends)}${age.sure ? "" : " at the latest"}` : null), fact("SHA-256", stored.sha256)));
}

/** Its fortnight, and how much of it is left. */
function meter(age) {
  const left = Math.max(0, Math.min(1, (new Date(age.ends) - Date.now()) / (14 * DAY)));
  const fill = el("span", {});
  fill.style.width = `${Math.round(left * 100)}%`;
  return el("div", { class: "meter", role: "img", "aria-label": `${Math.round(left * 100)} percent of its time is left` }, fill);
}

const HEALTH = { good: ["good", "Good"], warning: ["person", "Look at it"], bad: ["bad", "Bad"] };

export function doctor(main) {
  const list = el("div", {});
  const load = async () => {
    list.setAttribute("aria-busy", "true");
    try {
      const { data } = await ask("/api/v1/doctor");
      put(list, el("section", { class: "panel", "aria-label": "Checks" }, el("ul", { class: "checks" }, data.map((check) => el("li", {},
        state(...HEALTH[check.health]), el("div", {}, el("b", {}, check.check), el("p", {}, check.found)),
        check.fix ? el("p", { class: "fix" }, el("b", {}, "Fix: "), check.fix) : null)))));
    } catch (error) { put(list, el("p", { class: "failure" }, error.message)); }
    list.removeAttribute("aria-busy");
  };
  put(main, el("div", { class: "bar" }, el("h1", {}, "Doctor"), el("button", { type: "button", onclick: load }, "Check again")), list);
  load();
  return () => {};
}
