"use strict";
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
    count.value = shown === rows.length ? `${shown} layers` : `${shown} of ${rows.length} layers`;
  };

  heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => sort(i)));
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
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
