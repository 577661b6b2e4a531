// Puts the page together.

const THEMES = ["auto", "light", "dark"];

/** Reads or writes what the browser remembers for this file. It may refuse. */
function remembered(value) {
  try {
    if (value !== undefined) localStorage.setItem("offheap-theme", value);
    return localStorage.getItem("offheap-theme");
  } catch {
    return null;
  }
}

function startTheme() {
  const button = byId("theme");
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  show(THEMES.includes(remembered()) ? remembered() : "auto");
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    remembered(next);
    show(next);
  });
}

function showProcess(index) {
  chart.process = index;
  filter.process = index;
  showSummary(index);
  showPlaces(index);
  drawChart();
  applyFilter();
}

function startProcesses() {
  if (data.processes.length < 2) return;
  byId("process-label").hidden = false;
  byId("process").append(make("option", { value: "-1" }, "all"), ...data.processes.map((_, index) => make("option", { value: index }, processText(index))));
  byId("process").addEventListener("change", (event) => showProcess(Number(event.target.value)));
}

function showProblems() {
  if (data.problems_in_all === 0) return;
  byId("problems").hidden = false;
  byId("problems-title").textContent = `${counted(data.problems_in_all, "line")} could not be read`;
  const more = data.problems_in_all - data.problems.length;
  byId("problem-list").append(...data.problems.map((text) => make("li", {}, visible(text))), more > 0 ? make("li", {}, `and ${count(more)} more`) : "");
}

startTheme();
startProcesses();
startChart();
startFilter();
startGrid();
startDetail();
showProblems();
// Without a store there is nothing to draw or to list.
const isEmpty = data.stores_in_all === 0 && data.processes.every((process) => process.total.length === 0);
for (const id of ["chart", "stores"]) byId(id).hidden = isEmpty;
showProcess(data.processes.length === 1 ? 0 : -1);
