// Keyboard, and pages that keep themselves fresh. Everything works without this file.
"use strict";

const rows = () => [...document.querySelectorAll("[data-row]")];
// A dialog that was just closed has the focus for a moment longer.
const typing = (element) => element.closest("input, select, textarea, dialog[open]") !== null;

function step(by) {
  const all = rows();
  const at = all.findIndex((row) => row.contains(document.activeElement));
  const next = all[at === -1 ? (by > 0 ? 0 : all.length - 1) : at + by];
  (next?.matches("a") ? next : next?.querySelector("a"))?.focus();
}

const keys = {
  j: () => step(1),
  k: () => step(-1),
  "/": () => document.querySelector("[data-search]")?.focus(),
  r: () => document.querySelector("[data-reply]")?.focus(),
  n: () => document.querySelector("nav a[href='/console/record']")?.click(),
  u: () => document.querySelector("[data-up]")?.click(),
  "?": () => document.querySelector("#keys")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (Object.hasOwn(keys, event.key)) {
    event.preventDefault();
    keys[event.key]();
  }
});

document.querySelector("[data-keys]")?.addEventListener("click", () => keys["?"]());

// A second click must not send twice; the button comes back when the browser goes back to this page.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  const buttons = event.target.querySelectorAll("button");
  setTimeout(() => buttons.forEach((button) => (button.disabled = true)));
});
window.addEventListener("pageshow", () => document.querySelectorAll("button").forEach((button) => (button.disabled = false)));

// Files that are too large are told before they are on their way.
document.querySelector("[data-most]")?.addEventListener("change", ({ target }) => {
  const sizes = [...target.files].map((file) => file.size);
  const over = sizes.some((size) => size > target.dataset.most) || sizes.reduce((sum, size) => sum + size, 0) > target.dataset.together;
  target.setCustomValidity(over ? "These files are too large." : "");
  target.reportValidity();
});

// ---- the desk: known users while typing, and a form that Ctrl+Enter sends ----

document.querySelector("[data-quick]")?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  event.currentTarget.requestSubmit();
});

const suggesting = document.querySelector("[data-suggest]");
let asked = 0;

async function suggest() {
  const mine = ++asked;
  const answer = await fetch(`${suggesting.dataset.suggest}?text=${encodeURIComponent(suggesting.value.trim())}`);
  const found = answer.ok ? await answer.json() : [];
  if (mine !== asked) return;
  suggesting.list.replaceChildren(...found.map(({ value, label }) => new Option(label, value)));
}

let soon = 0;
suggesting?.addEventListener("input", () => {
  clearTimeout(soon);
  if (suggesting.value.trim().length > 1) soon = setTimeout(() => suggest().catch(() => {}), 120);
});

// ---- freshness: [data-live] is replaced, [data-version] only says that there is something new ----

async function freshPage() {
  const answer = await fetch(location.href, { headers: { "X-Refresh": "1" } });
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

function replaceLive(page) {
  const old = document.querySelector("[data-live]");
  const fresh = page.querySelector("[data-live]");
  if (!old || !fresh || typing(document.activeElement) || old.querySelector("details[open]")) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  old.replaceWith(document.adoptNode(fresh));
  if (focused) fresh.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}

function tellVersion(page) {
  const changed = document.querySelector("[data-changed]");
  const [old, fresh] = [document, page].map((each) => each.querySelector("[data-version]")?.dataset.version);
  if (changed && fresh !== undefined && old !== fresh) changed.hidden = false;
}

async function refresh() {
  if (document.hidden) return;
  try {
    const page = await freshPage();
    if (page) {
      replaceLive(page);
      tellVersion(page);
    }
  } catch {
    // The hub is away: the page stays as it is, the next round tries again.
  }
}

const watched = document.querySelector("[data-now]");
let stream = null;

if (document.querySelector("[data-live], [data-version]")) {
  setInterval(() => stream?.readyState === EventSource.OPEN || refresh(), 15_000);
}

// ---- what goes on at a query: a stream while the page is seen, and a word to the others while a reply is written ----

function say(where, text) {
  const place = document.querySelector(where);
  if (place && place.textContent !== text) place.textContent = text; // the same again is not read out again
}

const timers = {};
function forAWhile(what, begin, end) {
  begin();
  clearTimeout(timers[what]);
  timers[what] = setTimeout(end, 6_000);
}

const userWrites = (yes) => document.querySelector("[data-user-writes]")?.toggleAttribute("hidden", !yes);
const all = new Intl.ListFormat("en");
let coming = 0;

const heard = {
  open: () => refresh(),
  changed() {
    clearTimeout(coming);
    coming = setTimeout(refresh, 200);
  },
  present(names) {
    say("[data-present]", names.length ? `${all.format(names)} ${names.length > 1 ? "are" : "is"} looking at this too.` : "");
  },
  writes: (name) => forAWhile("writes", () => say("[data-writes]", `${name} is writing a reply.`), () => say("[data-writes]", "")),
  "user-writes": () => forAWhile("user", () => userWrites(true), () => userWrites(false)),
};

function listen() {
  if (document.hidden) {
    stream?.close();
    stream = null;
  } else if (!stream || stream.readyState === EventSource.CLOSED) {
    stream = new EventSource(watched.dataset.now);
    for (const [name, take] of Object.entries(heard)) {
      stream.addEventListener(name, ({ data }) => take(data ? JSON.parse(data) : null));
    }
  }
}

if (watched) {
  listen();
  document.addEventListener("visibilitychange", listen);
  window.addEventListener("pagehide", () => stream?.close());
}

const reply = document.querySelector("[data-typing]");
let told = 0;
reply?.addEventListener("input", () => {
  if (Date.now() - told < 3_000) return;
  told = Date.now();
  const body = new URLSearchParams({ to_message: reply.form.elements.to_message.value });
  fetch(reply.dataset.typing, { method: "POST", body }).catch(() => {});
});
