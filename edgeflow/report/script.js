"use strict";
// The page's language: English as written, Chinese from data-zh; at first the reader's own, then by the button.
(() => {
  const button = document.getElementById("language");
  if (!button) return;
  const names = ["aria-label", "placeholder", "data-count"];
  const swap = () => {
    for (const e of document.querySelectorAll("[data-zh]")) [e.textContent, e.dataset.zh] = [e.dataset.zh, e.textContent];
    for (const name of names) {
      for (const e of document.querySelectorAll(`[data-zh-${name}]`)) {
        const now = e.getAttribute(name);
        e.setAttribute(name, e.getAttribute(`data-zh-${name}`));
        e.setAttribute(`data-zh-${name}`, now);
      }
    }
    const zh = document.documentElement.lang === "en";
    document.documentElement.lang = zh ? "zh-CN" : "en";
    button.textContent = zh ? "English" : "中文";
    button.lang = zh ? "en" : "zh-CN";
    document.dispatchEvent(new Event("language"));
  };
  button.hidden = false;
  button.addEventListener("click", swap);
  if (/^zh\b(?!-(tw|hk|mo|hant))/i.test(navigator.language)) swap();
})();

// A link into a folded section unfolds it.
(() => {
  const open = () => {
    let e = null;
    try { e = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { return; }
    if (!e) return;
    e.querySelector(":scope > details")?.setAttribute("open", "");
    for (let up = e.parentElement; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    e.scrollIntoView();
  };
  addEventListener("hashchange", open);
  document.querySelectorAll("nav a, a[href^='#op-']").forEach((link) => link.addEventListener("click", () => {
    if (link.getAttribute("href") === location.hash) open();
  }));
  if (location.hash) open();
  else if (matchMedia("(max-width: 44rem)").matches) { // a phone: what needs room folds too
    document.querySelectorAll("#outputs > details, #network > details, #statistics > details").forEach((e) => { e.open = false; });
  }
})();

// The network: drag to move, wheel with Ctrl or two fingers to zoom, search, choose what colours mean.
(() => {
  const figure = document.getElementById("network-picture");
  if (!figure) return;
  const get = (id) => document.getElementById(id);
  const [form, pane, by, text, count, told] = ["form", "pane", "by", "text", "count", "told"].map((id) => get(`network-${id}`));
  const svg = pane.querySelector("svg");
  const whole = svg.viewBox.baseVal, [W, H] = [whole.width, whole.height];
  const ops = Array.from(svg.querySelectorAll(".op"), (g) => ({ g, said: g.querySelector("title").textContent, rect: g.querySelector("rect") }));
  const view = { x: 0, y: 0, w: W, h: H };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const show = () => {
    view.x = clamp(view.x, -view.w / 2, W - view.w / 2);
    view.y = clamp(view.y, -view.h / 2, H - view.h / 2);
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
  };
  const zoom = (factor, x, y) => { // x, y: the point of the picture that stays where it is
    const w = clamp(view.w * factor, 220, W * 1.5), f = w / view.w;
    view.x = x - (x - view.x) * f; view.y = y - (y - view.y) * f;
    view.w = w; view.h *= f;
    show();
  };
  const all = () => { Object.assign(view, { x: 0, y: 0, w: W, h: H }); show(); };
  const scale = () => { const r = svg.getBoundingClientRect(); return Math.max(view.w / r.width, view.h / r.height); };
  const point = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  const middle = () => [view.x + view.w / 2, view.y + view.h / 2];
  const go = (op) => { // to a box, at a size that can be read
    const [x, y] = [op.rect.x.baseVal.value + 66, op.rect.y.baseVal.value + 14];
    const r = svg.getBoundingClientRect(), w = Math.min(view.w, Math.max(r.width, 500));
    view.h *= w / view.w; view.w = w; view.x = x - w / 2; view.y = y - view.h / 2;
    show();
  };
  const choose = (op) => {
    ops.forEach((other) => other.g.classList.toggle("chosen", other === op));
    told.replaceChildren(op.said);
    if (get(`op-${op.g.dataset.op}`)) {
      const link = document.createElement("a");
      link.href = `#op-${op.g.dataset.op}`;
      link.textContent = "↓";
      told.append(" ", link);
    }
  };

  const fingers = new Map();
  let moved = 0;
  pane.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    moved = 0;
  });
  pane.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const s = scale(), others = [...fingers.values()].filter((f) => f.pointerId !== event.pointerId);
    if (others.length) {
      const span = (one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY) || 1;
      const p = point({ clientX: (event.clientX + others[0].clientX) / 2, clientY: (event.clientY + others[0].clientY) / 2 });
      zoom(span(before) / span(event), p.x, p.y);
    } else {
      view.x -= (event.clientX - before.clientX) * s;
      view.y -= (event.clientY - before.clientY) * s;
      show();
    }
    moved += Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY);
    if (moved > 4 && !pane.hasPointerCapture(event.pointerId)) pane.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) pane.addEventListener(end, (event) => fingers.delete(event.pointerId));
  pane.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== pane) return; // the page scrolls on
    event.preventDefault();
    const p = point(event);
    zoom(event.deltaY < 0 ? 0.8 : 1.25, p.x, p.y);
  }, { passive: false });
  pane.addEventListener("click", (event) => {
    const g = event.target.closest(".op");
    if (event.target.closest("a")) event.preventDefault();
    if (g && moved <= 4) choose(ops.find((op) => op.g === g));
  });
  const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  pane.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (keys[event.key]) { view.x += keys[event.key][0] * view.w / 8; view.y += keys[event.key][1] * view.h / 8; show(); }
    else if (event.key === "+" || event.key === "=") zoom(0.8, ...middle());
    else if (event.key === "-") zoom(1.25, ...middle());
    else if (event.key === "0") all();
    else return;
    event.preventDefault();
  });
  get("network-in").addEventListener("click", () => zoom(0.7, ...middle()));
  get("network-out").addEventListener("click", () => zoom(1.4, ...middle()));
  get("network-all").addEventListener("click", all);
  by.addEventListener("change", () => { figure.dataset.by = by.value; });
  let found = [], next = 0;
  text.addEventListener("input", () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = words.length ? ops.filter((op) => words.every((word) => op.said.toLowerCase().includes(word))) : [];
    const hit = new Set(found);
    svg.classList.toggle("searched", words.length > 0);
    ops.forEach((op) => op.g.classList.toggle("hit", hit.has(op)));
    count.value = words.length ? `${found.length} / ${ops.length}` : "";
    next = 0;
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!found.length) return;
    go(found[next % found.length]);
    choose(found[next++ % found.length]);
  });
  form.hidden = false;
})();

// The table of layers: sort by a click on its headers, filter by text, place and reason. Without it the page still says everything.
(() => {
  const table = document.getElementById("layers-table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, text: row.textContent.toLowerCase(), keys: Array.from(row.cells, (c) => c.dataset.v) }));
  const heads = Array.from(table.tHead.rows[0].cells);
  const get = (id) => document.getElementById(id);
  const [form, text, place, reason, count] = ["layers-filter", "filter-text", "filter-place", "filter-reason", "filter-count"].map(get);

  const compare = (a, b) => {
    const x = Number(a), y = Number(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x === y ? 0 : x < y ? -1 : 1;
  };

  const sort = (column) => {
    const up = heads[column].getAttribute("aria-sort") !== "ascending";
    heads.forEach((head, i) => (i === column ? head.setAttribute("aria-sort", up ? "ascending" : "descending") : head.removeAttribute("aria-sort")));
    rows.sort((a, b) => {
      const [x, y] = [a.keys[column], b.keys[column]];
      if (!x || !y) return x ? -1 : y ? 1 : 0; // cells without a value stay at the end, whichever way it goes
      return up ? compare(x, y) : compare(y, x);
    });
    body.append(...rows.map((item) => item.row));
  };

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { row, text: held } of rows) {
      row.hidden = !((!place.value || row.dataset.place === place.value) && (!reason.checked || "reason" in row.dataset)
        && words.every((word) => held.includes(word)));
      if (!row.hidden) shown += 1;
    }
    const said = count.dataset.count.replace("{shown}", shown).replace("{all}", rows.length);
    count.value = shown === rows.length ? said.replace(/^\S+ (of \S+ )?(?=layers)/, `${shown} `) : said;
  };

  heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => sort(i)));
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("language", filter);
  // A dot of the plot leads to its row; a filter that hides the row gives way.
  document.querySelectorAll("a[href^='#op-']").forEach((link) => link.addEventListener("click", () => {
    if (get(link.getAttribute("href").slice(1))?.hidden) {
      form.reset();
      filter();
    }
  }));
  form.hidden = false;
  filter();
})();
