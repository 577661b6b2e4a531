// Memory over time: stacked areas by engine or by place, a line for the most at once, and a cursor to read values at.

const chart = { by: "engine", from: 0, to: endOfTime, cursor: -1, process: -1, columns: 0, series: [], high: null };
const CHART_HEIGHT = 220;
const LEFT = 68;
const BELOW = 24;
const COLORS = 8;

/** Calls `each(column, point before or in it, points inside)` for each column of time. */
function resample(points, process, columns, each) {
  const { shift, ended, time: end } = data.processes[process];
  const width = 2 ** shift;
  let at = 0;
  for (let column = 0; column < columns; column += 1) {
    const until = chart.from + ((column + 1) / columns) * (chart.to - chart.from) - offsets[process];
    const first = at;
    while (at < points.length && points[at][0] * width < until) at += 1;
    const begins = chart.from + (column / columns) * (chart.to - chart.from) - offsets[process];
    const isOver = ended && begins > end;
    each(column, at === 0 || isOver ? null : points[at - 1], isOver ? [] : points.slice(first, at));
  }
}

/** Fills `chart.series` with one array of bytes by column for each engine or place. */
function computeSeries(columns) {
  const byName = new Map();
  const total = new Float64Array(columns);
  const high = new Float64Array(columns);
  const add = (name, points, process) => {
    if (!byName.has(name)) byName.set(name, new Float64Array(columns));
    const values = byName.get(name);
    resample(points, process, columns, (column, point) => {
      if (point) values[column] += Math.max(0, point[1]);
    });
  };
  data.processes.forEach((process, index) => {
    if (chart.process >= 0 && chart.process !== index) return;
    let before = 0;
    resample(process.total, index, columns, (column, point, inside) => {
      if (point) total[column] += Math.max(0, point[1]);
      high[column] += Math.max(0, before, point?.[1] ?? 0, ...inside.map((it) => it[2]));
      before = point?.[1] ?? 0;
    });
    if (chart.by === "engine") {
      for (const [set, points] of process.by_engine) add(engineText(set), points, index);
    } else {
      for (const it of process.places) if (it.points) add(place(it.site), it.points, index);
    }
  });
  const most = (values) => values.reduce((a, b) => Math.max(a, b), 0);
  let series = [...byName].map(([name, values]) => ({ name, values, most: most(values) })).filter((it) => it.most > 0);
  series.sort((a, b) => b.most - a.most);
  series = series.slice(0, COLORS);
  const rest = total.map((all, column) => Math.max(0, all - series.reduce((sum, it) => sum + it.values[column], 0)));
  series.forEach((it, at) => (it.color = `series-${at + 1}`));
  if (most(rest) >= 1) series.push({ name: chart.by === "engine" ? "other" : "other places", values: rest, most: most(rest), color: "series-other" });
  Object.assign(chart, { columns, series, high, total, top: Math.max(most(high), most(total)) });
}

/** Steps of an axis of bytes: 1, 2 or 4 … times a power of two. */
function byteSteps(top) {
  const step = 2 ** Math.max(0, Math.ceil(Math.log2(Math.max(1, top) / 4)));
  return Array.from({ length: Math.floor(top / step) + 1 }, (_, at) => at * step);
}

/** Steps of an axis of time: 1, 2 or 5 times a power of ten. */
function timeSteps(from, to, most) {
  const rough = (to - from) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((it) => it >= rough);
  const steps = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) steps.push(at);
  return steps;
}

/** The unit is that of the whole axis, so that its labels line up: "0.4 s, 0.6 s". */
function axisTime(nanoseconds, range) {
  const [unit, name] = range >= 2e9 ? [1e9, "s"] : range >= 2e6 ? [1e6, "ms"] : range >= 2e3 ? [1e3, "µs"] : [1, "ns"];
  return `${(nanoseconds / unit).toLocaleString("en-US", { maximumFractionDigits: 2 })} ${name}`;
}

function drawChart() {
  const area = byId("chart-area");
  const width = Math.max(280, area.clientWidth);
  const inner = width - LEFT - 8;
  computeSeries(Math.max(2, Math.min(800, Math.floor(inner))));
  const height = CHART_HEIGHT - BELOW;
  const scale = byteSteps(chart.top);
  const top = Math.max(1, chart.top * 1.04);
  const x = (column) => LEFT + (column / (chart.columns - 1)) * inner;
  const y = (value) => height - (value / top) * (height - 8);
  const svg = draw("svg", { width, height: CHART_HEIGHT, "aria-hidden": "true" });
  for (const value of scale) {
    svg.append(draw("line", { class: "axis", x1: LEFT, x2: width - 8, y1: y(value), y2: y(value) }),
      draw("text", { class: "label", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, bytes(value)));
  }
  for (const at of timeSteps(chart.from, chart.to, Math.max(2, Math.floor(inner / 110)))) {
    const across = LEFT + ((at - chart.from) / (chart.to - chart.from)) * inner;
    const isLast = across > width - 40;
    svg.append(draw("line", { class: "axis", x1: across, x2: across, y1: height, y2: height + 4 }),
      draw("text", { class: "label", x: isLast ? width - 4 : across, y: height + 17, "text-anchor": isLast ? "end" : across < LEFT + 10 ? "start" : "middle" }, axisTime(at, chart.to - chart.from)));
  }
  let floor = new Float64Array(chart.columns);
  for (const { values, color } of chart.series) {
    const roof = floor.map((value, column) => value + values[column]);
    const forth = Array.from(roof, (value, column) => `${x(column).toFixed(1)},${y(value).toFixed(1)}`);
    const back = Array.from(floor, (value, column) => `${x(column).toFixed(1)},${y(value).toFixed(1)}`).reverse();
    svg.append(draw("path", { class: `area ${color}`, d: `M${forth.join("L")}L${back.join("L")}Z` }));
    floor = roof;
  }
  const peaks = Array.from(chart.high, (value, column) => `${x(column).toFixed(1)},${y(value).toFixed(1)}`);
  svg.append(draw("path", { class: "peak", d: `M${peaks.join("L")}` }));
  const cursor = draw("line", { class: "cursor", y1: 0, y2: height, visibility: "hidden" });
  const selection = draw("rect", { class: "selection", y: 0, height, visibility: "hidden" });
  svg.append(selection, cursor);
  const tip = make("div", { class: "tip", hidden: true });
  const frame = make("div", {
    class: "chart-frame", tabindex: "0", role: "slider", "aria-label": "Time in the chart. Arrow keys move, plus and minus zoom.",
    "aria-valuemin": "0", "aria-valuemax": String(chart.columns - 1), "aria-valuenow": "0", "aria-valuetext": chartSentence(),
  }, svg, tip);
  area.replaceChildren(frame);
  listenToChart({ frame, tip, cursor, selection, inner, x });
  showLegend();
  byId("chart-reset").hidden = chart.from === 0 && chart.to === endOfTime;
  byId("chart").querySelector("details").open && showChartNumbers();
}

function columnTime(column) {
  return chart.from + ((column + 0.5) / chart.columns) * (chart.to - chart.from);
}

function chartSentence() {
  const highest = chart.high.indexOf(chart.high.reduce((a, b) => Math.max(a, b), 0));
  return `From ${time(chart.from)} to ${time(chart.to)}. The most at once was ${about(bytes(chart.high[highest] ?? 0))}, at ${time(columnTime(highest))}.`;
}

function listenToChart({ frame, tip, cursor, selection, inner, x }) {
  let pressed = null;
  const columnAt = (event) => {
    const across = event.clientX - frame.getBoundingClientRect().left - LEFT;
    return Math.max(0, Math.min(chart.columns - 1, Math.round((across / inner) * (chart.columns - 1))));
  };
  const moveTo = (column) => {
    chart.cursor = column;
    fill(cursor, { x1: x(column), x2: x(column), visibility: "visible" }, []);
    const values = chart.series.filter((it) => it.values[column] > 0);
    const heading = `${time(columnTime(column))}: ${about(bytes(chart.total[column]))}`;
    const peak = chart.high[column] > chart.total[column] * 1.01 ? `, up to ${bytes(chart.high[column])}` : "";
    tip.replaceChildren(make("strong", {}, heading + peak), make("ul", { class: "plain" },
      values.map((it) => make("li", {}, make("i", { class: `swatch ${it.color}` }), make("span", {}, shortPlace(it.name)), make("b", {}, bytes(it.values[column]))))));
    tip.hidden = false;
    const isRight = x(column) > LEFT + inner / 2;
    tip.style.left = isRight ? "auto" : `${x(column) + 12}px`;
    tip.style.right = isRight ? `${frame.clientWidth - x(column) + 12}px` : "auto";
    frame.setAttribute("aria-valuenow", String(column));
    frame.setAttribute("aria-valuetext", `${heading}${peak}. ${values.map((it) => `${it.name} ${bytes(it.values[column])}`).join(", ")}`);
    if (pressed !== null && pressed !== column) {
      const [a, b] = [Math.min(pressed, column), Math.max(pressed, column)];
      fill(selection, { x: x(a), width: x(b) - x(a), visibility: "visible" }, []);
    }
  };
  const leave = () => {
    tip.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  };
  const listeners = {
    pointermove: (event) => moveTo(columnAt(event)),
    pointerleave: () => pressed === null && leave(),
    pointerdown: (event) => {
      pressed = columnAt(event);
      frame.setPointerCapture(event.pointerId);
    },
    pointerup: (event) => {
      const [a, b] = [pressed ?? 0, columnAt(event)].sort((one, two) => one - two);
      pressed = null;
      if (b - a >= 4) zoomTo(columnTime(a), columnTime(b));
    },
    pointercancel: () => (pressed = null),
    blur: leave,
    keydown: (event) => {
      const far = event.shiftKey ? 25 : 1;
      const at = chart.cursor < 0 ? 0 : chart.cursor;
      const moves = { ArrowLeft: at - far, ArrowRight: at + far, Home: 0, End: chart.columns - 1, PageUp: at + 50, PageDown: at - 50 };
      if (event.key in moves) moveTo(Math.max(0, Math.min(chart.columns - 1, moves[event.key])));
      else if (event.key === "+" || event.key === "-") {
        const half = ((chart.to - chart.from) / 2) * (event.key === "+" ? 0.5 : 2);
        zoomTo(columnTime(at) - half, columnTime(at) + half);
        byId("chart-area").firstElementChild.focus();
      } else return;
      event.preventDefault();
    },
  };
  fill(frame, { on: listeners }, []);
}

/** Shows a part of the time, in the chart and in the bars of the stores. */
function zoomTo(from, to) {
  const least = Math.min(endOfTime, 1000);
  chart.from = Math.max(0, Math.min(from, endOfTime - least));
  chart.to = Math.min(endOfTime, Math.max(to, chart.from + least));
  chart.cursor = -1;
  drawChart();
  applyFilter();
}

/** The end of a long path says the most. */
function shortPlace(text) {
  return text.length > 44 ? `…${text.slice(-43)}` : text;
}

function showLegend() {
  const items = chart.series.map((it) => make("li", {}, make("i", { class: `swatch ${it.color}` }), shortPlace(it.name)));
  if (items.length > 0) items.push(make("li", {}, make("i", { class: "swatch line" }), "most at once"));
  byId("chart-legend").replaceChildren(...items);
}

function showChartNumbers() {
  const rows = Array.from({ length: 21 }, (_, at) => Math.round((at / 20) * (chart.columns - 1)));
  const columns = [
    { title: "Time", cell: (column) => time(columnTime(column)) },
    { title: "All", number: true, cell: (column) => bytes(chart.total[column]) },
    { title: "Most at once", number: true, cell: (column) => bytes(chart.high[column]) },
    ...chart.series.map((it) => ({ title: shortPlace(it.name), number: true, cell: (column) => bytes(it.values[column]) })),
  ];
  const element = make("table");
  table(element, "Memory over time", columns, rows);
  byId("chart-numbers").querySelector(".scrolls").replaceChildren(element);
}

function startChart() {
  const choices = [["engine", "By engine"], ["place", "By place"]].map(([by, text]) =>
    make("label", {}, make("input", { type: "radio", name: "by", value: by, checked: by === chart.by, on: { change: () => { chart.by = by; drawChart(); } } }), make("span", {}, text)));
  byId("chart-by").append(...choices);
  byId("chart-reset").addEventListener("click", () => zoomTo(0, endOfTime));
  byId("chart-numbers").addEventListener("toggle", showChartNumbers);
  let width = 0;
  new ResizeObserver(() => {
    if (byId("chart-area").clientWidth === width) return;
    width = byId("chart-area").clientWidth;
    drawChart();
  }).observe(byId("chart-area"));
}
