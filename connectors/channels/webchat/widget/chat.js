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
    this.link.send({ t: "file", cid: one.cid, name: name.slice(-255), type: (type || "application/octet-stream").slice(0, 255), size });
  }

  async upload(one, ticket) {
    if (one.uploading) return;
    one.uploading = true;
    let status = 0;
    try {
      const headers = { "X-Ticket": ticket, "Content-Type": "application/octet-stream" };
      const body = one.form ? new Blob([one.file, encode(one.form)]) : one.file;
      const asked = { method: "POST", body, headers, credentials: "omit" };
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
    if (before === frame.conv && frame.seq < this.last) { // the hub has lost the end: its store is an older copy
      this.last = frame.seq;
      this.lines = this.lines.filter((line) => line.seq <= frame.seq);
    }
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
