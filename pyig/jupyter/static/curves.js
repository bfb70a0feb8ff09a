// How far the numbers can be trusted: F along the path, how the attributions build up, and error against gradients spent.
import { h, put, general, percent, slider } from "./core.js";

const WIDE = 252, TALL = 160, LEFT = 46, RIGHT = 10, TOP = 8, BOTTOM = 30;

function ticks(low, high) {
  const raw = (high - low) / 3, unit = 10 ** Math.floor(Math.log10(raw || 1)), step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= raw) || unit;
  const out = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6 && out.length < 12; v += step) out.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  return out;
}

// Axes, and functions from data to places.
export function frame(label, [x0, x1], [y0, y1], xName, log, wide = WIDE) {
  // Rounding is no shape: values that agree to nine digits are drawn flat.
  if (!(y1 - y0 > 1e-9 * Math.max(Math.abs(y0), Math.abs(y1)))) [y0, y1] = log ? [y0 / 10, y1 * 10] : [y0 - (Math.abs(y0) || 1) / 2, y1 + (Math.abs(y1) || 1) / 2];
  const named = log ? [...new Set([x0, x1])] : [0, 0.5, 1];
  if (x0 === x1) [x0, x1] = [x0 / 2, x1 * 2];
  const t = log ? Math.log10 : (v) => v, pad = (t(y1) - t(y0)) * 0.06, low = t(y0) - pad, high = t(y1) + pad;
  const X = (v) => LEFT + ((t(v) - t(x0)) / (t(x1) - t(x0))) * (wide - LEFT - RIGHT), Y = (v) => TOP + (1 - (t(v) - low) / (high - low)) * (TALL - TOP - BOTTOM);
  const marks = log ? powers(low, high) : ticks(low, high), foot = TALL - BOTTOM;
  const svg = h("svg", { role: "img", "aria-label": label, viewBox: `0 0 ${wide} ${TALL}`, width: wide, height: TALL, class: "chart" },
    marks.map((v) => [h("path", { d: `M${LEFT} ${Y(v)}H${wide - RIGHT}`, class: "grid" }), h("text", { x: LEFT - 5, y: Y(v) + 4, "text-anchor": "end" }, general(v, 3))]),
    h("path", { d: `M${LEFT} ${foot}H${wide - RIGHT}`, class: "axis" }),
    named.map((v) => h("text", { x: X(v), y: foot + 13, "text-anchor": v === x1 ? "end" : v === x0 ? "start" : "middle" }, general(v, 3))),
    h("text", { x: (LEFT + wide) / 2, y: TALL - 3, "text-anchor": "middle" }, xName));
  return { svg, X, Y, foot, top: TOP };
}

const powers = (low, high) => {
  const first = Math.ceil(low), count = Math.floor(high) - first + 1, every = Math.max(1, Math.ceil(count / 4));
  return Array.from({ length: Math.max(0, Math.ceil(count / every)) }, (_, i) => 10 ** (first + i * every));
};
export const points = (X, Y, xs, ys) => xs.map((x, i) => (Number.isFinite(ys[i]) ? `${X(x).toFixed(1)},${Y(ys[i]).toFixed(1)}` : null)).filter(Boolean).join(" ");
export const span = (...lists) => {
  const all = lists.flatMap((l) => [...l]).filter(Number.isFinite);
  return [Math.min(...all), Math.max(...all)];
};

// F, or a line, at a between its nodes.
export function between(alphas, values, a) {
  let i = 1;
  while (i < alphas.length - 1 && alphas[i] < a) i++;
  const share = alphas[i] === alphas[i - 1] ? 0 : (a - alphas[i - 1]) / (alphas[i] - alphas[i - 1]);
  return values[i - 1] + share * (values[i] - values[i - 1]);
}

// `buildup` draws the lines of single features; it is handed in, since it draws with what is here.
export function diagnostics(app, buildup) {
  const charts = h("div", { class: "charts" }), words = h("div"), tips = h("ul", { class: "tips" }), note = h("output", { class: "readout num" });
  const scrub = slider("along the path, a", 0, 1, app.ui.at, (a) => { app.ui.at = a; mark(); app.moved(); }, (a) => a.toFixed(2), 0.01);
  const own = buildup(app);
  let lines = [], path, rows;
  function mark() {
    const a = app.ui.at, F = between(rows.alphas, rows.values, a);
    for (const { line, X } of lines) { line.setAttribute("x1", X(a)); line.setAttribute("x2", X(a)); }
    own.mark();
    note.textContent = `F(x' + ${a.toFixed(2)} (x - x')) ${a === 0 || a === 1 ? "=" : "about"} ${general(F)}`;
  }
  function scrubbed(chart) {
    const line = h("line", { class: "scrub", y1: TOP, y2: chart.foot, x1: 0, x2: 0 });
    chart.svg.append(line);
    lines.push({ line, X: chart.X });
  }
  function alongPath() {
    const { alphas, values, slopes } = rows, nodes = alphas.filter((_, i) => Number.isFinite(slopes[i]));
    const steepest = Math.max(...slopes.filter(Number.isFinite).map(Math.abs), 0);
    const chart = frame(`F along the path from ${general(path.F0)} to ${general(path.F)}, ${nodes.length} nodes`, [0, 1], span(values), "a: 0 baseline, 1 input");
    // Saturated: the slope is below a hundredth of the steepest, so these stretches add next to nothing.
    for (let i = 1; i < alphas.length; i++) {
      const flat = [i - 1, i].every((j) => Number.isFinite(slopes[j]) && Math.abs(slopes[j]) < 0.01 * steepest);
      if (flat) chart.svg.append(h("rect", { class: "flat", x: chart.X(alphas[i - 1]), width: Math.max(0, chart.X(alphas[i]) - chart.X(alphas[i - 1])), y: TOP, height: chart.foot - TOP }));
    }
    const bare = !nodes.length && !rows.lent;
    chart.svg.append(h("polyline", { class: "line", "stroke-dasharray": bare ? "2 5" : null, points: points(chart.X, chart.Y, alphas, values) }),
      ...(bare ? [0, alphas.length - 1] : []).map((i) => h("circle", { class: "node", cx: chart.X(alphas[i]), cy: chart.Y(values[i]), r: 3 })),
      ...alphas.map((a, i) => Number.isFinite(slopes[i]) && h("circle", { class: "node", cx: chart.X(a), cy: chart.Y(values[i]), r: 2.2 })).filter(Boolean));
    scrubbed(chart);
    return h("figure", {}, h("figcaption", {}, nodes.length ? `F along the path, ${nodes.length} nodes; shaded: saturated` : rows.lent ? `F at the ${alphas.length} nodes of the lines below; the method itself needs none` : "F at both ends: this method needs no nodes"), chart.svg);
  }
  function running() {
    const rise = rows.values.map((v) => v - path.F0), chart = frame("running sum of the quadrature against F(a) - F(x')", [0, 1], span(rise, rows.total), "share of the path");
    chart.svg.append(h("polyline", { class: "line", points: points(chart.X, chart.Y, rows.alphas, rise) }));
    const stairs = [0, ...rows.reached], sums = [0, ...rows.total];
    chart.svg.append(h("polyline", { class: "line sum", points: points(chart.X, chart.Y, stairs, sums) }));
    scrubbed(chart);
    return h("figure", {}, h("figcaption", {}, `sum so far (dashed) and F(a) - F(x'); gap ${general(path.gap)}`), chart.svg);
  }
  // Only what was really evaluated: one place for every run of this widget.
  function spent() {
    const runs = app.runs().filter((r) => r.evals > 0 && (r.gap || r.error));
    if (!runs.length) return h("figure", {}, h("figcaption", {}, "gap and estimated error are zero: nothing to plot"));
    const coarser = (path.coarser || []).filter(([, gap]) => gap > 0), xs = [...runs.map((r) => r.evals), ...coarser.map(([n]) => n)], tol = app.spec.rtol * path.size;
    const [low, high] = span(runs.flatMap((r) => [Math.abs(r.gap), r.error]).filter((v) => v > 0), coarser.map(([, gap]) => gap), tol > 0 ? [tol] : []);
    const chart = frame("gap and estimated error against gradients spent", span(xs), [low, high], "gradients", true);
    chart.svg.append(...coarser.map(([n, gap]) => h("circle", { class: "node hollow", cx: chart.X(n), cy: chart.Y(gap), r: 3.2 })));
    const place = (r, v, form) => v > 0 && chart.svg.append(form === "gap" ? h("circle", { class: "node", cx: chart.X(r.evals), cy: chart.Y(v), r: 4 })
      : h("path", { class: "mark", d: `M${chart.X(r.evals) - 4} ${chart.Y(v) + 4}l4 -8 4 8z` }));
    for (const r of runs) { place(r, Math.abs(r.gap), "gap"); place(r, r.error, "error"); }
    if (tol > 0) chart.svg.append(h("path", { class: "tolerance", d: `M${LEFT} ${chart.Y(tol)}H${WIDE - RIGHT}` }));
    return h("figure", {}, h("figcaption", {}, `${runs.length === 1 ? "this run" : `${runs.length} runs`}: ● gap, ▲ estimated error, ${coarser.length ? "○ gap by trapezoids on the coarser of these nodes, " : ""}dashed: ${percent(app.spec.rtol)} of all |attributions|`), chart.svg);
  }
  function draw() {
    path = app.path();
    const all = path.arrays.path, n = all.shape[1], row = (k) => Array.from(all.data.subarray(k * n, (k + 1) * n));
    rows = { alphas: row(0), values: row(1), slopes: row(2), reached: row(4), total: row(5) };
    lines = [];
    const nodes = rows.slopes.some(Number.isFinite), found = app.lines();
    // Without nodes of its own, F is known where the lines of single features were taken.
    if (!nodes && found && found.names) rows = { ...rows, alphas: found.alphas, values: found.values, slopes: found.alphas.map(() => NaN), lent: true };
    const finite = rows.values.every(Number.isFinite) && path.F !== null;
    put(charts, ...(finite ? [alongPath(), nodes && running(), spent()] : [h("p", {}, "F is not finite on the path.")]));
    put(words, h("p", {}, app.spec.verdict), h("p", { class: "legend" }, "A small gap is necessary, not sufficient; the error is an estimate, not a guarantee."));
    put(tips, ...path.advice.map((tip) => h("li", {}, `${tip.text} `, app.canRun() && h("button", { type: "button", on: { click: () => app.run(tip.options) } }, "apply"))));
    scrub.hidden = !finite;
    if (finite) mark();
  }
  const table = h("details", {}, h("summary", {}, "as numbers"), h("div", { class: "scroll tall" }));
  table.addEventListener("toggle", () => {
    if (table.open) put(table.lastChild, h("table", {}, h("thead", {}, h("tr", {}, ["a", "F", "dF/da"].map((s) => h("th", { scope: "col", class: "num" }, s)))),
      h("tbody", {}, rows.alphas.map((a, i) => h("tr", {}, [a, rows.values[i], rows.slopes[i]].map((v) => h("td", { class: "num" }, general(v))))))));
  });
  const how = h("details", {}, h("summary", {}, "how this was made"), h("table", {}, h("tbody", {}, app.spec.how.map(([key, value]) => h("tr", {}, h("th", { scope: "row" }, key), h("td", {}, value))))));
  draw();
  return { node: h("div", { class: "diagnostics" }, words, tips, charts, own.node, h("div", { class: "controls" }, scrub, note), table, how), draw, own };
}
