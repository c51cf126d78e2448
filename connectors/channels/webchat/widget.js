// The chat widget: one script, no framework, nothing from elsewhere. Its frames are described in frames.py.
// A line is kept in this browser until the hub says that it is on disk; lines of the conversation come by number,
// without gaps, so a lost connection loses and doubles nothing. Everything that others wrote is shown as text only.
(() => {
  "use strict";
  const CONFIG = "CONFIG";
  const script = document.currentScript;
  if (!script || document.getElementById("trunkline-chat")) return;
  const path = "/p/" + CONFIG.instance + "/";
  const base = script.src.slice(0, script.src.lastIndexOf(path));
  const inline = "inline" in script.dataset;

  // ---- words ---------------------------------------------------------------------------------------------

  const WORDS = {
    en: {
      you: "You", desk: "Service desk", open: "Open chat", close: "Close chat", news: "new", write: "Write a message",
      send: "Send", attach: "Attach a file", log: "Conversation", connecting: "Connecting …",
      offline: "You are offline. What you write is sent as soon as you are back.",
      nowhere: "The chat is not available on this page.", sending: "sending", kept: "received", failed: "not sent",
      again: "Try again", typing: "The service desk is writing …", start: "Start", email: "E-mail address",
      leave: "Answer me by e-mail", left: "Please answer me by e-mail as well: {email}", cancel: "Back",
      leaveWhy: "If you go before we answer, the answer comes to this address.",
      forget: "Forget this conversation", sure: "Really forget it on this device?", required: "required",
      too_large: "the file is too large", empty: "the file is empty", too_long: "the text is too long",
      message: "New message from the service desk", attached: "File",
    },
    de: {
      you: "Sie", desk: "Servicedesk", open: "Chat öffnen", close: "Chat schließen", news: "neu",
      write: "Nachricht schreiben", send: "Senden", attach: "Datei anhängen", log: "Unterhaltung",
      connecting: "Verbindung wird aufgebaut …",
      offline: "Sie sind offline. Was Sie schreiben, wird gesendet, sobald Sie wieder verbunden sind.",
      nowhere: "Der Chat ist auf dieser Seite nicht verfügbar.", sending: "wird gesendet", kept: "angekommen",
      failed: "nicht gesendet", again: "Noch einmal", typing: "Der Servicedesk schreibt …", start: "Beginnen",
      email: "E-Mail-Adresse", leave: "Per E-Mail antworten",
      left: "Bitte antworten Sie mir auch per E-Mail: {email}", cancel: "Zurück",
      leaveWhy: "Wenn Sie gehen, bevor wir antworten, kommt die Antwort an diese Adresse.",
      forget: "Unterhaltung vergessen", sure: "Auf diesem Gerät wirklich vergessen?", required: "erforderlich",
      too_large: "die Datei ist zu groß", empty: "die Datei ist leer", too_long: "der Text ist zu lang",
      message: "Neue Nachricht vom Servicedesk", attached: "Datei",
    },
  };
  const spoken = CONFIG.language || script.dataset.language || document.documentElement.lang || "en";
  const language = spoken.slice(0, 2).toLowerCase() in WORDS ? spoken.slice(0, 2).toLowerCase() : "en";
  const words = WORDS[language];

  // ---- what stays in this browser ------------------------------------------------------------------------

  const PREFIX = "trunkline." + CONFIG.instance + ".";
  const memory = new Map();
  const store = {
    get(key) {
      try { return JSON.parse(localStorage.getItem(PREFIX + key)); } catch { return memory.get(key) ?? null; }
    },
    set(key, value) {
      memory.set(key, value);
      try { localStorage.setItem(PREFIX + key, JSON.stringify(value)); } catch { /* private window, or full */ }
    },
    drop(key) {
      memory.delete(key);
      try { localStorage.removeItem(PREFIX + key); } catch { /* as above */ }
    },
    keys(start) {
      const found = new Set([...memory.keys()]);
      try {
        for (let i = 0; i < localStorage.length; i++) {
          const key = localStorage.key(i);
          if (key.startsWith(PREFIX)) found.add(key.slice(PREFIX.length));
        }
      } catch { /* as above */ }
      return [...found].filter((key) => key.startsWith(start)).sort();
    },
  };
  const random = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");
  let newest = 0;
  const newCid = () => { // sorts by the time of writing, also after a turned-back clock
    newest = Math.max(Date.now(), newest + 1, store.get("newest") ?? 0);
    store.set("newest", newest + 1);
    return newest.toString(36).padStart(9, "0") + "-" + random();
  };

  // ---- the connection ------------------------------------------------------------------------------------

  const RETRY_SOCKET = 120000; // ms; where plain HTTP gets through and sockets do not, they are tried again so often
  class Link {
    constructor(chat) {
      this.chat = chat;
      this.failures = 0;
      this.unready = 0; // sockets in a row that never became ready: something between us does not let them through
      this.passing = []; // frames for the next request, where there is no socket
      this.stopped = false;
    }

    start() {
      clearTimeout(this.timer);
      if (this.stopped || this.running) return;
      this.running = true;
      if (this.unready >= 2 && Date.now() - this.since < RETRY_SOCKET) this.poll();
      else this.connect();
    }

    connect() {
      this.since = Date.now();
      let socket;
      try { socket = new WebSocket(base.replace(/^http/, "ws") + "/ws/" + CONFIG.instance); } catch { this.unready = 2; return this.ended(0); }
      this.socket = socket;
      this.ready = false;
      const patience = setTimeout(() => socket.close(), 5000);
      socket.onopen = async () => socket.send(JSON.stringify(await this.chat.hello(false)));
      socket.onmessage = (event) => {
        clearTimeout(this.waiting);
        const frame = JSON.parse(event.data);
        if (frame.t === "ready") { clearTimeout(patience); this.ready = true; this.failures = this.unready = 0; this.beat(frame.heartbeat_s); }
        this.chat.took(frame);
      };
      socket.onclose = (event) => {
        clearTimeout(patience);
        if (this.socket !== socket) return;
        this.socket = null;
        if (!this.ready && event.code < 4000) this.unready++;
        this.ready = false;
        this.ended(event.code);
      };
    }

    beat(seconds) {
      clearInterval(this.beating);
      this.beating = setInterval(() => { if (!document.hidden) this.probe(); }, seconds * 1000);
    }

    probe() { // a connection that died without a word is found by asking
      if (!this.ready) return;
      this.send({ t: "ping" });
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.restart(), 10000);
    }

    async poll() {
      this.polling = true;
      this.ready = true;
      let code = 0;
      try {
        while (this.polling && !this.stopped && !code && Date.now() - this.since < RETRY_SOCKET) {
          this.abort = new AbortController();
          const hello = await this.chat.hello(this.greeted);
          const going = this.passing.splice(0);
          const frames = [hello, ...this.chat.unacked(), ...going].map((frame) => JSON.stringify(frame));
          const asked = { method: "POST", body: JSON.stringify(frames), credentials: "omit", signal: this.abort.signal };
          let answer;
          try { answer = await fetch(base + "/ws/" + CONFIG.instance, asked); } catch (error) {
            this.passing.unshift(...going.filter((frame) => frame.t !== "typing"));
            if (this.again) { this.again = false; continue; }
            throw error;
          }
          if (!answer.ok) throw new Error("HTTP " + answer.status);
          const said = await answer.json();
          this.greeted = true;
          this.failures = 0;
          for (const each of said.frames) this.chat.took(JSON.parse(each));
          code = said.code;
        }
      } catch { code = code || 1006; }
      this.polling = this.ready = this.greeted = false;
      this.ended(code);
    }

    send(frame) {
      if (this.socket && this.ready) this.socket.send(JSON.stringify(frame));
      else if (this.polling) {
        if (frame.t !== "msg") this.passing.push(frame); // lines go with every request until they are acknowledged
        if (frame.t === "typing" || frame.t === "ping") return;
        this.again = true;
        this.abort?.abort();
      }
    }

    ended(code) {
      this.running = false;
      clearInterval(this.beating);
      clearTimeout(this.waiting);
      if (code === 4403) this.stopped = true;
      this.chat.lost(code);
      if (this.stopped) return;
      const pause = Math.min(30000, 500 * 2 ** this.failures++) * (0.5 + Math.random() / 2);
      this.timer = setTimeout(() => this.start(), pause);
    }

    restart() {
      const socket = this.socket;
      this.failures = 0;
      if (socket) { this.socket = null; this.ready = false; socket.close(); this.ended(0); }
      else if (this.polling) { this.polling = false; this.again = false; this.abort?.abort(); }
      else { this.running = false; this.start(); }
    }

    nudge() { // the network or the person is back
      if (this.ready && this.socket) this.probe();
      else if (!this.running) { this.failures = 0; this.start(); }
    }
  }

  // ---- the conversation ----------------------------------------------------------------------------------

  class Chat {
    constructor() {
      this.jwt = script.dataset.jwt || null; // a token, or a function that brings one
      this.token = (/[#&]chat=([\w.~-]+)/.exec(location.hash) || [])[1] || "";
      this.reset();
      this.link = new Link(this);
    }

    reset() {
      this.conv = null;
      this.last = 0;
      this.lines = [];
      this.mine = new Map(); // cid → what is not a line of the conversation yet
      this.marked = "";
      this.introduced = false;
      this.owner = this.jwt ? null : "visitor";
    }

    async hello(poll) {
      const jwt = typeof this.jwt === "function" ? await this.jwt() : this.jwt;
      if (jwt) this.own(jwt);
      else if (!this.adopted) this.adopt("visitor");
      const who = jwt ? { jwt } : { session: store.get("session") };
      return { t: "hello", v: 1, ...who, after: this.last, poll };
    }

    own(jwt) { // lines that wait belong to whoever wrote them, not to who signs in next
      let subject = "user";
      try { subject = String(JSON.parse(atob(jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).sub); } catch { /* the hub will say */ }
      this.adopt("user:" + subject);
    }

    adopt(owner) {
      if (this.adopted === owner) return;
      this.owner = this.adopted = owner;
      for (const key of store.keys("line." + owner + ".")) {
        const kept = store.get(key);
        if (kept && kept.cid && !this.mine.has(kept.cid)) this.mine.set(kept.cid, { ...kept, state: "sending" });
      }
      view.show();
    }

    unacked() {
      return [...this.mine.values()].filter((one) => one.state === "sending" && one.text).slice(0, 20).map((one) => this.frame(one));
    }

    frame(one) {
      const { cid, text, form, token, page } = one;
      return { t: "msg", cid, text, ...(form && { form }), ...(token && { token }), ...(page && { page }) };
    }

    say(text, more) {
      const one = { cid: newCid(), text, state: "sending" };
      if (!this.introduced) {
        one.page = location.origin === base ? "" : (location.origin + location.pathname).slice(0, 1000);
        one.form = store.get("form") || undefined;
        one.token = this.token || undefined;
        this.introduced = true;
      }
      Object.assign(one, more);
      one.key = "line." + (this.owner || "nobody") + "." + one.cid;
      store.set(one.key, one);
      this.mine.set(one.cid, one);
      this.link.send(this.frame(one));
      view.show();
    }

    attach(file) {
      const one = { cid: newCid(), file, name: file.name, state: "sending", tries: 0 };
      if (!this.introduced) one.form = store.get("form") || undefined;
      this.mine.set(one.cid, one);
      this.askFor(one);
      view.show();
    }

    askFor(one) {
      const { name, type, size } = one.file;
      const asked = { t: "file", cid: one.cid, name: name.slice(-255), type: (type || "application/octet-stream").slice(0, 255), size };
      this.link.send({ ...asked, ...(one.form && { form: one.form }) });
    }

    async upload(one, ticket) {
      if (one.uploading) return;
      one.uploading = true;
      let status = 0;
      try {
        const headers = { "X-Ticket": ticket, "Content-Type": "application/octet-stream" };
        const asked = { method: "POST", body: one.file, headers, credentials: "omit" };
        status = (await fetch(base + "/in/" + CONFIG.instance + "/upload", asked)).status;
      } catch { /* tried again */ }
      one.uploading = false;
      if (status === 200) one.state = one.state === "sending" ? "kept" : one.state;
      else if (++one.tries < 3) setTimeout(() => this.askFor(one), 2000 * one.tries);
      else one.state = "failed";
      view.show();
    }

    took(frame) {
      const one = this.mine.get(frame.cid);
      if (frame.t === "ready") this.begin(frame);
      else if (frame.t === "ack") {
        if (one) { one.state = "kept"; store.drop(one.key); }
        if (one && one.token) this.token = "";
      } else if (frame.t === "line") this.add(frame);
      else if (frame.t === "seen") this.confirm(frame);
      else if (frame.t === "ticket" && one && one.file && one.state === "sending") this.upload(one, frame.ticket);
      else if (frame.t === "refused" && one) {
        one.state = "failed";
        one.why = frame.why;
        if (one.key) store.drop(one.key);
      } else if (frame.t === "typing") view.typing();
      if (frame.t !== "typing" && frame.t !== "pong") view.show();
    }

    begin(frame) {
      if (frame.session) store.set("session", frame.session);
      this.notices = frame.notices;
      this.maxFile = frame.max_file;
      const before = this.conv;
      this.conv = frame.conv;
      if (before !== null && before !== frame.conv && this.last) { // another conversation: from its first line on
        this.last = 0;
        this.lines = [];
        return this.link.restart();
      }
      this.online = true;
      if (!this.link.polling) for (const one of this.mine.values()) if (one.state === "sending" && one.text) this.link.send(this.frame(one));
      for (const one of this.mine.values()) if (one.state === "sending" && one.file && !one.uploading) this.askFor(one);
      this.marked = "";
      this.mark();
    }

    add(line) {
      if (line.seq <= this.last) return; // it came on two ways
      if (line.seq > this.last + 1) return this.link.restart(); // never a gap: from the last good one again
      this.last = line.seq;
      this.online = true;
      this.lines.push(line);
      this.mine.delete(line.cid);
      if (line.from === "desk") { view.arrived(line); this.mark(); }
    }

    mark() {
      clearTimeout(this.marking);
      this.marking = setTimeout(() => {
        const line = this.lines.findLast((each) => each.from === "desk");
        if (!line || !this.online) return;
        const state = view.opened && !document.hidden ? "read" : "delivered";
        const known = this.seen();
        if (Math.max(known[state], known.read) >= line.seq || this.marked === state + line.seq) return;
        this.marked = state + line.seq;
        this.link.send({ t: "seen", state, seq: line.seq, at: line.at });
      }, 200);
    }

    seen() { // up to where the hub knows it, from whatever window
      const known = store.get("seen");
      return known && known.conv === this.conv ? known : { conv: this.conv, delivered: 0, read: 0 };
    }

    confirm(frame) {
      const known = this.seen();
      store.set("seen", { ...known, [frame.state]: Math.max(known[frame.state], frame.seq) });
    }

    unread() {
      const { read } = this.seen();
      return this.lines.filter((line) => line.from === "desk" && line.seq > read).length;
    }

    lost(code) {
      this.online = false;
      this.refused = code === 4403;
      if (code === 4401 && !this.jwt) { // the session is over: a new conversation
        store.drop("session");
        this.last = 0;
        this.lines = [];
      }
      view.show();
    }

    forget() {
      for (const key of store.keys("")) store.drop(key);
      this.reset();
      this.adopted = null;
      this.link.restart();
      view.show();
    }

    signIn(jwt) {
      this.jwt = jwt || null;
      this.reset();
      this.adopted = null;
      this.link.stopped = false;
      this.link.restart();
      view.show();
    }
  }

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
})();
