// Making elements. Text goes in as text, never as markup.

/** An element with attributes (`on` are listeners) and children: elements, texts, or nothing. */
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

/** A place or another piece of code. A break is allowed after each slash, so that long paths wrap. */
function code(text) {
  const parts = text.split(/(?<=[/\\])/);
  return make("code", {}, parts.flatMap((part, at) => (at === 0 ? [part] : [make("wbr"), part])));
}

/** A table with a header. Columns: `{ title, number, cell(row), value(row) }`; a `value` makes the column sortable. */
function table(element, caption, columns, rows, order) {
  const state = order ?? { column: -1, down: true };
  const sorted = [...rows];
  const by = columns[state.column]?.value;
  if (by) {
    const sign = state.down ? -1 : 1;
    sorted.sort((a, b) => sign * compare(by(a), by(b)));
  }
  const head = columns.map((column, at) => {
    const isSorted = at === state.column;
    const title = column.value
      ? make(
          "button",
          {
            type: "button",
            class: "sort",
            on: {
              click: () => {
                const down = isSorted ? !state.down : column.number === true;
                table(element, caption, columns, rows, { column: at, down });
                element.querySelectorAll("thead button.sort").forEach((button) => {
                  if (button.textContent.startsWith(column.title)) button.focus();
                });
              },
            },
          },
          column.title,
          make("span", { "aria-hidden": "true" }, isSorted ? (state.down ? " ↓" : " ↑") : ""),
        )
      : column.title;
    const sort = isSorted ? (state.down ? "descending" : "ascending") : null;
    return make("th", { role: "columnheader", class: column.number && "number", "aria-sort": sort }, title);
  });
  const body = sorted.map((row) =>
    make("tr", { role: "row" }, columns.map((column, at) =>
      make(at === 0 ? "th" : "td", { role: at === 0 ? "rowheader" : "cell", class: column.number && "number" }, column.cell(row)))),
  );
  element.replaceChildren(
    make("caption", { class: "hidden" }, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, head)),
    make("tbody", { role: "rowgroup" }, body),
  );
  // A narrow window lays some tables out as blocks. The roles say that they are tables all the same.
  element.setAttribute("role", "table");
}

function compare(a, b) {
  return typeof a === "string" ? a.localeCompare(b) : a - b;
}
