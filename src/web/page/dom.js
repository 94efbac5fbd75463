// Small helpers: elements, words, times. No text of a device ever becomes markup.

/** Makes an element; children are elements or texts, null is left out. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Puts children in place of those that are there; null is left out. */
export function put(parent, ...children) {
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
}

/** A shape of the sprite in index.html. */
export function shape(tone) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#shape-${tone}`);
  svg.append(use);
  return svg;
}

/** Changes a text only if it is another: screen readers and layout stay calm. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** `waiting-for-person` in words. */
export function words(name) {
  const text = name.replaceAll("-", " ").replace(/\b(mdm|dfu)\b/, (short) => short.toUpperCase());
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const GOOD = new Set(["enrolled", "policies-seen", "already-enrolled", "planned"]);
const WAITS = new Set(["waiting-for-person", "waiting-for-trust", "waiting-for-unlock", "detached-midway"]);

/** What a standing means for whoever looks: good, person, bad, busy. */
export function tone(device, over) {
  if (GOOD.has(device.outcome)) return over === false ? "busy" : "good";
  if (device.outcome === "failed") return "bad";
  if (device.class === "operator" || WAITS.has(device.outcome)) return "person";
  if (over || ["quarantined", "too-old", "pairing-forbidden"].includes(device.outcome)) return "bad";
  return "busy";
}

export const TONES = { person: "need a hand", busy: "working", good: "done", bad: "failed", quiet: "empty" };

/** A state in shape, word and colour. */
export function state(mark, text) {
  return el("span", { class: `state ink-${mark}` }, shape(mark), text);
}

export function simulated(device) {
  return device.simulated ? el("span", { class: "mark" }, "SIMULATED") : null;
}

export function name(device) {
  return device.name ?? device.serial ?? device.udid ?? device.product_type ?? "A device";
}

export function when(text) {
  if (!text) return "";
  const at = new Date(text);
  return `${at.toLocaleDateString(undefined, { day: "2-digit", month: "short" })} ${clock(text)}`;
}

export function clock(text) {
  return new Date(text).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function span(ms) {
  const s = Math.round(ms / 1000);
  if (ms < 10000) return `${(ms / 1000).toFixed(1)} s`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

/** Natural order: Bay 9 before Bay 10. */
export const order = new Intl.Collator("en", { numeric: true }).compare;

/** What the API answers; a problem becomes an error with its sentence. */
export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (options.method) headers["Enlist-Request"] = "1";
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, credentials: "same-origin", cache: "no-store" });
  } catch {
    throw Object.assign(new Error("The station does not answer."), { status: 0 });
  }
  const kind = answer.headers.get("content-type") ?? "";
  const data = kind.includes("json") ? await answer.json() : null;
  if (answer.ok) return { data, next: following(answer.headers.get("link")) };
  const said = [data?.detail ?? "The station could not answer.", data?.next].filter(Boolean).join(" ");
  throw Object.assign(new Error(said), { status: answer.status });
}

function following(link) {
  return /<([^>]+)>; rel="next"/.exec(link ?? "")?.[1] ?? null;
}
