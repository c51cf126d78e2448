// ---- what people see -----------------------------------------------------------------------------------

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
};
const icon = (d) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" })) svg.setAttribute(key, value);
  shape.setAttribute("d", d);
  svg.append(shape);
  return svg;
};
const ICONS = {
  chat: "M4 4h16a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H9l-5 4v-4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2z",
  close: "M6.4 5 12 10.6 17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4L12 13.4 6.4 19 5 17.6 10.6 12 5 6.4z",
  send: "M3 4l18 8-18 8 3-8-3-8zm4.6 9L6 17l10-5z",
  attach: "M16.5 6v11a4.5 4.5 0 0 1-9 0V5.500a3 3 0 0 1 6 0v10a1.500 1.500 0 0 1-3 0V7H12v8.500V5.500a1.500 1.500 0 0 0-3 0V17a3 3 0 0 0 6 0V6z",
};

class View {
  constructor() {
    this.opened = false;
    this.asking = null; // which form stands in place of the composer
    this.host = make("div", { id: "trunkline-chat", lang: language, "data-theme": script.dataset.theme || CONFIG.theme, "data-inline": inline });
    this.root = this.host.attachShadow({ mode: "open" });
    this.style();
    this.build();
  }

  style() {
    try {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(CONFIG.css);
      this.root.adoptedStyleSheets = [sheet];
    } catch { this.root.append(make("style", {}, CONFIG.css)); }
  }

  build() {
    this.badge = make("span", { class: "badge", hidden: true, "aria-hidden": "true" });
    this.launcher = make("button", { class: "launcher", part: "launcher", type: "button", "aria-expanded": "false", "aria-controls": "panel",
      onclick: () => this.toggle(!this.opened) }, icon(ICONS.chat), this.badge);
    this.status = make("p", { class: "status", role: "status" });
    this.news = make("p", { class: "hidden", role: "status" });
    this.notices = make("div", { class: "notices" });
    this.log = make("div", { class: "log", role: "log", "aria-live": "polite", "aria-label": words.log, tabindex: "0" });
    this.writing = make("p", { class: "typing", "aria-live": "off" });
    this.text = make("textarea", { id: "text", rows: "2", maxlength: "8000", enterkeyhint: "send", placeholder: words.write,
      onkeydown: (event) => this.key(event), oninput: () => this.typed() });
    this.file = make("input", { type: "file", multiple: true, hidden: true, tabindex: "-1", onchange: () => this.chosen() });
    this.attach = make("button", { type: "button", class: "icon", "aria-label": words.attach, title: words.attach, onclick: () => this.file.click() }, icon(ICONS.attach));
    this.composer = make("form", { class: "composer", onsubmit: (event) => this.submit(event) },
      make("label", { class: "hidden", for: "text" }, words.write), this.text, this.file, this.attach,
      make("button", { class: "icon send", "aria-label": words.send, title: words.send }, icon(ICONS.send)));
    this.form = make("form", { class: "form", hidden: true, onsubmit: (event) => this.answered(event) });
    this.mail = make("button", { type: "button", class: "link", onclick: () => this.ask("mail") }, words.leave);
    this.forget = make("button", { type: "button", class: "link", onclick: () => this.forgetting() }, words.forget);
    this.panel = make("section", { id: "panel", class: "panel", part: "panel", role: inline ? "region" : "dialog", "aria-labelledby": "title", hidden: !inline },
      make("header", {}, make("h2", { id: "title" }, CONFIG.title),
        inline ? null : make("button", { type: "button", class: "icon", "aria-label": words.close, title: words.close, onclick: () => this.toggle(false) }, icon(ICONS.close))),
      this.status, this.notices, this.log, this.writing, this.form, this.composer, make("footer", {}, this.mail, this.forget));
    this.panel.addEventListener("keydown", (event) => { if (event.key === "Escape" && !inline) { event.stopPropagation(); this.toggle(false); } });
    this.root.append(this.panel, this.news, ...(inline ? [] : [this.launcher]));
  }

  toggle(open, quietly) {
    this.opened = open;
    if (!inline) this.panel.hidden = !open;
    this.launcher.setAttribute("aria-expanded", String(open));
    store.set("open", open);
    if (open) {
      chat.link.start();
      if (!this.asking && CONFIG.form.length && !store.get("form") && !chat.jwt) this.ask("form", quietly);
      this.show();
      this.log.scrollTop = this.log.scrollHeight;
      if (!quietly) (this.asking ? this.form.querySelector("input") : this.text).focus();
      chat.mark();
    } else {
      this.show();
      this.launcher.focus();
    }
  }

  key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.submit(event); }
  }

  typed() {
    if (Date.now() - (this.told || 0) > 3000) { this.told = Date.now(); chat.link.send({ t: "typing" }); }
  }

  submit(event) {
    event.preventDefault();
    const text = this.text.value.trim();
    if (!text) return;
    this.text.value = "";
    chat.say(text);
    this.log.scrollTop = this.log.scrollHeight;
    this.text.focus();
  }

  chosen() {
    for (const file of this.file.files) chat.attach(file);
    this.file.value = "";
  }

  // The form before the first line, or the address for an answer by mail.
  ask(which, quietly) {
    this.asking = which;
    const asked = which === "mail" ? [{ name: "email", label: words.email, type: "email", required: true }] : CONFIG.form;
    const fields = asked.map((question) => {
      const complete = { name: "name", email: "email" }[question.name] || "off";
      return make("p", {}, make("label", { for: "q-" + question.name }, question.label + (question.required ? " (" + words.required + ")" : "")),
        make("input", { id: "q-" + question.name, name: question.name, type: question.type, required: question.required, maxlength: "1000", autocomplete: complete }));
    });
    this.form.replaceChildren(...(which === "mail" ? [make("p", {}, words.leaveWhy)] : []), ...fields,
      make("p", { class: "buttons" }, make("button", { class: "primary" }, which === "mail" ? words.send : words.start),
        which === "mail" ? make("button", { type: "button", class: "link", onclick: () => this.done() }, words.cancel) : null));
    this.show();
    if (!quietly) this.form.querySelector("input").focus();
  }

  answered(event) {
    event.preventDefault();
    const said = Object.fromEntries(new FormData(this.form));
    store.set("form", { ...(store.get("form") || {}), ...said });
    if (this.asking === "mail") chat.say(words.left.replace("{email}", said.email), { form: store.get("form") });
    this.done();
  }

  done() {
    this.asking = null;
    this.show();
    this.text.focus();
  }

  forgetting() {
    if (this.forget.textContent === words.sure) {
      this.forget.textContent = words.forget;
      chat.forget();
      if (CONFIG.form.length && !chat.jwt) this.ask("form");
      return;
    }
    this.forget.textContent = words.sure;
    setTimeout(() => { this.forget.textContent = words.forget; }, 5000);
  }

  typing() {
    this.writing.textContent = words.typing;
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => { this.writing.textContent = ""; }, 5000);
  }

  arrived(line) {
    this.writing.textContent = "";
    if (!this.opened && line.seq > chat.seen().read) this.news.textContent = words.message;
  }

  show() {
    if (this.drawing) return;
    this.drawing = true;
    queueMicrotask(() => { this.drawing = false; this.draw(); });
  }

  draw() {
    const state = chat.refused ? words.nowhere : navigator.onLine === false ? words.offline : chat.online ? "" : words.connecting;
    if (this.status.textContent !== state) this.status.textContent = state;
    this.status.hidden = !state;
    this.form.hidden = !this.asking;
    this.composer.hidden = Boolean(this.asking) || chat.refused;
    this.attach.hidden = !chat.maxFile;
    this.mail.hidden = Boolean(this.asking || chat.jwt || (store.get("form") || {}).email) || chat.refused;
    this.forget.hidden = Boolean(chat.jwt) || !(chat.lines.length + chat.mine.size);
    this.notices.replaceChildren(...(chat.notices || []).map((notice) => make("p", {}, notice)));
    const unread = this.opened ? 0 : chat.unread();
    this.badge.hidden = !unread;
    this.badge.textContent = unread;
    const label = this.opened ? words.close : CONFIG.title + (unread ? ", " + unread + " " + words.news : "");
    if (this.launcher.getAttribute("aria-label") !== label) this.launcher.setAttribute("aria-label", label);
    this.drawLines();
  }

  drawLines() { // lines that stand are left alone: a screen reader reads what is added, once
    const low = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 60;
    const wanted = new Map();
    if (CONFIG.greeting) wanted.set("greeting", { from: "desk", text: CONFIG.greeting });
    for (const line of chat.lines) wanted.set(line.cid || "seq" + line.seq, line);
    for (const one of chat.mine.values()) wanted.set(one.cid, { from: "you", text: one.text || "", files: one.file ? [{ name: one.name }] : [] });
    const have = new Map([...this.log.children].map((child) => [child.dataset.key, child]));
    for (const [key, child] of have) if (!wanted.has(key)) child.remove();
    let before = null;
    for (const [key, line] of wanted) {
      let child = have.get(key);
      if (!child) { child = this.bubble(line); child.dataset.key = key; }
      const place = before ? before.nextSibling : this.log.firstChild;
      if (child !== place) this.log.insertBefore(child, place);
      this.state(child, chat.mine.get(key), line.at);
      before = child;
    }
    if (low) this.log.scrollTop = this.log.scrollHeight;
  }

  bubble(line) {
    const files = (line.files || []).map((file) => make("span", { class: "file" }, words.attached + ": " + file.name));
    const text = make("div", { class: "text" }, ...linked(line.text), ...files);
    const who = make("span", { class: "who" }, line.from === "you" ? words.you : words.desk);
    return make("div", { class: "line " + line.from }, who, text, make("span", { class: "meta" }, make("time"), make("span", { class: "state" })));
  }

  state(child, one, at) {
    const time = child.querySelector("time");
    if (at && !time.dateTime) {
      time.dateTime = at;
      time.textContent = new Date(at).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });
    }
    const said = one ? (one.state === "failed" ? words.failed + (one.why && words[one.why] ? ": " + words[one.why] : "") : words[one.state]) : "";
    const place = child.querySelector(".state");
    if (place.textContent === said) return;
    place.textContent = said;
    if (one && one.file && one.state === "failed" && !one.why) {
      place.append(" ", make("button", { type: "button", class: "link", onclick: () => { one.state = "sending"; one.tries = 0; chat.askFor(one); this.show(); } }, words.again));
    }
  }
}

const linked = (text) => text.split(/(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)])/).map((piece, n) =>
  n % 2 ? make("a", { href: piece, target: "_blank", rel: "noopener noreferrer nofollow" }, piece) : piece);

// ---- begin ---------------------------------------------------------------------------------------------

let view, chat;
const begin = () => {
  view = new View();
  chat = new Chat();
  (inline ? script.parentElement : document.body).append(view.host);
  addEventListener("online", () => chat.link.nudge());
  addEventListener("offline", () => view.show());
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { chat.link.nudge(); chat.mark(); } });
  if (store.get("session") || chat.jwt) chat.link.start(); // answers may wait; who never wrote opens no connection
  if (inline || chat.token || store.get("open")) view.toggle(true, true);
  else view.show();
  window.TrunklineChat = Object.freeze({
    open: () => view.toggle(true),
    close: () => view.toggle(false),
    signIn: (jwt) => chat.signIn(jwt),
    signOut: () => chat.signIn(null),
  });
  dispatchEvent(new Event("trunkline-chat"));
};
if (document.body) begin();
else addEventListener("DOMContentLoaded", begin);
