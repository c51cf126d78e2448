// The chat widget: one script, no framework, nothing from elsewhere. Its frames are described in frames.py.
// A line is kept in this browser until the hub says that it is on disk; lines of the conversation come by number,
// without gaps, so a lost connection loses and doubles nothing. Everything that others wrote is shown as text only.
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
    unreadable: "it could not be read",
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
    unreadable: "das war nicht zu lesen",
    message: "Neue Nachricht vom Servicedesk", attached: "Datei",
  },
};
const spoken = CONFIG.language || script.dataset.language || document.documentElement.lang || "en";
const language = spoken.slice(0, 2).toLowerCase() in WORDS ? spoken.slice(0, 2).toLowerCase() : "en";
const words = WORDS[language];
