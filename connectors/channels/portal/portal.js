/* Help articles that may answer what is being typed. Without it the form and the search of help work alike. */
"use strict";
for (const form of document.querySelectorAll("form[data-watch]")) {
  const place = form.querySelector("[data-suggest]");
  const fields = [...form.querySelectorAll("#subject, #message")];
  let timer, asked = "", shown = "";
  const show = (found) => {
    const key = JSON.stringify(found);
    if (key === shown) return; /* a screen reader hears only what is new */
    shown = key;
    place.replaceChildren();
    if (!found.length) return;
    const title = document.createElement("p");
    title.className = "small";
    title.append(Object.assign(document.createElement("strong"), { textContent: place.dataset.title }));
    const list = document.createElement("ul");
    for (const one of found) {
      const link = Object.assign(document.createElement("a"), { href: one.href, target: "_blank", rel: "noopener" });
      link.append(one.title, Object.assign(document.createElement("span"), { className: "hidden", textContent: ` (${place.dataset.window})` }));
      const item = document.createElement("li");
      item.append(link, Object.assign(document.createElement("p"), { className: "small muted", textContent: one.text }));
      list.append(item);
    }
    place.append(title, list);
  };
  const ask = async () => {
    const words = fields.map((each) => each.value).join(" ").trim().slice(-1000);
    if (words === asked) return;
    asked = words;
    if (words.length < 3) return show([]);
    try {
      const answer = await fetch(`${place.dataset.suggest}?q=${encodeURIComponent(words)}`);
      if (answer.ok && words === asked) show(await answer.json());
    } catch { /* suggestions are extra: the form works on */ }
  };
  form.addEventListener("input", (event) => {
    if (!fields.includes(event.target)) return;
    clearTimeout(timer);
    timer = setTimeout(ask, 400);
  });
}
