// How attributions build up along the path: a line per feature, from gradients that are taken again at its nodes.
import { h, put, general, signed } from "./core.js";
import { frame, points, span, between } from "./curves.js";

const CHART = 430, DASHES = ["", "7 3", "2 2.5", "9 3 2 3"], LINES = 8, REST = "1.5 3";

// Hue and dashes tell lines apart, so that either alone does; all others together are grey.
function look(lines, n) {
  const rest = lines.others && n === lines.names.length - 1;
  return { class: `line own ${rest ? "rest" : `hue${n % LINES}`}`, "stroke-dasharray": rest ? REST : DASHES[(n + Math.floor(n / LINES)) % 4] || null };
}

export function buildup(app) {
  const node = h("section", { class: "buildup", "aria-label": "cumulative attribution" });
  let lines = null, cells = [], inputs = null, rule = null, chart = null, asked = null;
  const lineOf = (n) => lines.cumulative.map((row) => row[n]);

  function drawing() {
    const curves = lines.names.map((_, n) => lineOf(n));
    chart = frame(`cumulative attribution of ${lines.names.join(", ")}; ${lines.spans}`, [0, 1], span(...curves), "a: 0 baseline, 1 input", false, CHART);
    const { svg, X, Y, foot, top } = chart;
    svg.append(...lines.saturated.map(([a, b]) => h("rect", { class: "flat", x: X(a), width: X(b) - X(a), y: top, height: foot - top })),
      h("path", { class: "axis", "stroke-opacity": 0.5, d: `M${X(0)} ${Y(0)}H${X(1)}` }),
      ...lines.alphas.map((a) => h("path", { class: "tick", d: `M${X(a)} ${foot}v-5` })),
      ...curves.map((ys, n) => h("polyline", { ...look(lines, n), points: points(X, Y, lines.alphas, ys) })));
    rule = h("line", { class: "scrub", y1: top, y2: foot });
    svg.append(rule);
    return h("figure", {}, h("figcaption", {}, `cumulative attribution; ${lines.spans}`), svg);
  }
  // Where the lines are those of single numbers, what these are on the way is told too.
  function onTheWay() {
    const arrays = app.path().arrays, found = new Map();
    app.spec.tabs.forEach((tab, t) => {
      const x = arrays[`${t}.x`], x0 = arrays[`${t}.x0`];
      if (tab.kind === "table" && x && x0) tab.names.forEach((name, i) => found.set(name, [x0.data[i], x.data[i]]));
    });
    const ends = lines.names.map((name) => found.get(name));
    return ends.some(Boolean) ? ends : null;
  }
  function table() {
    const figures = signed(lines.attributions);
    inputs = onTheWay();
    cells = lines.names.map(() => [inputs && h("td", { class: "num" }), h("td", { class: "num" })]);
    const swatch = (n) => h("svg", { width: 34, height: 10, viewBox: "0 0 34 10", "aria-hidden": "true", class: "chart" }, h("path", { ...look(lines, n), d: "M1 5H33" }));
    return h("table", {}, h("caption", { class: "away" }, "what each line has added up to, and its attribution"),
      h("thead", {}, h("tr", {}, h("td", {}), ["feature", ...(inputs ? ["value at a"] : []), "sum so far", "attribution", "est. error"].map((s, n) => h("th", { scope: "col", class: n ? "num" : null }, s)))),
      h("tbody", {}, lines.names.map((name, n) => h("tr", {}, h("td", {}, swatch(n)), h("th", { scope: "row", title: name }, h("bdi", {}, name)), cells[n],
        h("td", { class: "num" }, figures[n]), h("td", { class: "num" }, `± ${general(lines.errors[n], 1)}`)))));
  }
  function numbers() {
    const box = h("details", {}, h("summary", {}, "lines as numbers"), h("div", { class: "scroll tall" }));
    box.addEventListener("toggle", () => {
      if (!box.open) return;
      put(box.lastChild, h("table", {}, h("thead", {}, h("tr", {}, ["a", "F", ...lines.names].map((s) => h("th", { scope: "col", class: "num" }, s)))),
        h("tbody", {}, lines.alphas.map((a, i) => h("tr", {}, [a, lines.values[i], ...lines.cumulative[i]].map((v) => h("td", { class: "num" }, general(v))))))));
    });
    return box;
  }
  function mark() {
    if (!chart) return;
    const a = app.ui.at, now = signed(lines.names.map((_, n) => between(lines.alphas, lineOf(n), a)), lines.attributions);
    rule.setAttribute("x1", chart.X(a));
    rule.setAttribute("x2", chart.X(a));
    cells.forEach(([value, sum], n) => {
      sum.textContent = now[n];
      if (value && inputs[n]) value.textContent = general(inputs[n][0] + a * (inputs[n][1] - inputs[n][0]));
    });
  }
  const ask = (budget) => {
    asked = app.path().n;
    app.send({ type: "along", n: asked, budget });
  };
  // What takes no time is done as soon as the panel is open, and given up after two seconds if it does; the rest waits
  // for a click, and says what it costs.
  function wanted() {
    const { gradients, seconds } = app.costs(app.path().n), known = app.lines();
    if (known && (known.complete || known.error)) return;
    if (!known && gradients && (seconds === null || seconds <= 1) && asked !== app.path().n && !app.busy()) ask(2);
  }
  function draw() {
    const found = app.lines(), { gradients, seconds } = app.costs(app.path().n);
    const button = (text) => gradients > 0 && h("button", { type: "button", "aria-label": "cumulative attribution of the top features", on: { click: () => ask(null) } },
      `${text} (${gradients} gradients${seconds === null ? "" : `, about ${seconds < 1 ? "a second" : `${Math.ceil(seconds)} s`}`})`);
    const focus = app.focused(node);
    [lines, chart] = [found && found.names ? found : null, null];
    node.hidden = !found && !gradients;
    if (!lines) put(node, found && found.error && h("p", { class: "legend" }, `no lines of single features: ${found.error}`), button("show how the top features build up"));
    else {
      const head = h("p", { class: lines.complete ? "legend" : "warn", role: "status" }, lines.told);
      put(node, h("div", { class: "row" }, drawing(), h("div", { class: "scroll" }, table())), head, !lines.complete && button("all nodes"), numbers());
      mark();
    }
    focus();
  }
  draw();
  return { node, draw, mark, wanted };
}
