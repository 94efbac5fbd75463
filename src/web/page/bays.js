// The bench: a tile for each bay, by hub and port.

import { el, name, order, put, say, shape, simulated, tone, TONES, words } from "./dom.js";
import { key, listen, station, until } from "./feed.js";
import { strip } from "./batches.js";

/** With more than this many waiting, the six steps stand once above the tiles. */
const CARDS = 8;
/** With more tiles than this they are smaller. */
const MANY = 32;

/** What the bench has: [{id, bay, port, line, open}] where `line` may be missing. */
function places() {
  const bays = new Map();
  const bay = (label, port) => {
    if (!bays.has(label)) bays.set(label, { label, port, lines: [] });
    const found = bays.get(label);
    found.port ??= port;
    return found;
  };
  for (const port of station.ports) bay(port.bay, port.path ?? port.port);
  for (const line of station.lines.values()) bay(line.bay, line.port).lines.push(line);
  return [...bays.values()].flatMap(({ label, port, lines }) => {
    const here = lines.filter((line) => line.attached);
    const gone = lines.filter((line) => !line.attached);
    const open = gone.filter((line) => !line.ended && !line.unserved);
    const shown = here.length ? here : [open.at(-1) ?? gone.at(-1)];
    return shown.map((line) => ({
      id: line ? `${label}|${key(line)}` : label,
      bay: label,
      port: line?.port ?? port,
      line,
      open: open.filter((other) => other !== line),
    }));
  });
}

/** `1-4.2` hangs on hub `1-4`, `0000:00:14.0/4.2` on `0000:00:14.0/4`; a port of the computer itself on its bus. */
function hub(port) {
  if (!port) return "";
  const at = port.includes("/") ? port.lastIndexOf("/") : port.indexOf("-");
  const chain = port.slice(at + 1).split(".").slice(0, -1);
  return chain.length ? port.slice(0, at + 1) + chain.join(".") : port.slice(0, at);
}

function toneOf(line) {
  if (!line) return "quiet";
  if (!line.attached && (line.ended || line.unserved)) return tone(line, true) === "good" ? "quiet" : tone(line, true);
  return tone(line, line.ended);
}

/** The word of a tile. */
function word(line) {
  if (!line) return "Empty";
  if (!line.attached && line.ended) return `Unplugged: ${words(line.outcome).toLowerCase()}`;
  return words(line.outcome);
}

class Tile {
  constructor() {
    this.shape = shape("quiet");
    this.bay = el("span", { class: "bay" });
    this.word = el("span", { class: "word" });
    this.clock = el("span", { class: "clock", role: "timer", "aria-live": "off" });
    this.sentence = el("p", { class: "sentence" });
    this.todo = el("p", { class: "todo" });
    this.card = el("ol", { class: "card" });
    this.others = el("p", { class: "others" });
    this.who = el("p", { class: "who" });
    this.element = el("li", { class: "tile" },
      el("header", {}, this.shape, this.bay, this.clock, this.word),
      el("div", { class: "body" }, this.sentence, this.todo, this.card, this.others, this.who));
  }

  show({ bay, line, open }, shared) {
    // An update is a new object: what is the same stands right already.
    const others = open.map(name).join("|");
    if (this.shown && this.line === line && this.shared === shared && this.open === others) return;
    Object.assign(this, { shown: true, line, shared, open: others });
    const mark = toneOf(line);
    this.mark = mark;
    this.until = line?.attached || !line?.ended ? line?.until : null;
    this.element.className = `tile tone-${mark}`;
    this.element.dataset.outcome = line?.outcome ?? "empty";
    this.element.dataset.udid = line?.udid ?? "";
    this.element.dataset.bay = bay;
    this.shape.firstChild.setAttribute("href", `#shape-${mark}`);
    say(this.bay, bay);
    say(this.word, word(line));
    say(this.sentence, line?.sentence ?? "Nothing is plugged in here.");
    const steps = line?.outcome === "waiting-for-person" && !line.ended;
    say(this.todo, steps ? (shared ? "Follow the six steps above." : "") : line?.next ?? "");
    this.todo.hidden = !this.todo.textContent;
    this.card.hidden = !steps || shared;
    if (!this.card.hidden && !this.card.childElementCount) {
      this.card.append(...station.info.card.map((step) => el("li", {}, step)));
    }
    this.others.hidden = !open.length;
    say(this.others, open.map((other) => `${name(other)} was unplugged before it was done. Plug it in again.`).join(" "));
    const about = line ? [name(line), line.product_type, line.os_version, line.serial].filter(Boolean) : [];
    const text = about.join("|") + line?.job + line?.simulated;
    if (this.about !== text) {
      this.about = text;
      const [first, ...rest] = about;
      put(this.who, [first ? el("b", {}, first) : null, ...rest.filter((part) => part !== first).map((part) => el("span", {}, part)),
        line ? simulated(line) : null,
        line?.job ? el("a", { href: `#/jobs/${line.job}`, "aria-label": `Job ${line.job} in ${bay}` }, `Job ${line.job}`) : null]);
    }
    this.tick();
  }

  tick() {
    const left = this.until ? Math.max(0, Math.round(until(this.until) / 1000)) : null;
    this.clock.hidden = left === null;
    if (left !== null) say(this.clock, `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`);
  }
}

export function bays(main) {
  const tiles = new Map();
  const groups = new Map();
  let filter = null;
  const tally = el("div", { class: "tally", role: "group", "aria-label": "Devices by state; press to show only these" });
  const counters = Object.entries(TONES).map(([mark, text]) => {
    const count = el("b", {}, "0");
    const button = el("button", { type: "button", class: `ink-${mark}`, "aria-pressed": "false", onclick: () => {
      filter = filter === mark ? null : mark;
      draw();
    } }, shape(mark), count, text);
    tally.append(button);
    return { mark, count, button };
  });
  const batch = strip();
  const shared = el("section", { class: "sharedcard", "aria-label": "Steps on the device", hidden: true });
  const board = el("div", {});
  const empty = el("p", { class: "empty" }, "No device yet. Plug one in.");
  put(main, el("h1", { class: "unseen" }, "Bays"), batch.element, tally, shared, empty, board);

  function group(label) {
    if (!groups.has(label)) {
      const title = el("h2", {}, label ? `Hub ${label}` : "Other");
      const list = el("ul", { class: "tiles" });
      groups.set(label, { title, list, element: el("section", { class: "hub", "aria-label": label ? `Hub ${label}` : "Bays" }, title, list) });
    }
    return groups.get(label);
  }

  /** Puts children where they belong, and touches nothing that stands right. */
  function arrange(parent, wanted) {
    wanted.forEach((child, at) => {
      if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
    });
    while (parent.children.length > wanted.length) parent.lastChild.remove();
  }

  function draw() {
    if (!station.info) return;
    const all = places();
    const waiting = all.filter(({ line }) => line?.outcome === "waiting-for-person" && !line.ended).length;
    const once = waiting > CARDS;
    shared.hidden = !once;
    if (once && !shared.childElementCount) {
      shared.append(el("h2", {}, "On each device that waits for its person"),
        el("ol", { class: "card" }, station.info.card.map((step) => el("li", {}, step))));
    }
    const marks = Object.fromEntries(Object.keys(TONES).map((mark) => [mark, 0]));
    const seen = new Set();
    const byHub = new Map();
    for (const place of all) {
      seen.add(place.id);
      if (!tiles.has(place.id)) tiles.set(place.id, new Tile());
      const tile = tiles.get(place.id);
      tile.show(place, once);
      marks[tile.mark] += 1;
      if (filter && tile.mark !== filter) continue;
      const label = hub(place.port);
      if (!byHub.has(label)) byHub.set(label, []);
      byHub.get(label).push({ place, tile });
    }
    for (const id of tiles.keys()) if (!seen.has(id)) tiles.delete(id);
    counters.forEach(({ mark, count, button }) => {
      say(count, String(marks[mark]));
      button.setAttribute("aria-pressed", String(filter === mark));
    });
    const labels = [...byHub.keys()].sort(order);
    arrange(board, labels.map((label) => {
      const { element, list, title } = group(label);
      title.hidden = labels.length < 2;
      const sorted = byHub.get(label).sort((a, b) => order(a.place.port ?? "", b.place.port ?? "") || order(a.place.bay, b.place.bay));
      arrange(list, sorted.map(({ tile }) => tile.element));
      return element;
    }));
    board.classList.toggle("many", all.length > MANY);
    empty.hidden = all.length > 0;
  }

  let drawing = 0;
  const later = () => { drawing ||= requestAnimationFrame(() => { drawing = 0; draw(); }); };
  const stop = listen((what, news) => {
    if (what === "all" || what === "bay") later();
    if (what === "bay" && news.line.ended !== news.before?.ended) batch.soon();
  });
  const ticks = setInterval(() => tiles.forEach((tile) => tile.tick()), 1000);
  draw();
  return () => { stop(); clearInterval(ticks); cancelAnimationFrame(drawing); batch.end(); };
}
