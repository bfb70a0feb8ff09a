// Tables: bars, waterfall and plain rows; sort, filter, the top with a remainder; a value can be edited to ask "what if".
import { h, put, committed, select, slider, choice, signed, cell, percent, general, colourOf, rgb } from "./core.js";

const FORMS = ["bars", "waterfall", "table"], ROW = 27, WINDOW = 420;

// Rows in the order asked for, the others summed up, and what is lacking to F(x) - F(x').
export function rank(tab, path, t, ui, whole) {
  const phi = path.arrays[`${t}.phi`].data, wanted = ui.filter.trim().toLowerCase();
  const at = (name, i) => (path.arrays[`${t}.${name}`] ? path.arrays[`${t}.${name}`].data[i] : path.words[t][name] ? path.words[t][name][i] : null);
  const size = (i) => (Number.isNaN(phi[i]) ? -1 : Math.abs(phi[i]));
  let order = [...phi.keys()];
  const found = wanted ? order.filter((i) => tab.names[i].toLowerCase().includes(wanted)) : order;
  if (ui.sort === "name") found.sort((a, b) => tab.names[a].localeCompare(tab.names[b], undefined, { numeric: true }));
  else if (ui.sort === "signed") found.sort((a, b) => phi[b] - phi[a]);
  else if (ui.sort === "size") found.sort((a, b) => size(b) - size(a));
  // The top is the strongest, whatever the order of the rows; a remainder of one is shown by name.
  const all = ui.view === "table" || found.length <= ui.top + 1;
  const strongest = all ? null : new Set([...found].sort((a, b) => size(b) - size(a)).slice(0, ui.top));
  const shown = all ? found : found.filter((i) => strongest.has(i)), listed = new Set(shown);
  let rest = 0;
  if (shown.length < phi.length) phi.forEach((v, i) => { if (!listed.has(i)) rest += v; });
  return { rows: shown.map((i) => ({ i, name: tab.names[i], type: tab.types[i], x: at("x", i), x0: at("x0", i), phi: phi[i],
    se: path.arrays[`${t}.se`] ? path.arrays[`${t}.se`].data[i] : null, before: path.before && path.before[t] ? path.before[t][i] : null })),
    others: phi.length - shown.length, rest, missing: whole && path.gap !== null ? -path.gap : null, difference: path.F - path.F0 };
}

// Where each bar starts and ends: at zero, or where the one before it ended.
export function spans(ranking, view) {
  let sum = 0;
  const amounts = [...ranking.rows.map((r) => r.phi), ...(ranking.others ? [ranking.rest] : []), ...(ranking.missing === null ? [] : [ranking.missing])];
  const bars = amounts.map((v) => {
    const start = view === "waterfall" ? sum : 0;
    sum += Number.isFinite(v) ? v : 0;
    return [start, start + (Number.isFinite(v) ? v : 0)];
  });
  const ends = [0, ...bars.flat(), ...ranking.rows.map((r) => (Number.isFinite(r.before) && r.before !== null ? r.before : 0))];
  return { bars, low: Math.min(...ends), high: Math.max(...ends), amounts };
}

export function barSvg(title, ranking, view, names) {
  const { bars, low, high, amounts } = spans(ranking, view), left = 210, wide = 330, line = 24, reach = high - low || 1;
  const figures = signed([...amounts, ranking.difference], amounts), x = (v) => left + ((v - low) / reach) * wide;
  const labels = [...ranking.rows.map((r) => `${r.name} = ${cell(r.x, r.type)}`), ...(ranking.others ? [`${ranking.others} other features`] : []),
    ...(ranking.missing === null ? [] : ["completeness gap"])].map((s) => (s.length > 34 ? `${s.slice(0, 33)}…` : s));
  const tall = 56 + line * labels.length;
  return h("svg", { xmlns: "http://www.w3.org/2000/svg", width: 640, height: tall, viewBox: `0 0 640 ${tall}`, "font-family": "system-ui, sans-serif", "font-size": 12 },
    h("rect", { width: 640, height: tall, fill: "#fff" }), h("text", { x: 10, y: 20, "font-weight": 600, fill: "#111" }, title),
    h("path", { d: `M${x(0)} 34V${tall - 22}`, stroke: "#777" }),
    labels.map((label, n) => [h("text", { x: left - 8, y: 50 + line * n, "text-anchor": "end", fill: "#111" }, label),
      h("rect", { x: Math.min(x(bars[n][0]), x(bars[n][1])), y: 38 + line * n, height: 16, width: Math.abs(x(bars[n][1]) - x(bars[n][0])),
        fill: n < ranking.rows.length ? rgb(colourOf(amounts[n] > 0 ? 0.9 : -0.9, names)) : "#8c8c8c" }),
      h("text", { x: left + wide + 92, y: 50 + line * n, "text-anchor": "end", fill: "#111" }, figures[n])]),
    h("text", { x: left + wide + 92, y: tall - 8, "text-anchor": "end", "font-weight": 600, fill: "#111" }, `F(x) - F(x') ${figures.at(-1)}`));
}

export function tableView(app, tab, t) {
  const way = h("p", { class: "legend num", hidden: true });
  const ui = app.ui.table, body = h("div", { class: "scroll" }), changed = (key) => (value) => { ui[key] = value; app.keep(); draw(); };
  const whole = app.spec.tabs.length === 1, search = h("input", { type: "search", placeholder: "filter", "aria-label": "filter by name", value: ui.filter });
  search.addEventListener("input", () => changed("filter")(search.value));
  const most = Math.max(1, Math.min(tab.names.length, 60));
  const controls = h("div", { class: "controls" }, choice("view", FORMS, ui.view, changed("view")),
    tab.names.length > 3 && slider("top", 1, most, Math.min(ui.top, most), changed("top"), String),
    select("order", [{ value: "size", label: "by size" }, { value: "signed", label: "from for to against" }, { value: "name", label: "by name" }, { value: "input", label: "as in the input" }], ui.sort, changed("sort")),
    choice("unit", ["F", "%"], ui.unit, changed("unit")), tab.names.length > 8 && search);

  function valueCell(row) {
    const text = cell(row.x, row.type);
    if (!app.canEdit() || row.x === null) return h("td", { class: "num" }, text);
    const number = typeof row.x === "number";
    const input = h("input", { class: "edit num", value: text, "aria-label": `value of ${row.name}, edit to ask what if`, size: Math.max(4, Math.min(12, text.length)), inputmode: number && "decimal" });
    committed(input, (typed) => {
      const value = number ? Number(typed) : typed, bad = number && (!typed || !Number.isFinite(value));
      input.setAttribute("aria-invalid", bad);
      if (!bad) app.edit(tab, row.i, value);
    });
    return h("td", { class: "num" }, input);
  }
  function barCell(row, span, reach) {
    const [start, end] = span, share = (v) => `${((v - reach.low) / (reach.high - reach.low || 1)) * 100}%`;
    const left = Math.min(start, end), bar = h("span", { class: `bar ${row.kind || (row.phi < 0 ? "against" : "favour")}` });
    bar.style.setProperty("left", share(left));
    bar.style.setProperty("width", `${(Math.abs(end - start) / (reach.high - reach.low || 1)) * 100}%`);
    if (!row.kind) bar.style.setProperty("background", rgb(colourOf(row.phi > 0 ? 0.9 : -0.9, app.ui.image.palette)));
    const zero = h("span", { class: "zero" });
    zero.style.setProperty("left", share(0));
    const ghost = row.before !== null && row.before !== undefined && ui.view === "bars" && h("span", { class: "bar ghost", title: `before: ${general(row.before)}` });
    if (ghost) {
      ghost.style.setProperty("left", share(Math.min(0, row.before)));
      ghost.style.setProperty("width", `${(Math.abs(row.before) / (reach.high - reach.low || 1)) * 100}%`);
    }
    return h("td", { class: "bars", "aria-hidden": "true" }, h("span", { class: "track" }, zero, bar, ghost));
  }
  function line(row, figure, span, reach, error) {
    return h("tr", {}, h("th", { scope: "row", title: row.name }, row.name), row.kind ? h("td", {}) : valueCell(row),
      h("td", { class: "num" }, row.kind || row.x0 === null ? "" : cell(row.x0, row.type)), ui.view !== "table" && barCell(row, span, reach),
      h("td", { class: "num" }, figure), error && h("td", { class: "num" }, row.se === null || row.se === undefined ? "" : `± ${general(row.se, 2)}`));
  }
  function draw() {
    const path = app.path(), ranking = rank(tab, path, t, ui, whole), reach = spans(ranking, ui.view), error = Boolean(path.arrays[`${t}.se`]);
    const all = [...reach.amounts, ranking.difference], share = (v) => (ranking.difference ? percent(v / ranking.difference) : "");
    const figures = ui.unit === "%" ? all.map(share) : signed(all, reach.amounts);
    const rows = [...ranking.rows], extra = [];
    if (ranking.others) extra.push({ kind: "rest", name: `${ranking.others} other feature${ranking.others === 1 ? "" : "s"}`, phi: ranking.rest });
    if (ranking.missing !== null) extra.push({ kind: "gap", name: "completeness gap", phi: ranking.missing });
    const head = h("thead", {}, h("tr", {}, ["feature", "value", "baseline", ...(ui.view === "table" ? [] : ["against | for"]), `attribution${ui.unit === "%" ? " %" : ""}`, ...(error ? ["standard error"] : [])]
      .map((label, n) => h("th", { scope: "col", class: n && label !== "against | for" ? "num" : null }, label))));
    const foot = h("tfoot", {}, extra.map((row, n) => line(row, figures[rows.length + n], reach.bars[rows.length + n], reach, error)),
      whole && h("tr", { class: "total" }, h("th", { scope: "row", colspan: ui.view === "table" ? 3 : 4 }, "F(x) - F(x')"), h("td", { class: "num" }, figures.at(-1)), error && h("td", {})));
    const inside = h("tbody", {}), table = h("table", { class: ui.view }, h("caption", { class: "away" }, `attributions of ${tab.names.length} features`), head, inside, foot);
    // Only the rows in sight are there: ten thousand features scroll like ten.
    const fill = () => {
      const first = rows.length > 80 ? Math.max(0, Math.floor(body.scrollTop / ROW) - 10) : 0, last = rows.length > 80 ? Math.min(rows.length, first + WINDOW / ROW + 20) : rows.length;
      const gap = (n) => n > 0 && h("tr", { "aria-hidden": "true" }, h("td", { colspan: 6, style: { height: `${n * ROW}px`, padding: 0 } }));
      put(inside, ...[gap(first), ...rows.slice(first, last).map((row, n) => line(row, figures[first + n], reach.bars[first + n], reach, error)), gap(rows.length - last)].filter(Boolean));
    };
    fill();
    body.onscroll = rows.length > 80 ? () => { if (!body.contains(document.activeElement) || document.activeElement === body) fill(); } : null;
    body.classList.toggle("tall", rows.length > 80);
    const focus = app.focused(body);
    put(body, table);
    focus();
    at();
  }
  // What the path has in the place of the strongest features, where the slider below stands.
  function at() {
    const a = app.ui.at;
    way.hidden = a === 1;
    if (a === 1) return;
    const rows = rank(tab, app.path(), t, { ...ui, top: 5, sort: "size", view: "bars", filter: "" }, whole).rows.filter((r) => typeof r.x === "number" && typeof r.x0 === "number");
    put(way, `at a = ${a.toFixed(2)}: `, ...rows.flatMap((r, n) => [n > 0 && ", ", h("bdi", {}, r.name), ` ${general(r.x0 + a * (r.x - r.x0))}`]));
  }
  draw();
  return { node: h("div", { class: "features" }, controls, body, way), draw, at,
    svg: () => barSvg(`${app.heading()}: ${app.path().equation}`, rank(tab, app.path(), t, { ...ui, view: ui.view === "table" ? "bars" : ui.view }, whole), ui.view, app.ui.image.palette),
    csv: () => [["feature", "value", "baseline", "attribution"], ...rank(tab, app.path(), t, { ...ui, view: "table", filter: "", sort: "input" }, whole).rows.map((r) => [r.name, r.x, r.x0, r.phi])] };
}
