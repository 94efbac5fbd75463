// The page: which view is shown, how the connection stands, sound and theme.

import { ask, el, name, put, say, tone, words } from "./dom.js";
import { listen, start, station } from "./feed.js";
import { bays } from "./bays.js";
import { batch, batches } from "./batches.js";
import { history, job } from "./jobs.js";
import { doctor, profiles } from "./panels.js";

const $ = (id) => document.getElementById(id);
const main = $("main");

// ---- views ----

const VIEWS = { bays, batches, history, profiles, doctor, jobs: job };
const TITLES = { bays: "Bays", batches: "Batches", history: "History", profiles: "Profiles", doctor: "Doctor", jobs: "Job" };
let leave = () => {};

function show(focus) {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, id] = path.split("/");
  const named = VIEWS[view] ? view : "bays";
  leave();
  const number = /^\d+$/.test(id ?? "") ? id : null;
  leave = named === "batches" && number ? batch(main, number) : VIEWS[named](main, named === "history" ? new URLSearchParams(query) : number);
  const tab = named === "jobs" ? "history" : named;
  for (const link of $("views").children) {
    if (link.hash === `#/${tab}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${TITLES[named]}${number ? ` ${number}` : ""} · Enlist${station.info?.simulated ? " (SIMULATED)" : ""}`;
  if (focus) main.focus({ preventScroll: true });
}

window.addEventListener("hashchange", () => show(true));

// One key a view: 1 to 5, unless somebody types.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea");
  const link = $("views").children[Number(event.key) - 1];
  if (link && !typing && !event.ctrlKey && !event.altKey && !event.metaKey) link.click();
});

// ---- the station ----

const LINKS = { live: "Live", lost: "Connection lost", ended: "Stopped", waiting: "Connecting" };
let link = "waiting";

function header() {
  const info = station.info;
  $("link").dataset.state = link === "ended" ? "lost" : link;
  say($("link-word"), LINKS[link]);
  document.documentElement.classList.toggle("lost", link === "lost" || link === "ended");
  const banners = [];
  if (link === "lost") banners.push(["bad", "Connection lost: what is shown may be old. Trying again by itself."]);
  if (link === "ended") banners.push(["bad", "The station was stopped. Start it again with enlist serve; open jobs go on."]);
  if (info?.mux_trouble) banners.push(["bad", `No way to the devices: ${info.mux_trouble}.`]);
  if (info?.journal_trouble) banners.push(["bad", `The journal cannot be written, so nothing new is begun: ${info.journal_trouble}.`]);
  const text = JSON.stringify(banners);
  if ($("banners").dataset.text !== text) {
    $("banners").dataset.text = text;
    put($("banners"), ...banners.map(([mark, said]) => el("p", { class: `banner ${mark}` }, said)));
  }
  if (!info) return;
  $("simulated").hidden = !info.simulated;
  say($("export"), [info.profile, info.export].filter(Boolean).join(" · "));
  say($("foot"), `Enlist ${info.version} · ${info.backend}${info.kiosk ? " · kiosk: look only" : ""}`);
}

async function gate() {
  if (main.querySelector(".gate")) return;
  leave();
  leave = () => {};
  const token = el("input", { type: "password", autocomplete: "current-password", required: true });
  const failure = el("p", { class: "failure", role: "alert" });
  put(main, el("form", { class: "panel gate", onsubmit: async (event) => {
    event.preventDefault();
    try {
      await ask("/api/v1/session", { method: "POST", headers: { Authorization: `Bearer ${token.value.trim()}` } });
      start();
      show(true);
    } catch (error) { say(failure, error.status === 401 ? "That is not the token." : error.message); }
  } }, el("h1", {}, "This station wants its token"), el("label", {}, "Token", token), el("button", { class: "main" }, "Open"), failure));
  token.focus();
}

// ---- news for ears ----

let news = [];
let telling = 0;
let context = null;

function announce(line) {
  news.push(`${line.bay}: ${words(line.outcome)}, ${name(line)}.`);
  telling ||= setTimeout(() => {
    telling = 0;
    const said = news.length > 4 ? `${news.length} bays changed. Newest: ${news.at(-1)}` : news.join(" ");
    news = [];
    say($("news"), said);
  }, 1500);
}

const TUNES = { person: [660, 880], bad: [330, 247], good: [784] };

function play(mark) {
  if (!context || !TUNES[mark]) return;
  TUNES[mark].forEach((pitch, place) => {
    const begin = context.currentTime + place * 0.16;
    const tone = context.createOscillator();
    const volume = context.createGain();
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, begin);
    volume.gain.exponentialRampToValueAtTime(0.15, begin + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, begin + 0.15);
    tone.connect(volume).connect(context.destination);
    tone.start(begin);
    tone.stop(begin + 0.16);
  });
}

$("sound").addEventListener("click", () => {
  if (context) context.close();
  context = context ? null : new AudioContext();
  station.heard = Boolean(context);
  $("sound").setAttribute("aria-pressed", String(Boolean(context)));
  say($("sound"), context ? "Sound on" : "Sound off");
  play("good");
});

listen((what, more) => {
  if (what === "link") link = more;
  if (what === "token") {
    link = "waiting";
    header();
    return gate();
  }
  if (what === "bay") {
    const { line, before } = more;
    const now = tone(line, line.ended);
    const changed = line.outcome !== before?.outcome || line.ended !== before?.ended;
    if (changed && line.attached && now !== "busy") { announce(line); play(now); }
    return;
  }
  header();
  if (what === "all" && !main.dataset.shown) { main.dataset.shown = "yes"; show(false); }
});

// ---- theme ----

const THEMES = ["auto", "light", "dark"];
const dark = matchMedia("(prefers-color-scheme: dark)");
let theme = "auto";
try { theme = THEMES.includes(localStorage.theme) ? localStorage.theme : "auto"; } catch { /* no storage: the default */ }

function dress() {
  document.documentElement.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  say($("theme"), `Theme: ${theme}`);
}

$("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  try { localStorage.theme = theme; } catch { /* it holds until the page is closed */ }
  dress();
});
dark.addEventListener("change", dress);
dress();
header();
start();
