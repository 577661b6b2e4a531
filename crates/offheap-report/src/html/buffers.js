// The stores: a filter, and rows of which only those in sight exist. Each row has the store's bar in time.

const filter = { text: "", site: "", engine: "", state: "", process: -1, least: 0, order: "interest" };
const grid = { rows: [], active: 0, first: -1, last: -1, elements: new Map() };

const ORDERS = {
  interest: ["errors and leaks first", (a, b) => interest(b) - interest(a) || b.bytes * b.weight - a.bytes * a.weight || a.from - b.from],
  bytes: ["largest first", (a, b) => b.bytes * b.weight - a.bytes * a.weight || a.from - b.from],
  life: ["longest lived first", (a, b) => b.to - b.from - (a.to - a.from) || a.from - b.from],
  time: ["in order of time", (a, b) => a.from - b.from],
};

function interest(store) {
  return (store.error ? 8 : 0) + (store.state === "leaked" ? 4 : store.state === "live" ? 2 : 0);
}

function startFilter() {
  const changed = (name, read) => (event) => {
    filter[name] = read ? read(event.target.value) : event.target.value;
    applyFilter();
  };
  const option = (value, text) => make("option", { value }, text);
  const select = (name, label, options, read) =>
    make("label", {}, make("span", {}, label), make("select", { name, on: { change: changed(name, read) } }, options));
  const unique = (values) => [...new Set(values)].sort();
  const sites = unique(stores.map((store) => store.site)).slice(0, 1000);
  const sizes = [0, 1, 4, 64, 1024, 16 * 1024, 256 * 1024].map((kib) => kib * 1024);
  byId("filter").append(
    make("label", { class: "wide" }, make("span", {}, "Search"),
      make("input", { type: "search", name: "text", placeholder: "place, function, label, number", autocomplete: "off", on: { input: changed("text") } })),
    select("state", "State", [option("", "all"), option("error", "with errors"), ...STATES.filter((state) => stores.some((it) => it.state === state)).map((state) => option(state, STATE_TEXT[state].toLowerCase()))]),
    select("site", "Place", [option("", "all"), ...sites.map((site) => option(site, shortPlace(site)))]),
    select("engine", "Engine", [option("", "all"), ...unique(stores.map((it) => it.engineText)).map((name) => option(name, name))]),
    select("least", "Size", sizes.map((size) => option(size, size === 0 ? "all" : `≥ ${bytes(size)}`)), Number),
    select("order", "Order", Object.entries(ORDERS).map(([name, [text]]) => option(name, text))),
    make("button", { type: "reset" }, "Clear"),
  );
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("reset", () => {
    Object.assign(filter, { text: "", site: "", engine: "", state: "", least: 0, order: "interest" });
    applyFilter();
  });
}

/** Filters by these, and by nothing else; goes to the rows. */
function showOnly(wanted) {
  byId("filter").reset();
  for (const [name, value] of Object.entries(wanted)) {
    filter[name] = value;
    byId("filter").elements[name].value = value;
  }
  applyFilter();
  byId("stores").scrollIntoView({ block: "start" });
  focusRow(0);
}

function applyFilter() {
  const words = filter.text.toLowerCase().split(/\s+/).filter((part) => part !== "");
  const isZoomed = chart.from > 0 || chart.to < endOfTime;
  const matches = (store) =>
    (filter.process < 0 || store.process === filter.process) &&
    (filter.state === "" || (filter.state === "error" ? store.error === true : store.state === filter.state)) &&
    (filter.site === "" || store.site === filter.site) &&
    (filter.engine === "" || store.engineText === filter.engine) &&
    store.bytes >= filter.least &&
    (!isZoomed || (store.from <= chart.to && store.to >= chart.from)) &&
    words.every((part) => searchText(store).includes(part));
  grid.rows = stores.filter(matches).sort(ORDERS[filter.order][1]);
  grid.active = 0;
  const shown = grid.rows.reduce((all, store) => all + store.bytes * store.weight, 0);
  const hidden = data.stores_in_all - stores.length;
  const what = grid.rows.length === stores.length ? counted(stores.length, "store") : `${count(grid.rows.length)} of ${counted(stores.length, "store")}`;
  byId("stores-count").textContent = `${what}, ${about(bytes(shown))}${hidden > 0 ? `; ${count(hidden)} more in the totals only` : ""}`;
  byId("axis-from").textContent = time(chart.from);
  byId("axis-to").textContent = time(chart.to);
  byId("grid").querySelector(".rows").scrollTop = 0;
  layRows();
}

const COLUMNS = ["State", "Store", "Size", "Made at", "Engine", "From allocation to free"];

function startGrid() {
  const spacer = make("div", { class: "spacer", role: "rowgroup" });
  const rows = make("div", { class: "rows", on: { scroll: showRows, keydown: onRowKey } }, spacer);
  const head = make("div", { class: "row head", role: "row", "aria-rowindex": "1" },
    COLUMNS.map((title) => make("div", { role: "columnheader" }, title)));
  head.lastElementChild.replaceChildren(make("span", { id: "axis-from" }), make("span", { id: "axis-name" }, COLUMNS.at(-1)), make("span", { id: "axis-to" }));
  byId("grid").append(make("div", {
    class: "grid", role: "grid", "aria-label": "Stores. Enter opens one.", "aria-colcount": String(COLUMNS.length),
  }, make("div", { role: "rowgroup" }, head), rows));
  const marks = [["take", "exposed, externalized, referenced"], ["leave", "released, dropped"], ["move", "detached, transferred, resized"], ["refused", "refused"]];
  byId("marks").append(...marks.map(([kind, text]) => make("li", {}, make("i", { class: `mark ${kind}` }), text)));
  new ResizeObserver(layRows).observe(rows);
}

/** The height of a row is the style's. */
function rowHeight() {
  return parseFloat(getComputedStyle(byId("grid")).getPropertyValue("--row")) || 30;
}

function layRows() {
  const box = byId("grid").querySelector(".rows");
  const spacer = box.firstElementChild;
  const hadFocus = spacer.contains(document.activeElement);
  spacer.style.height = `${Math.max(1, grid.rows.length) * rowHeight()}px`;
  byId("grid").firstElementChild.setAttribute("aria-rowcount", String(grid.rows.length + 1));
  spacer.replaceChildren();
  grid.elements.clear();
  if (grid.rows.length === 0) {
    spacer.append(make("p", { class: "none" }, stores.length === 0 ? "There are no stores to show one by one." : "No store matches the filter."));
  }
  showRows();
  if (hadFocus) grid.elements.get(grid.active)?.focus({ preventScroll: true });
}

/** Makes the rows in sight, and the active one, which keeps the focus while the others scroll. */
function showRows() {
  const box = byId("grid").querySelector(".rows");
  const height = rowHeight();
  const first = Math.max(0, Math.floor(box.scrollTop / height) - 4);
  const last = Math.min(grid.rows.length - 1, Math.ceil((box.scrollTop + box.clientHeight) / height) + 4);
  const wanted = new Set();
  for (let at = first; at <= last; at += 1) wanted.add(at);
  if (grid.active < grid.rows.length) wanted.add(grid.active);
  for (const [at, element] of grid.elements) {
    if (!wanted.has(at)) {
      element.remove();
      grid.elements.delete(at);
    }
  }
  const spacer = box.firstElementChild;
  // Rows stay in their order in the document, which is the order in which they are read.
  let after = spacer.firstElementChild;
  for (const at of [...wanted].sort((a, b) => a - b)) {
    let element = grid.elements.get(at);
    if (element === undefined) {
      element = makeRow(at, height);
      grid.elements.set(at, element);
      spacer.insertBefore(element, after);
    } else {
      after = element.nextElementSibling;
    }
    element.tabIndex = at === grid.active ? 0 : -1;
    element.setAttribute("aria-selected", String(grid.rows[at].index === detail.shown));
  }
}

function makeRow(at, height) {
  const store = grid.rows[at];
  const cell = (name, ...children) => make("div", { role: "gridcell", class: name }, ...children);
  const life = `${time(store.from)} to ${store.died === undefined ? "the end" : time(store.to)}, ${counted(store.steps.length, "event")}`;
  const state = make("span", { class: `state ${store.state}` }, STATE_TEXT[store.state]);
  const row = make("div", {
    role: "row", class: `row${store.error ? " error" : ""}`, "aria-rowindex": String(at + 2),
    on: { click: () => { grid.active = at; openDetail(store); } },
  },
    cell("c-state", state, store.error && make("span", { class: "tag" }, "error")),
    cell("c-store", store.store), cell("c-size", about(bytes(store.bytes * store.weight))),
    cell("c-place", make("code", { title: store.site }, store.site)), cell("c-engine", store.engineText),
    cell("c-bar", make("span", { class: "hidden" }, life), bar(store)));
  row.style.top = `${at * height}px`;
  return row;
}

const MARKS = { exposed: "take", externalized: "take", referenced: "take", released: "leave", dropped: "leave", static: "leave", refused: "refused" };

/** A bar from the store's making to its end, with a mark for each event. */
function bar(store) {
  const range = chart.to - chart.from;
  const across = (nanoseconds) => Math.max(0, Math.min(100, ((nanoseconds - chart.from) / range) * 100));
  const [from, to] = [across(store.from), across(store.to)];
  const svg = draw("svg", { class: "bar", "aria-hidden": "true" },
    draw("rect", { class: `life ${store.state}`, x: `${Math.min(from, 99.7)}%`, width: `${Math.max(0.3, to - from)}%`, y: 5, height: 10, rx: 1.5 }));
  for (const [kind, when] of store.steps) {
    const moment = when + offsets[store.process];
    if (moment < chart.from || moment > chart.to) continue;
    const mark = MARKS[data.kinds[kind]] ?? "move";
    svg.append(draw("rect", { class: `mark ${mark}`, x: `${Math.min(across(moment), 99.6)}%`, width: 2, y: mark === "refused" ? 1 : 3, height: mark === "refused" ? 18 : 14 }));
  }
  return svg;
}

function onRowKey(event) {
  const box = byId("grid").querySelector(".rows");
  const page = Math.max(1, Math.floor(box.clientHeight / rowHeight()) - 1);
  const last = grid.rows.length - 1;
  const moves = { ArrowDown: grid.active + 1, ArrowUp: grid.active - 1, PageDown: grid.active + page, PageUp: grid.active - page, Home: 0, End: last };
  if (event.key in moves) focusRow(Math.max(0, Math.min(last, moves[event.key])));
  else if ((event.key === "Enter" || event.key === " ") && grid.rows[grid.active]) openDetail(grid.rows[grid.active]);
  else return;
  event.preventDefault();
}

/** Makes a row the active one, brings it into sight, and focuses it. */
function focusRow(at) {
  if (at < 0 || at >= grid.rows.length) return;
  grid.active = at;
  const box = byId("grid").querySelector(".rows");
  const height = rowHeight();
  if (at * height < box.scrollTop) box.scrollTop = at * height;
  if ((at + 1) * height > box.scrollTop + box.clientHeight) box.scrollTop = (at + 1) * height - box.clientHeight;
  showRows();
  grid.elements.get(at)?.focus({ preventScroll: true });
}
