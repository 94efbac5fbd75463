// What the station says: one stream of events, and the newest state made from it.

/** Silence this long means that the connection is gone: the station says something every 10 s. */
const SILENCE = 26000;
const AGAIN = 2000;
/** A browser opens six connections to a station: tabs that nobody sees leave theirs to others. */
const UNSEEN = 5000;

/** `heard`: somebody listens for tones, so the stream stays while the tab is hidden. */
export const station = { info: null, lines: new Map(), ports: [], ahead: 0, heard: false };
const heard = new Set();

/** Calls `listener(what, line)` for `all`, `bay`, `station`, `link`. */
export function listen(listener) {
  heard.add(listener);
  return () => heard.delete(listener);
}

function tell(what, line) {
  for (const listener of heard) listener(what, line);
}

/** The same bay's line in the next update. */
export function key(line) {
  return line.udid && !line.unserved ? line.udid : `port ${line.port ?? line.bay}`;
}

/** Milliseconds until a moment on the station's clock. */
export function until(moment) {
  return new Date(moment).getTime() - (Date.now() + station.ahead);
}

function all(event) {
  const snapshot = JSON.parse(event.data);
  station.info = snapshot.station;
  station.ahead = new Date(snapshot.station.now).getTime() - Date.now();
  station.ports = snapshot.ports;
  station.lines = new Map(snapshot.bays.map((line) => [key(line), line]));
  live("live");
  tell("all");
}

function bay(event) {
  const line = JSON.parse(event.data);
  const name = key(line);
  const before = station.lines.get(name);
  if (line.unserved && !line.attached) {
    station.lines.delete(name);
  } else {
    for (const [other, old] of station.lines) {
      const gone = !old.attached && (old.ended || old.unserved);
      if (other !== name && old.bay === line.bay && gone) station.lines.delete(other);
    }
    station.lines.set(name, line);
  }
  tell("bay", { line, before });
}

function trouble(field) {
  return (event) => {
    if (!station.info) return;
    station.info[field] = JSON.parse(event.data).trouble;
    tell("station");
  };
}

let source = null;
let quiet = 0;
let ended = false;
let leaving = 0;

function live(state) {
  tell("link", ended ? "ended" : state);
}

function sound() {
  clearTimeout(quiet);
  quiet = setTimeout(() => lost(), SILENCE);
}

function lost() {
  source?.close();
  source = null;
  live("lost");
  clearTimeout(quiet);
  quiet = setTimeout(probe, AGAIN);
}

/** An event source does not say why it was refused; a question does. */
async function probe() {
  try {
    const answer = await fetch("/api/v1/station", { cache: "no-store" });
    if (answer.status === 401) return tell("token");
    if (answer.ok) return start();
  } catch { /* it is still away */ }
  quiet = setTimeout(probe, AGAIN);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(leaving);
  if (!document.hidden) {
    if (!source) start();
    return;
  }
  leaving = setTimeout(() => {
    if (station.heard) return;
    clearTimeout(quiet);
    source?.close();
    source = null;
  }, UNSEEN);
});

export function start() {
  source?.close();
  clearTimeout(quiet);
  source = new EventSource("/api/v1/events");
  const on = (name, act) => source.addEventListener(name, (event) => { sound(); act(event); });
  on("snapshot", all);
  on("resync", all);
  on("bay", bay);
  on("mux", trouble("mux_trouble"));
  on("journal", trouble("journal_trouble"));
  on("alive", () => {});
  on("end", () => { ended = true; lost(); });
  source.onopen = () => { ended = false; sound(); if (station.info) live("live"); };
  source.onerror = () => lost();
}
