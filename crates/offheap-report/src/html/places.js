// The totals of each place that made stores. They count all stores, also those that are not shown one by one.

/** The places of several processes, each once. */
function mergedPlaces(processes) {
  const merged = new Map();
  for (const process of processes) {
    for (const it of process.places) {
      const site = place(it.site);
      if (!merged.has(site)) merged.set(site, { site, made: [0, 0], live: [0, 0], leaked: [0, 0], peak: 0, lives: 0, freed: 0, rate: 0 });
      const sums = merged.get(site);
      for (const name of ["made", "live", "leaked"]) sums[name] = [sums[name][0] + it[name][0], sums[name][1] + it[name][1]];
      sums.peak += it.peak;
      const freed = it.made[0] - it.live[0];
      if (it.life !== undefined) {
        sums.lives += it.life * freed;
        sums.freed += freed;
      }
      if (process.time > 0) sums.rate += it.made[1] / (process.time / 1e9);
    }
  }
  return [...merged.values()];
}

function showPlaces(shown) {
  const processes = shown < 0 ? data.processes : [data.processes[shown]];
  const places = mergedPlaces(processes).sort((a, b) => b.leaked[1] - a.leaked[1] || b.peak - a.peak);
  const inAll = processes.reduce((all, process) => all + process.places_in_all, 0);
  const told = processes.reduce((all, process) => all + process.places.length, 0);
  byId("places").hidden = places.length === 0;
  byId("places-count").textContent = inAll > told ? `${count(told)} of ${counted(inAll, "place")}: those that leaked or had the most at once` : counted(places.length, "place");
  const size = (name, title) => ({ title, number: true, cell: (it) => about(bytes(it[name][1])), value: (it) => it[name][1] });
  table(byId("place-table"), "Totals of each place", [
    { title: "Made at", cell: (it) => make("button", { type: "button", class: "link", "aria-label": `List the stores of ${it.site}`, on: { click: () => showOnly({ site: it.site }) } }, code(it.site)), value: (it) => it.site },
    size("leaked", "Leaked"),
    size("live", "Live"),
    { title: "Peak", number: true, cell: (it) => about(bytes(it.peak)), value: (it) => it.peak },
    size("made", "Made"),
    { title: "Stores", number: true, cell: (it) => about(count(it.made[0])), value: (it) => it.made[0] },
    { title: "A second", number: true, cell: (it) => (it.rate > 0 ? bytes(it.rate) : "–"), value: (it) => it.rate },
    { title: "Mean life", number: true, cell: (it) => (it.freed > 0 ? time(it.lives / it.freed) : "–"), value: (it) => (it.freed > 0 ? it.lives / it.freed : -1) },
  ], places);
}
