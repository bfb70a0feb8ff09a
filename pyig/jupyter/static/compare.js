// Two explanations on one scale: side by side, or the difference B - A.
import { h, put, choice, signed, general, scaleOf, colourOf, rgb, cell } from "./core.js";
import { channel, kept, paint, pictures, legend } from "./image.js";
import { wordSpan, pieces, stepSums, stepBars } from "./text.js";

const largest = (...lists) => lists.reduce((m, list) => list.reduce((n, v) => (Number.isFinite(v) ? Math.max(n, Math.abs(v)) : n), m), 0);

// Pairs of positions of two word lists, null where one has no partner: the longest common subsequence.
export function align(a, b) {
  const n = a.length, m = b.length, long = Array.from({ length: n + 1 }, () => new Uint16Array(m + 1));
  for (let i = n - 1; i >= 0; i--) for (let j = m - 1; j >= 0; j--) long[i][j] = a[i] === b[j] ? long[i + 1][j + 1] + 1 : Math.max(long[i + 1][j], long[i][j + 1]);
  const out = [];
  for (let i = 0, j = 0; i < n || j < m; ) {
    if (i < n && j < m && a[i] === b[j]) out.push([i++, j++]);
    else if (i < n && (j === m || long[i + 1][j] >= long[i][j + 1])) out.push([i++, null]);
    else out.push([null, j++]);
  }
  return out;
}

function images(app, A, B, t) {
  const tab = A.spec.tabs[t], ui = { ...app.ui.image, sign: "signed" }, one = channel(A.path, t, "sum", tab.layout), two = channel(B.path, t, "sum", tab.layout);
  if (String(one.shape) !== String(two.shape)) return h("p", {}, `pictures of different size: ${one.shape.join(" x ")} and ${two.shape.join(" x ")}`);
  const scale = scaleOf([...kept(one.data, "signed"), ...kept(two.data, "signed")], ui.clip);
  const change = { data: two.data.map((v, i) => v - one.data[i]), shape: one.shape }, row = h("div", { class: "pictures" });
  Promise.all([pictures(A.path, t), pictures(B.path, t)]).then(([first, second]) => {
    const parts = app.ui.pair === "difference" ? [["B - A", change, second, "heat"]] : [["A", one, first, ui.mode], ["B", two, second, ui.mode], ["B - A", change, second, "heat"]];
    for (const [name, heat, shown, mode] of parts) {
      const canvas = h("canvas", { role: "img", "aria-label": `attributions of ${name}` });
      paint(canvas, mode === "side by side" ? "overlay" : mode, heat, scale, ui, shown);
      canvas.style.setProperty("width", `${Math.round((heat.shape[1] * 224) / Math.max(...heat.shape))}px`);
      row.append(h("figure", {}, h("div", { class: "stage" }, canvas), h("figcaption", {}, name)));
    }
  });
  return h("div", {}, row, legend(scale, ui, 0));
}

function tables(app, A, B, t) {
  const find = (side) => new Map(side.spec.tabs[t].names.map((name, i) => [name, i]));
  const places = [find(A), find(B)], names = [...new Set([...places[0].keys(), ...places[1].keys()])];
  const phi = (side, k, name) => (places[k].has(name) ? side.path.arrays[`${t}.phi`].data[places[k].get(name)] : 0);
  const value = (side, k, name) => {
    const i = places[k].get(name), x = side.path.arrays[`${t}.x`];
    return i === undefined ? "" : cell(x ? x.data[i] : side.path.words[t].x[i], side.spec.tabs[t].types[i]);
  };
  const rows = names.map((name) => ({ name, a: phi(A, 0, name), b: phi(B, 1, name), x: [value(A, 0, name), value(B, 1, name)] }));
  const key = app.ui.pair === "difference" ? (r) => Math.abs(r.b - r.a) : (r) => Math.max(Math.abs(r.a), Math.abs(r.b));
  rows.sort((p, q) => key(q) - key(p));
  const shown = rows.slice(0, app.ui.table.top), rest = rows.slice(app.ui.table.top);
  if (rest.length) shown.push({ name: `${rest.length} other features`, a: rest.reduce((s, r) => s + r.a, 0), b: rest.reduce((s, r) => s + r.b, 0), x: ["", ""], kind: "rest" });
  const most = largest(shown.flatMap((r) => [r.a, r.b, r.b - r.a])) || 1, figures = ["a", "b"].map((k) => signed(shown.map((r) => r[k]))), changes = signed(shown.map((r) => r.b - r.a));
  const bar = (v) => {
    const e = h("span", { class: "bar", style: { left: `${v < 0 ? 50 - (50 * -v) / most : 50}%`, width: `${(50 * Math.abs(v)) / most}%`, background: rgb(colourOf(v > 0 ? 0.9 : -0.9, app.ui.image.palette)) } });
    return h("td", { class: "bars", "aria-hidden": "true" }, h("span", { class: "track" }, h("span", { class: "zero", style: { left: "50%" } }), e));
  };
  const columns = app.ui.pair === "difference" ? ["B - A", ""] : ["A", "", "B", "", "B - A"];
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["feature", "value A", "value B", ...columns].map((c, n) => h("th", { scope: "col", class: n ? "num" : null }, c)))),
    h("tbody", {}, shown.map((r, n) => h("tr", {}, h("th", { scope: "row" }, r.name), h("td", { class: "num" }, r.x[0]), h("td", { class: `num ${r.x[0] !== r.x[1] ? "differs" : ""}` }, r.x[1]),
      app.ui.pair === "difference" ? [h("td", { class: "num" }, changes[n]), bar(r.b - r.a)]
        : [h("td", { class: "num" }, figures[0][n]), bar(r.a), h("td", { class: "num" }, figures[1][n]), bar(r.b), h("td", { class: "num" }, changes[n])])))));
}

// Word above word, where both have it; or one line of what changed.
function texts(app, A, B, t) {
  const names = app.ui.image.palette, values = app.ui.text.values, list = (side) => pieces(side.path.words[t].x, side.path.arrays[`${t}.phi`].data, app.ui.text.merge, app.ui.text.hide);
  const both = [list(A), list(B)], pairs = align(...both.map((words) => words.map((w) => w.text))), of = (pair, k) => (pair[k] === null ? null : both[k][pair[k]]);
  const changes = pairs.map((pair) => (of(pair, 1)?.phi || 0) - (of(pair, 0)?.phi || 0)), most = largest(both[0].map((w) => w.phi), both[1].map((w) => w.phi), changes);
  const figures = both.map((words) => signed(words.map((w) => w.phi))), moved = signed(changes), said = (pair, k) => (pair[k] === null ? "not there" : figures[k][pair[k]]);
  const word = (pair, k) => {
    if (pair[k] === null) return h("span", { class: "word missing", "aria-label": "not there" }, "·");
    const span = wordSpan(of(pair, k), most, said(pair, k), names, values);
    if (pair[1 - k] === null) span.classList.add("new");
    return span;
  };
  const change = (pair, n) => {
    const span = wordSpan({ text: (of(pair, 1) || of(pair, 0)).text, phi: changes[n] }, most, moved[n], names, values);
    span.title = `B - A ${moved[n]}: A ${said(pair, 0)}, B ${said(pair, 1)}`;
    if (pair[0] === null) span.classList.add("new");
    if (pair[1] === null) span.classList.add("gone");
    return span;
  };
  const columns = app.ui.pair === "difference" ? pairs.map(change) : [h("span", { class: "pair" }, h("b", {}, "A"), h("b", {}, "B")), ...pairs.map((pair) => h("span", { class: "pair" }, word(pair, 0), word(pair, 1)))];
  return h("div", {}, h("p", { class: `words aligned${values ? " valued" : ""}` }, columns.flatMap((e) => [e, " "])),
    h("p", { class: "legend" }, app.ui.pair === "difference" ? "B - A, word by word; outlined: only in B, struck through: only in A" : "word above word; outlined: only there"));
}

function series(app, A, B, t) {
  const shapes = [A, B].map((side) => side.spec.tabs[t].shape), [a, b] = [A, B].map((side, k) => [...stepSums(side.path.arrays[`${t}.phi`].data, shapes[k])]);
  if (a.length !== b.length) return h("p", {}, `series of different length: ${a.length} and ${b.length} steps`);
  const change = b.map((v, s) => v - a[s]), most = largest(a, b, change) || 1;
  const parts = [["A", a], ["B", b], ["B - A", change]].filter(([name]) => app.ui.pair !== "difference" || name === "B - A");
  return h("div", { class: "pictures" }, parts.map(([name, sums]) => h("figure", {}, h("figcaption", {}, `${name}: each step, summed over its channels`), stepBars(sums, most, app.ui.image.palette, `attributions of ${name}`))));
}

export function comparison(app, A, B) {
  const body = h("div"), same = A.spec.tabs.map((tab, t) => t).filter((t) => B.spec.tabs[t] && B.spec.tabs[t].kind === A.spec.tabs[t].kind);
  const change = (value) => { app.ui.pair = value; app.keep(); draw(); };
  const name = (key, side) => h("p", {}, h("b", {}, key), " ", side.label, `: ${side.path.equation}; ${side.path.state}`);
  function draw() {
    const kinds = { image: images, table: tables, text: texts, series };
    put(body, ...(same.length ? same.map((t) => kinds[A.spec.tabs[t].kind](app, A, B, t))
      : [h("p", {}, "The two have no input of one kind in common.")]));
  }
  draw();
  return { node: h("section", { class: "compare", "aria-label": "comparison of A and B" }, name("A", A), name("B", B), choice("comparison", ["side by side", "difference"], app.ui.pair, change), body), draw };
}
