// The top of the page: what the stream is, what it found, and what it cannot say.

/** Adds up one pair of numbers (stores, bytes) of the processes that are shown. */
function sum(processes, name) {
  return processes.reduce(([stores, all], process) => [stores + process[name][0], all + process[name][1]], [0, 0]);
}

function showSummary(shown) {
  const processes = shown < 0 ? data.processes : [data.processes[shown]];
  const errors = data.errors.filter((error) => shown < 0 || error.process === shown);
  showTitle(processes);
  const refused = processes.reduce((all, process) => all + process.refused, 0);
  showVerdict(processes, refused);
  byId("notices").replaceChildren(...notices(processes).map((text) => make("li", { class: "notice" }, text)));
  showNumbers(processes, refused);
  showErrors(errors, refused, shown);
  showLeaks(processes, shown);
}

function showTitle(processes) {
  const [first] = processes;
  let title = "Memory report";
  const facts = [];
  if (processes.length > 1) {
    title = `${processes.length} processes`;
    facts.push(processes.slice(0, 4).map((process) => visible(process.program ?? `process ${process.number}`)).join(", "));
    if (processes.length > 4) facts.push("…");
  } else if (first) {
    if (first.program !== null) title = visible(first.program);
    facts.push(`process ${first.number}`);
    if (first.level !== null) facts.push(`level ${visible(first.level)}`);
    if (first.began !== null) facts.push(`began ${new Date(first.began).toISOString().slice(0, 19).replace("T", " ")} UTC`);
    if (first.time > 0) facts.push(`ran ${time(first.time)}`);
    for (const [name, text] of Object.entries(first.labels)) facts.push(`${visible(name)} ${visible(text)}`);
  }
  byId("title").textContent = title;
  byId("about").textContent = facts.join(" · ");
  document.title = `${title} · memory report`;
}

function showVerdict(processes, refused) {
  const [leaked, leakedBytes] = sum(processes, "leaked");
  const [made] = sum(processes, "made");
  const [live, liveBytes] = sum(processes, "live");
  const hasEnded = processes.length > 0 && processes.every((process) => process.ended);
  const parts = [];
  const bad = refused > 0 || leaked > 0;
  if (refused > 0) parts.push(counted(refused, "error"));
  if (leaked > 0) {
    const places = processes.flatMap((process) => process.places).filter((it) => it.leaked[0] > 0).length;
    parts.push(about(`${counted(leaked, "store")} leaked, ${bytes(leakedBytes)}, at ${counted(places, "place")}`));
  }
  let text = parts.join("; ");
  if (!bad) {
    if (processes.length === 0) text = "The stream is empty";
    else if (made === 0) text = processes.every((it) => it.level === "counts") ? "Counts only" : "The stream tells of no store";
    else if (hasEnded) text = "Nothing leaked";
    else text = about(`${counted(live, "store")} lived when the stream ended, ${bytes(liveBytes)}`);
  }
  const verdict = byId("verdict");
  verdict.textContent = `${text}.`;
  verdict.className = `verdict ${bad ? "bad" : hasEnded && made > 0 ? "good" : "open"}`;
}

/** What a reader must know before believing the numbers. */
function notices(processes) {
  const texts = [];
  if (processes.length === 0) texts.push("It has no line that starts a process, so there is nothing to show.");
  const counts = processes.filter((process) => process.level === "counts");
  const open = processes.filter((process) => !process.ended);
  const silent = processes.filter((process) => process.ended && process.made[0] === 0 && process.level !== "counts");
  if (counts.length > 0) {
    texts.push("The ledger ran at the level “counts”, which writes no lines about single stores. Run it at the level “sites” or “full” to see each store and its place.");
  }
  if (open.length > 0) {
    const which = open.length === processes.length && open.length === 1 ? "The process" : open.map((it) => `process ${it.number}`).join(", ");
    texts.push(`The stream stops before the end of ${which === "The process" ? "the process" : which}. What lives there may still be freed, so it is not called a leak.`);
  }
  if (silent.length > 0 && processes.length === silent.length) texts.push("The program made no store, or it made them before the ledger was installed.");
  const samples = processes.find((process) => process.sample_bytes !== null);
  if (samples) {
    texts.push(`Only samples were told, one for about every ${bytes(samples.sample_bytes)} that were made. Sums are estimates, and are marked with ≈.`);
  }
  if (processes.length > 1 && !isAligned) texts.push("The processes do not say when they began. Each begins at zero here.");
  const hidden = data.stores_in_all - data.stores.length;
  if (hidden > 0) {
    texts.push(`${count(hidden)} of ${counted(data.stores_in_all, "store")} are in the totals only. Shown one by one: the largest that live, and of the freed ones the largest, the longest lived, and those with errors.`);
  }
  texts.push(...data.noticed.map((text) => `Notice: ${visible(text)}`));
  if (data.noticed_in_all > data.noticed.length) texts.push(`${counted(data.noticed_in_all - data.noticed.length, "more notice")} not shown here.`);
  if (data.problems_in_all > 0) {
    texts.push(`${counted(data.problems_in_all, "line")} could not be read. The reasons are at the end of this page.`);
  }
  return texts;
}

function showNumbers(processes, refused) {
  const [made, madeBytes] = sum(processes, "made");
  const [live, liveBytes] = sum(processes, "live");
  const [leaked, leakedBytes] = sum(processes, "leaked");
  const peak = processes.reduce((most, process) => most + process.peak, 0);
  byId("numbers").hidden = made === 0 && refused === 0;
  const numbers = [
    ["Leaked", bytes(leakedBytes), about(counted(leaked, "store")), leaked > 0 && "bad"],
    ["Live at the end", bytes(liveBytes), about(counted(live, "store"))],
    processes.length > 1 ? ["Peaks", bytes(peak), "of each process, added up"] : ["Peak", bytes(peak), "at once"],
    ["Made in all", bytes(madeBytes), about(counted(made, "store"))],
    ["Errors", count(refused), refused === 0 ? "none" : "refused", refused > 0 && "bad"],
  ];
  byId("numbers").replaceChildren(
    ...numbers.map(([name, value, more, kind]) =>
      make("div", { class: kind || null }, make("dt", {}, name), make("dd", {}, make("strong", {}, value), make("span", {}, more)))),
  );
}

function showErrors(errors, refused, shown) {
  byId("errors").hidden = refused === 0;
  const first = errors.slice(0, 100);
  const items = first.map((error) => {
    const store = stores.find((it) => it.store === error.store && it.process === error.process);
    const where = [
      ["Refused at", word(error.site)],
      ["First", word(error.earlier)],
      ["Thread", threadText(error.thread)],
    ].filter(([, text]) => text !== null);
    return make("li", {},
      make("div", { class: "error-head" },
        make("strong", { class: "tag" }, visible(error.code)),
        make("span", { class: "quiet" }, `at ${time(error.time)}`, shown < 0 && data.processes.length > 1 && ` · ${processText(error.process)}`),
        store && make("button", { type: "button", on: { click: () => openDetail(store) } }, `Store ${store.store}`)),
      make("p", {}, visible(error.message)),
      make("dl", { class: "where" }, where.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, code(text))))),
      error.stack >= 0 && make("details", {}, make("summary", {}, "Stack of the refused call"), stackList(error.stack)));
  });
  const more = refused - first.length;
  if (more > 0) items.push(make("li", { class: "quiet" }, `${counted(more, "more error")} not shown here.`));
  byId("error-list").replaceChildren(...items);
}

/** The leaks by place, each with who holds them. */
function showLeaks(processes, shown) {
  const places = mergedPlaces(processes).filter((it) => it.leaked[0] > 0);
  byId("leaks").hidden = places.length === 0;
  const held = new Map();
  for (const store of stores) {
    if (store.state !== "leaked" || (shown >= 0 && store.process !== shown)) continue;
    if (!held.has(store.site)) held.set(store.site, { holders: new Map(), largest: store });
    const entry = held.get(store.site);
    if (store.bytes > entry.largest.bytes) entry.largest = store;
    for (const holder of holderTexts(store)) entry.holders.set(holder, (entry.holders.get(holder) ?? 0) + 1);
  }
  table(byId("leak-table"), "Places whose stores leaked, the most bytes first", [
    { title: "Made at", cell: (it) => code(it.site), value: (it) => it.site },
    { title: "Bytes", number: true, cell: (it) => about(bytes(it.leaked[1])), value: (it) => it.leaked[1] },
    { title: "Stores", number: true, cell: (it) => [about(count(it.leaked[0])), make("span", { class: "unit" }, it.leaked[0] === 1 ? " store" : " stores")], value: (it) => it.leaked[0] },
    {
      title: "Held by",
      cell: (it) => {
        const holders = [...(held.get(it.site)?.holders ?? [])].sort((a, b) => b[1] - a[1]).slice(0, 4);
        if (holders.length === 0) return make("span", { class: "quiet" }, "the stream does not tell");
        return make("ul", { class: "plain" }, holders.map(([text, times]) => make("li", {}, text, times > 1 && ` × ${count(times)}`)));
      },
    },
    {
      title: "",
      cell: (it) => {
        const largest = held.get(it.site)?.largest;
        return make("div", { class: "buttons" },
          largest && make("button", { type: "button", "aria-label": `Open the largest store of ${it.site}`, on: { click: () => openDetail(largest) } }, "Open"),
          make("button", { type: "button", "aria-label": `List the leaked stores of ${it.site}`, on: { click: () => showOnly({ site: it.site, state: "leaked" }) } }, "List"));
      },
    },
  ], places.slice(0, 200), { column: 1, down: true });
}

/** Who holds a store, each in a few words. */
function holderTexts(store) {
  const held = store.holders;
  if (!held) return [];
  const texts = held.buffers.map(([isolate, number]) => `${number > 1 ? `${number} buffers` : "a buffer"} in ${isolateText(isolate)}`);
  for (const { site } of held.taken) texts.push(`native code, reference taken at ${place(site)}`);
  if (held.taken.length === 0 && held.references) texts.push(`native code, ${counted(held.references, "reference")}`);
  if (held.readers) texts.push(`${counted(held.readers, "guard")} that read${held.readers === 1 ? "s" : ""}`);
  if (held.writer) texts.push("a guard that writes");
  // Memory that is freed by hand lives without anybody who holds it.
  if (texts.length === 0 && store.kind === "manual") texts.push("nobody: it is freed by hand only");
  return texts;
}
