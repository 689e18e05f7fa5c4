"use strict";
(() => {
  const root = document.documentElement;
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const table = one(".ledger"), claims = all(".claim", table), papers = all(".paper", table);
  const search = one("#q"), count = one("#count"), hits = one("#hits"), help = one("#help");
  root.classList.add("js");

  // What is searched: the rows, and the sentences of the reports.
  const plain = (text) => text.normalize("NFKC").toLowerCase().replace(/−/g, "-").replace(/\s+/g, " ");
  const rows = claims.map((row) => ({ row, text: plain(row.textContent), details: one("details", row) }));
  const passages = all(".find").map((element, number) => {
    if (!element.id) element.id = "passage-" + number;
    const section = element.closest(".finding, .learnt");
    const heading = section ? one("h4", section).textContent : "Summary";
    return { element, text: plain(element.textContent), place: element.closest(".report").id + ": " + heading };
  });

  // State: words, filters by group, order. It stands in the address after "#?".
  const filters = all(".filter");
  const state = { q: "", v: new Set(), p: new Set(), k: new Set(), s: "o", d: 1 };
  const isPlain = () => !state.q && !state.v.size && !state.p.size && !state.k.size;
  const write = () => {
    const out = new URLSearchParams();
    if (state.q) out.set("q", state.q);
    for (const group of ["v", "p", "k"]) if (state[group].size) out.set(group, [...state[group]].join(","));
    if (state.s !== "o" || state.d !== 1) out.set("s", (state.d < 0 ? "-" : "") + state.s);
    const text = out.toString();
    history.replaceState(null, "", text ? "#?" + text : location.pathname + location.search);
  };
  const read = () => {
    const from = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
    state.q = from.get("q") ?? "";
    for (const group of ["v", "p", "k"]) {
      const known = new Set(filters.filter((filter) => filter.dataset.f === group).map((filter) => filter.dataset.x));
      state[group] = new Set((from.get(group) ?? "").split(",").filter((value) => known.has(value)));
    }
    const order = from.get("s") ?? "o", key = order.replace("-", "");
    [state.s, state.d] = ["o", "e", "r", "c"].includes(key) ? [key, order.startsWith("-") ? -1 : 1] : ["o", 1];
    search.value = state.q;
  };

  const show = () => {
    const words = plain(state.q).split(" ").filter(Boolean);
    let shown = 0;
    for (const { row, text } of rows) {
      const data = row.dataset;
      const fits = ["v", "p", "k"].every((group) => !state[group].size || state[group].has(data[group]));
      row.hidden = !(fits && words.every((word) => text.includes(word)));
      if (!row.hidden) shown++;
    }
    for (const paper of papers) paper.hidden = !claims.some((row) => !row.hidden && row.dataset.p === paper.dataset.p);
    for (const filter of filters) filter.setAttribute("aria-pressed", state[filter.dataset.f].has(filter.dataset.x));
    count.textContent = `${shown} of ${claims.length} claims`;
    one("#nothing").hidden = shown > 0;
    one("#clear").hidden = isPlain();
    showHits(words);
    mark(words);
  };
  const showHits = (words) => {
    const found = words.length ? passages.filter(({ text }) => words.every((word) => text.includes(word))) : [];
    hits.hidden = !found.length;
    hits.replaceChildren();
    if (!found.length) return;
    const list = document.createElement("ul");
    for (const { element, text, place } of found.slice(0, 40)) {
      const link = document.createElement("a"), item = document.createElement("li");
      const at = Math.max(0, text.indexOf(words[0]) - 40);
      link.href = "#" + element.id;
      link.textContent = place;
      item.append(link, ` ${at ? "…" : ""}${text.slice(at, at + 120)}…`);
      list.append(item);
    }
    const more = found.length > 40 ? `, the first 40 of ${found.length}` : "";
    hits.append(`Found in the reports too${more}:`, list);
  };
  const mark = (words) => {
    if (!window.Highlight || !CSS.highlights) return;
    CSS.highlights.delete("found");
    const long = words.filter((word) => word.length > 1);
    if (!long.length) return;
    const ranges = [];
    for (const { row } of rows) {
      if (row.hidden) continue;
      const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node && ranges.length < 3000; node = walker.nextNode()) {
        const text = node.data.toLowerCase();
        for (const word of long) for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
          const range = new Range();
          range.setStart(node, at);
          range.setEnd(node, Math.min(at + word.length, node.length));
          ranges.push(range);
        }
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  };
  const sort = () => {
    const value = (row) => { const text = row.dataset[state.s]; return text === "" ? null : Number(text); };
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null) || a.dataset.o - b.dataset.o;
      return state.d * (x - y) || a.dataset.o - b.dataset.o;
    };
    const natural = state.s === "o" && state.d === 1;
    table.classList.toggle("sorted", !natural);
    const sorted = [...claims].sort(order);
    if (natural) for (const paper of papers) table.append(paper, ...sorted.filter((row) => row.dataset.p === paper.dataset.p));
    else table.append(...papers, ...sorted);
    for (const button of all("thead button", table)) {
      const head = button.closest("th");
      if (button.dataset.s === state.s) head.setAttribute("aria-sort", state.d > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
  };
  const update = () => { write(); show(); };
  const clear = () => {
    state.q = search.value = "";
    for (const group of ["v", "p", "k"]) state[group].clear();
    update();
  };

  // The element that the address names, made visible.
  const go = () => {
    let target;
    try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { return; }
    if (!target) return;
    const row = target.closest(".claim");
    if (row?.hidden) { const hash = location.hash; clear(); history.replaceState(null, "", hash); }
    for (let inside = target.closest("details"); inside; inside = inside.parentElement.closest("details")) inside.open = true;
    const fold = row && one("details", row);
    if (fold) { fold.open = true; one("summary", fold).focus({ preventScroll: true }); }
    target.scrollIntoView({ block: "start" });
  };

  search.addEventListener("input", () => { state.q = search.value.trim(); update(); });
  one("#tools").addEventListener("submit", (event) => event.preventDefault());
  for (const filter of filters) filter.addEventListener("click", () => {
    const group = state[filter.dataset.f];
    if (!group.delete(filter.dataset.x)) group.add(filter.dataset.x);
    update();
  });
  for (const button of all("thead button", table)) button.addEventListener("click", () => {
    state.d = state.s === button.dataset.s ? -state.d : button.dataset.s === "o" ? 1 : button.dataset.s === "e" ? -1 : 1;
    state.s = button.dataset.s;
    write();
    sort();
  });
  one("#clear").addEventListener("click", () => { clear(); search.focus(); });
  one("#clear-too").addEventListener("click", () => { clear(); search.focus(); });
  one("#unfold").addEventListener("click", (event) => {
    const open = event.target.getAttribute("aria-pressed") !== "true";
    event.target.setAttribute("aria-pressed", open);
    event.target.textContent = open ? "Fold all" : "Unfold all";
    for (const { row, details } of rows) if (!open || !row.hidden) details.open = open;
  });
  table.addEventListener("click", (event) => {
    const head = event.target.closest(".claim > tr:first-child");
    if (!head || event.target.closest("a, button, code") || String(getSelection())) return;
    const details = one("details", head.parentElement);
    details.open = !details.open;
  });
  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#?")) { read(); sort(); show(); one("#ledger").scrollIntoView(); } else go();
  });

  // Keys.
  const step = (by) => {
    const visible = all(".claim", table).filter((row) => !row.hidden);
    if (!visible.length) return;
    const at = visible.indexOf(document.activeElement.closest?.(".claim"));
    const next = visible[at < 0 ? (by > 0 ? 0 : visible.length - 1) : Math.min(visible.length - 1, Math.max(0, at + by))];
    one("summary", next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  const escape = (event) => {
    const details = document.activeElement.closest?.("details[open]");
    if (document.activeElement === search) {
      if (search.value) { event.preventDefault(); state.q = search.value = ""; update(); } else search.blur();
    } else if (details) {
      details.open = false;
      one("summary", details).focus();
    } else clear();
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
    if (event.key === "Escape") return escape(event);
    if (event.target.closest("input, textarea, select")) return;
    const action = { "/": () => { search.focus(); search.select(); }, j: () => step(1), k: () => step(-1), "?": () => help.showModal() }[event.key];
    if (action) { event.preventDefault(); action(); }
  });
  one("#help-open").addEventListener("click", () => help.showModal());

  // Colours: as the system, or as chosen here.
  const themes = ["", "dark", "light"], theme = one("#theme");
  const paint = (name) => {
    if (name) root.dataset.theme = name; else delete root.dataset.theme;
    theme.textContent = "Colours: " + (name || "as the system");
  };
  const stored = (name) => { try { if (name === undefined) return localStorage.getItem("theme") ?? ""; localStorage.setItem("theme", name); } catch { return ""; } };
  paint(themes.includes(stored()) ? stored() : "");
  theme.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme ?? "") + 1) % themes.length];
    stored(next);
    paint(next);
  });

  // Paper has no folds.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of folded) details.open = false; });

  for (const block of navigator.clipboard ? all("pre.cmd") : []) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy the command";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(one("code", block).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy the command"; }, 1500);
    });
    block.after(button);
  }

  read();
  sort();
  show();
  if (location.hash.startsWith("#?")) one("#ledger").scrollIntoView();
  else if (location.hash) {
    go();
    // The browser's own way to the address, at the end of loading, takes the focus away.
    addEventListener("load", () => setTimeout(() => { if (document.activeElement === document.body) go(); }));
  }
})();
