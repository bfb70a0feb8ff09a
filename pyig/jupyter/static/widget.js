// The frame around the views: what is explained, whether it can be trusted, and what the model can be asked next.
import { h, put, committed, select, general, unpack, PALETTES } from "./core.js";
import { imageView } from "./image.js";
import { tableView } from "./table.js";
import { textView, seriesView } from "./text.js";
import { diagnostics } from "./curves.js";
import { buildup } from "./buildup.js";
import { comparison } from "./compare.js";
import { download, csvOf, svgText, wrapped, pngOf, copy } from "./export.js";

const VIEWS = { image: imageView, table: tableView, text: textView, series: seriesView };
const MARKS = { converged: ["✓", "good"], "not converged": ["!", "warn"], "stopped early": ["■", "warn"], "no estimate": ["?", "plain"] };
const USUAL = {
  path: 0, tab: 0, pair: "side by side", at: 1,
  image: { mode: "overlay", opacity: 85, clip: 99, sign: "signed", palette: "orange-blue", channel: "sum" },
  table: { view: "bars", top: 10, sort: "size", unit: "F", filter: "" },
  text: { values: false, merge: true, hide: false },
};

function merged(usual, given) {
  const out = { ...usual };
  for (const [key, value] of Object.entries(given || {})) if (key in usual) out[key] = typeof usual[key] === "object" ? merged(usual[key], value) : value;
  return out;
}

function render({ model, el }) {
  const root = h("div", { class: "pyig-widget" }), app = { palettes: PALETTES }, heard = [];
  const listen = (event, run) => { model.on(event, run); heard.push([event, run]); };
  let paths = new Map(), live = null, view = null, panel = null, alive = true, asked = 0, sent = "";
  const pins = {}, head = h("div", { class: "head" }), bar = h("div", { class: "asks", hidden: true }), progress = h("div", { class: "progress", hidden: true });
  const error = h("p", { class: "error", role: "alert", hidden: true }), picker = h("div", { class: "controls" }), tabs = h("div", { class: "tabs", role: "tablist" });
  const main = h("div", { class: "main" }), pair = h("div"), below = h("details", { class: "below" }, h("summary", {}, "convergence")), told = h("div");
  root.append(head, error, bar, progress, picker, tabs, main, pair, below, told);
  el.append(root);
  // The static copy has this class; its rule lives and dies with this view.
  const copyClass = model.get("static_class");
  if (copyClass && /^[\w-]+$/.test(copyClass)) root.append(h("style", {}, `.${copyClass}{display:none!important}.jp-OutputArea-child:has(.${copyClass}){display:none}`));

  const known = () => [...paths.values()];
  Object.assign(app, {
    path: () => paths.get(app.ui.path) || known()[0],
    live: () => live || {},
    canRun: () => Boolean(live && live.model),
    canEdit: () => Boolean(live && live.model && live.edit),
    send: (message) => model.send && model.send(message),
    run: (options) => app.send({ type: "explain", n: app.path().n, options }),
    edit: (tab, i, value) => app.send({ type: "edit", n: app.path().n, edits: [[flatPlace(tab, i), value]] }),
    lines: () => (model.get("lines") || {})[app.path().n],
    costs: (n) => ((live && live.along) || {})[n] || { gradients: 0, seconds: null },
    busy: () => !progress.hidden,
    runs: () => (app.spec.runs || []).filter((r) => r.n === app.path().n).concat(app.spec.runs && app.spec.runs.length ? [] : [app.path()]),
    heading: () => [app.spec.title, app.path().target !== null ? `target ${app.path().target}` : "", paths.size > 1 || app.path().sample !== "0" ? `sample ${app.path().sample}` : ""].filter(Boolean).join(", "),
    keep: () => { sent = JSON.stringify(app.ui); model.set("view", JSON.parse(sent)); clearTimeout(asked); asked = setTimeout(() => alive && model.save_changes(), 150); },
    moved: () => view && view.at && view.at(),
    // Redrawing takes the focus along: to the element of the same name.
    focused: (place) => {
      const name = place.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
      return () => { if (name) [...place.querySelectorAll("[aria-label]")].find((e) => e.getAttribute("aria-label") === name)?.focus(); };
    },
  });
  app.ui = merged(USUAL, model.get("view"));

  // Features of the tab's leaves are counted one after the other; a leaf starts where the user's input has it.
  function flatPlace(tab, i) {
    let left = i;
    for (const [start, stop] of tab.places) {
      if (left < stop - start) return start + left;
      left -= stop - start;
    }
    return i;
  }
  function take(list, bytes, full) {
    for (const entry of list) {
      if (!entry.arrays) continue;
      const old = paths.get(entry.n), path = { ...entry, arrays: unpack(entry.arrays, bytes), words: entry.tabs, full };
      if (old && old.full && !full) continue;
      path.before = entry.tabs.map((_, t) => (path.arrays[`${t}.before`] ? path.arrays[`${t}.before`].data : null));
      paths.set(entry.n, path);
    }
  }
  function load() {
    app.spec = model.get("spec");
    paths = new Map();
    take(app.spec.paths, model.get("data"), false);
    if (known().length && !paths.has(app.ui.path)) app.ui.path = known()[0].n;
    if (!app.spec.tabs[app.ui.tab]) app.ui.tab = 0;
  }

  function drawHead() {
    const path = app.path(), [mark, kind] = MARKS[path.state] || ["?", "plain"], spec = app.spec;
    const chip = h("span", { class: `chip ${kind}`, role: "status", "aria-live": "polite" }, h("span", { "aria-hidden": "true" }, mark), ` ${path.state}`);
    const numbers = h("span", { class: "num" }, `est. error ${path.shares[0]}, gap ${path.shares[1]} of the difference, ${path.evals} gradient${path.evals === 1 ? "" : "s"}`);
    const pin = (key) => h("button", { type: "button", "aria-pressed": Boolean(pins[key]), title: `keep this as ${key}, to compare`, on: { click: () => { pins[key] = pinned(); drawHead(); drawPair(); } } }, `pin ${key}`);
    const menu = h("select", { "aria-label": "export", on: { change: () => { save(menu.value); menu.value = ""; } } },
      [["", "export"], ["png", "PNG"], ["svg", "SVG"], ["csv", "CSV"], ...(live ? [["html", "HTML page"]] : []), ...(spec.code ? [["code", "copy as Python"]] : [])].map(([value, label]) => h("option", { value }, label)));
    const reset = spec.original === false && app.canRun() && h("button", { type: "button", on: { click: () => app.send({ type: "reset" }) } }, "back to the original");
    const focus = app.focused(head);
    put(head, h("div", { class: "line" }, h("h3", {}, h("bdi", {}, app.heading() || "explanation")), h("span", { class: "tools" }, pin("A"), pin("B"), menu)),
      h("div", { class: "line" }, h("span", { class: "num" }, path.equation), chip, numbers, spec.changed && h("b", {}, h("bdi", {}, spec.changed)), reset));
    focus();
  }
  const pinned = () => ({ spec: app.spec, path: app.path(), label: [app.heading(), app.spec.changed].filter(Boolean).join(", ") });
  function drawPair() {
    const both = pins.A && pins.B;
    const close = h("button", { type: "button", on: { click: () => { delete pins.A; delete pins.B; drawHead(); drawPair(); } } }, "end comparison");
    put(pair, ...(both ? [comparison(app, pins.A, pins.B).node, close] : pins.A || pins.B ? [h("p", { class: "legend" }, `${pins.A ? "A" : "B"} is pinned: change something, then pin ${pins.A ? "B" : "A"}.`)] : []));
  }
  function drawPicker() {
    const all = app.spec.paths, several = all.length > 1;
    picker.hidden = !several;
    if (!several) return;
    const names = all.map((p) => ({ value: String(p.n), label: `sample ${p.sample}${p.target === null ? "" : `, target ${p.target}`}: ${p.state}` }));
    const change = (value) => {
      app.ui.path = Number(value);
      app.keep();
      if (paths.has(app.ui.path)) return drawAll();
      app.send({ type: "want", paths: [app.ui.path] });
      return tell("this sample is sent by the kernel when one is there");
    };
    const focus = app.focused(picker);
    put(picker, select("sample", names, String(app.path().n), change, { class: "wide" }), app.spec.more > 0 && h("span", { class: "legend" }, `${app.spec.more} more not listed`));
    focus();
  }
  function drawTabs() {
    tabs.hidden = app.spec.tabs.length < 2;
    const go = (t) => { app.ui.tab = t; app.keep(); drawTabs(); drawView(); tabs.children[t].focus(); };
    put(tabs, ...app.spec.tabs.map((tab, t) => h("button", { type: "button", role: "tab", "aria-selected": t === app.ui.tab, tabindex: t === app.ui.tab ? 0 : -1, on: {
      click: () => go(t),
      keydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (step) { event.preventDefault(); go((t + step + app.spec.tabs.length) % app.spec.tabs.length); }
      } } }, h("bdi", {}, tab.name))));
  }
  function drawView() {
    const tab = app.spec.tabs[app.ui.tab], focus = app.focused(main);
    view = tab ? VIEWS[tab.kind](app, tab, app.ui.tab) : { node: h("p", {}, "nothing to show") };
    put(main, view.node);
    focus();
  }
  function drawBelow() {
    const focus = app.focused(below);
    panel = diagnostics(app, buildup);
    put(below, below.firstChild, panel.node);
    if (app.path().state === "not converged") below.open = true;
    focus();
    if (below.open) panel.own.wanted();
  }
  below.addEventListener("toggle", () => below.open && panel && panel.own.wanted());
  function drawAll() {
    if (!known().length) return void put(main, h("p", {}, "no samples"));
    drawHead(); drawPicker(); drawTabs(); drawView(); drawBelow(); drawBar();
  }
  const tell = (text) => put(told, h("p", { class: "legend", role: "status" }, text));

  function drawBar() {
    bar.hidden = !app.canRun();
    if (bar.hidden) return;
    const now = live.options, focus = app.focused(bar), set = (key) => (value) => app.run({ [key]: value });
    const words = (key, label, list) => {
      const id = `pyig-${Math.random().toString(36).slice(2)}`, input = h("input", { value: now[key] ?? "", "aria-label": label, list: list.length ? id : null, size: 10, placeholder: key === "target" ? "predicted" : "none" });
      committed(input, set(key));
      return h("label", { class: "field" }, label, input, list.length > 0 && h("datalist", { id }, list.map((value) => h("option", { value }))));
    };
    const number = (key, label, usual) => {
      const input = h("input", { value: now[key] ?? "", "aria-label": label, size: 5, inputmode: "decimal", placeholder: usual });
      committed(input, set(key));
      return h("label", { class: "field" }, label, input);
    };
    const pick = (key, label, list) => h("label", { class: "field" }, label, select(label, list.includes(now[key]) ? list : [now[key], ...list], now[key], set(key)));
    put(bar, words("target", "target", live.targets), words("contrast", "against", live.targets), pick("baselines", "baseline", live.baselines),
      pick("method", "method", live.methods), number("n_steps", "steps", "auto"), number("rtol", "tolerance", "0.01"), live.layers.length > 0 && words("layer", "layer", live.layers),
      h("label", { class: "field", title: "ask a copy of the model in float64" }, h("input", { type: "checkbox", "aria-label": "float64", checked: now.float64 === "on", on: { change: (e) => set("float64")(e.target.checked || null) } }), "float64"));
    focus();
  }
  // The button stays the same element: one that is replaced under the pointer loses its click.
  const meter = h("progress", { "aria-label": "work done" }), counted = h("span", { class: "num", role: "status" });
  progress.append(meter, counted, h("button", { type: "button", on: { click: () => app.send({ type: "cancel" }) } }, "cancel"));
  function drawProgress(message) {
    progress.hidden = !message.running;
    const known = message.total > 1;
    if (known) Object.assign(meter, { max: message.total, value: message.done });
    else meter.removeAttribute("value");
    // What was asked for in the meantime had to wait.
    if (!message.running && panel && below.open) panel.own.wanted();
    counted.textContent = `${known ? `${message.done} of ${message.total}` : `${message.calls} model calls`}, ${message.seconds.toFixed(1)} s`;
  }

  function save(what) {
    const name = `${(app.heading() || "explanation").replace(/[^\w-]+/g, "_").slice(0, 60)}`;
    const drawn = view.svg ? view.svg() : null, canvas = view.canvas ? view.canvas() : null;
    if (what === "csv") download(`${name}.csv`, csvOf(view.csv()), "text/csv");
    else if (what === "svg" && (drawn || canvas)) download(`${name}.svg`, svgText(drawn || wrapped(canvas)), "image/svg+xml");
    else if (what === "png" && (drawn || canvas)) pngOf(canvas || drawn, (blob) => download(`${name}.png`, blob));
    else if (what === "html") app.send({ type: "page" });
    else if (what === "code") copy(app.spec.code, told);
    else if (what) tell(`this view has no ${what.toUpperCase()}`);
  }

  listen("change:spec", () => { load(); drawAll(); if (pins.A || pins.B) drawPair(); });
  listen("change:lines", () => panel && (panel.own.draw(), panel.draw()));
  listen("change:view", () => {
    if (JSON.stringify(model.get("view")) === sent) return;
    app.ui = merged(USUAL, model.get("view"));
    drawAll();
  });
  listen("msg:custom", (message, buffers) => {
    if (message.type === "full" && message.id === app.spec.id) {
      take(message.paths, buffers[0], true);
      drawAll();
      if (!asked) tell("");
    } else if (message.type === "live") {
      live = message.live;
      if (!known().length) return;
      drawHead();
      drawBar();
      drawBelow();
      // Only tables and texts have something to edit; a picture would be painted twice for nothing.
      if (app.spec.tabs[app.ui.tab] && app.spec.tabs[app.ui.tab].kind !== "image") drawView();
    } else if (message.type === "progress") drawProgress(message);
    else if (message.type === "error") {
      error.hidden = !message.text;
      error.textContent = message.text;
    } else if (message.type === "file") download(message.name, message.text, message.mime);
  });
  load();
  for (const [key, given] of Object.entries(model.get("pins") || {})) {
    const found = { ...given.spec.paths[0], arrays: unpack(given.spec.paths[0].arrays, model.get(`data_${key.toLowerCase()}`)), words: given.spec.paths[0].tabs };
    pins[key] = { spec: given.spec, path: found, label: given.label };
  }
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const c = getComputedStyle(at).backgroundColor.match(/[\d.]+/g);
      if (c && (c.length < 4 || Number(c[3]) > 0.5)) return 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2];
    }
    return 255;
  };
  // Where the page says what its theme is, that counts; else the colour behind the widget, once it is in the page.
  const shade = () => {
    const said = document.body.dataset.jpThemeLight, kind = document.body.className.match(/vscode-(light|dark|high-contrast)\b/);
    root.classList.toggle("dark", said ? said === "false" : kind ? kind[1] !== "light" : ground(root.isConnected ? el : document.body) < 128);
  };
  shade();
  requestAnimationFrame(shade);
  const watch = new MutationObserver(shade);
  watch.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name", "style"] });
  drawAll();
  drawPair();
  app.send({ type: "hello" });
  return () => {
    alive = false;
    watch.disconnect();
    for (const [event, run] of heard) model.off(event, run);
  };
}

const widget = { render };
export default widget;
