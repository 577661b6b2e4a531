// One store: what it is, who holds it, where it was made, and what happened to it.

const detail = { shown: -1, back: null };

function openDetail(store) {
  const panel = byId("detail");
  if (panel.hidden) detail.back = document.activeElement;
  detail.shown = store.index;
  const at = grid.rows.indexOf(store);
  if (at >= 0) grid.active = at;
  const move = (by) => () => {
    const next = grid.rows[at + by];
    if (next) openDetail(next);
  };
  const title = make("h2", { id: "detail-title", tabindex: "-1" }, `Store ${store.store}`);
  panel.replaceChildren(
    make("div", { class: "detail-head" }, title,
      make("div", { class: "buttons" },
        make("button", { type: "button", "aria-label": "Previous store", disabled: at <= 0, on: { click: move(-1) } }, "↑"),
        make("button", { type: "button", "aria-label": "Next store", disabled: at < 0 || at + 1 >= grid.rows.length, on: { click: move(1) } }, "↓"),
        make("button", { type: "button", "aria-label": "Close", on: { click: closeDetail } }, "✕"))),
    make("p", { class: "detail-state" }, make("span", { class: `state ${store.state}` }, stateSentence(store))),
    factsOf(store),
    ...holdersOf(store),
    ...errorsOf(store),
    make("h3", {}, "Made at"),
    make("p", {}, code(store.site), store.stack < 0 && store.site !== UNKNOWN_PLACE && make("span", { class: "quiet" }, " (no stack was told)")),
    ...(store.stack >= 0 ? [stackList(store.stack)] : []),
    make("h3", {}, "History"),
    historyOf(store),
  );
  panel.hidden = false;
  panel.scrollTop = 0;
  document.body.classList.add("has-detail");
  showRows();
  title.focus();
}

function closeDetail() {
  const panel = byId("detail");
  if (panel.hidden) return;
  panel.hidden = true;
  detail.shown = -1;
  document.body.classList.remove("has-detail");
  showRows();
  const row = grid.elements.get(grid.active);
  const back = detail.back?.isConnected && !detail.back.closest("#grid") && detail.back !== document.body ? detail.back : row;
  if (back === row) focusRow(grid.active);
  else back?.focus();
}

function stateSentence(store) {
  const sentences = {
    leaked: "Leaked: it lived when the process ended.",
    live: "Lived when the stream stopped.",
    static: "Meant to stay: the program declared it static.",
    freed: `Freed after ${time(store.to - store.from)}.`,
  };
  return sentences[store.state];
}

/** A list of names and values; those without a value are left out. */
function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", { class: "facts" }, known.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function factsOf(store) {
  return facts([
    ["Size", `${bytes(store.bytes)} (${count(store.bytes)} bytes)`],
    ["Stands for", store.weight !== 1 ? `about ${counted(store.weight, "store")}, ${bytes(store.bytes * store.weight)}` : null],
    ["Kind", store.kind],
    ["Engine", store.engineText],
    ["Thread", threadText(store.thread)],
    ["Process", data.processes.length > 1 ? processText(store.process) : null],
    ["From", time(store.born)],
    ["To", store.died === undefined ? null : time(store.died)],
    ...Object.entries(store.labels ?? {}).map(([name, text]) => [visible(name), visible(text)]),
  ]);
}

function holdersOf(store) {
  if (store.died !== undefined) return [];
  const held = store.holders;
  const heading = make("h3", {}, "Who holds it");
  if (!held) return [heading, make("p", { class: "quiet" }, "The stream does not tell.")];
  const items = held.buffers.map(([isolate, number, path, site]) =>
    make("li", {}, `${counted(number, "buffer")} in ${isolateText(isolate)}`, site !== "" && ", exposed at ", site !== "" && code(visible(site)),
      path.length > 0 && make("ol", { class: "path", "aria-label": "Path of objects from the global object" }, path.map((step) => make("li", {}, make("code", {}, visible(step)))))));
  for (const { reference, site, thread, time: when, from, to } of held.taken) {
    const part = from !== null && to !== null ? `, bytes ${count(from)} to ${count(to)}` : "";
    const who = threadText(thread);
    items.push(make("li", {}, `native code: reference ${reference}${part}, taken at `, code(place(site)),
      make("span", { class: "quiet" }, ` after ${time(when)}${who === null ? "" : ` on ${who}`}`)));
  }
  if (held.taken_in_all > held.taken.length) items.push(make("li", { class: "quiet" }, `${counted(held.taken_in_all - held.taken.length, "more reference")}`));
  if (held.taken_in_all === 0 && held.references) items.push(make("li", {}, `native code: ${counted(held.references, "reference")}`));
  if (held.readers) items.push(make("li", {}, `${counted(held.readers, "guard")} that read${held.readers === 1 ? "s" : ""} it`));
  if (held.writer) items.push(make("li", {}, "a guard that writes it"));
  if (held.weak) items.push(make("li", { class: "quiet" }, `${counted(held.weak, "weak handle")} (these do not keep it)`));
  if (items.length === 0) items.push(make("li", { class: "quiet" }, store.kind === "manual" ? "Nobody. It is freed by hand only." : "Nobody, as far as the stream tells."));
  return [heading, make("ul", { class: "holders" }, items)];
}

function errorsOf(store) {
  const errors = data.errors.filter((error) => error.store === store.store && error.process === store.process);
  if (errors.length === 0) return [];
  return [make("h3", {}, "Errors"), make("ul", { class: "plain" }, errors.map((error) =>
    make("li", {}, make("strong", { class: "tag" }, visible(error.code)), " ", visible(error.message))))];
}

function stackList(stack) {
  return make("ol", { class: "stack" }, data.stacks[stack].map((frame) => {
    const [name, site] = frameText(frame);
    return make("li", {}, make("span", {}, name), site !== "" && code(site));
  }));
}

function historyOf(store) {
  const rows = [[store.born, "made", store.thread, null, store.site, store.stack, `${bytes(store.bytes)}`]];
  const more = { resized: (number) => `to ${bytes(number)}`, referenced: (number) => `reference ${number}`, dropped: (number) => `reference ${number}` };
  for (const [kind, when, thread, isolate, site, stack, number] of store.steps) {
    const name = data.kinds[kind];
    const what = [isolate < 0 ? null : isolateText(isolate), more[name]?.(number)].filter((text) => text).join(", ");
    rows.push([when, name, thread, what, word(site) ?? "", stack, ""]);
  }
  if (store.end) {
    const [thread, site, stack] = store.end;
    rows.push([store.died, "freed", thread, null, word(site) ?? "", stack, ""]);
  }
  rows.sort((a, b) => a[0] - b[0]);
  const items = rows.map(([when, name, thread, what, site, stack, size], at) =>
    make("li", { class: name },
      make("time", {}, at === 0 ? time(when) : `+ ${time(when - store.born)}`),
      make("div", {}, make("strong", {}, name), what && ` · ${what}`, size && ` · ${size}`,
        make("span", { class: "quiet" }, threadText(thread) && ` · ${threadText(thread)}`),
        site !== "" && (at === 0 || site !== store.site) && make("div", {}, code(site)),
        stack >= 0 && at > 0 && make("details", {}, make("summary", {}, "Stack"), stackList(stack)))));
  if (store.steps_left_out > 0) items.push(make("li", { class: "quiet" }, make("span"), `${counted(store.steps_left_out, "event")} between the first and the latest are not kept.`));
  return make("ol", { class: "history" }, items);
}

function startDetail() {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeDetail();
  });
}
