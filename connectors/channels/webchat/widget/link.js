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

// Half of a surrogate pair, as text has it that was cut in the middle of a sign, is nothing that the hub can read.
const encode = (frame) => JSON.stringify(frame, (_, value) => (typeof value === "string" ? value.replace(/\p{Cs}/gu, "\ufffd") : value));

// ---- the connection ------------------------------------------------------------------------------------

const RETRY_SOCKET = 120000; // ms; where plain HTTP gets through and sockets do not, they are tried again so often
class Link {
  constructor(chat) {
    this.chat = chat;
    this.failures = 0;
    this.rest = 0; // ms that the hub told us to wait: too much came from this address
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
    socket.onopen = async () => socket.send(encode(await this.chat.hello(false)));
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
        const lines = this.chat.unacked();
        const frames = [hello, ...lines, ...going].map(encode);
        const asked = { method: "POST", body: JSON.stringify(frames), credentials: "omit", signal: this.abort.signal };
        let answer;
        try { answer = await fetch(base + "/ws/" + CONFIG.instance, asked); } catch (error) {
          this.passing.unshift(...going.filter((frame) => frame.t !== "typing"));
          if (this.again) { this.again = false; continue; }
          throw error;
        }
        if (!answer.ok) {
          this.rest = 1000 * Math.min(120, Number(answer.headers.get("Retry-After")) || 0);
          throw new Error("HTTP " + answer.status);
        }
        const said = await answer.json();
        this.greeted = true;
        for (const each of said.frames) this.chat.took(JSON.parse(each));
        code = said.code;
        const left = new Set(this.chat.unacked().map((one) => one.cid));
        if (lines.length && lines.every((one) => left.has(one.cid))) throw new Error("nothing of it was taken"); // not at once again
        this.failures = 0;
      }
    } catch { code = code || 1006; }
    this.polling = this.ready = this.greeted = false;
    this.ended(code);
  }

  send(frame) {
    if (this.socket && this.ready) this.socket.send(encode(frame));
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
    this.timer = setTimeout(() => this.start(), Math.max(pause, this.rest * (1 + Math.random() / 4)));
    this.rest = 0;
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
