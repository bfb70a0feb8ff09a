// Pictures: overlay, heat map, mask, side by side; values under the cursor; the strongest regions.
import { h, put, select, slider, choice, general, signed, percent, palette, rgb, scaleOf } from "./core.js";

const MODES = ["overlay", "heat", "mask", "side by side"];
const SIGNS = ["signed", "absolute", "positive", "negative"];
const REGIONS = 14, LISTED = 6;

// A PNG as bytes of red, green, blue, opacity.
export async function decode(png) {
  const bitmap = await createImageBitmap(new Blob([png], { type: "image/png" }));
  const canvas = h("canvas", { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return { w: bitmap.width, h: bitmap.height, rgba: context.getImageData(0, 0, bitmap.width, bitmap.height).data };
}

// Pictures of a path, decoded once.
export function pictures(path, t) {
  const a = path.arrays, cache = (path.pictures ||= {});
  return (cache[t] ||= Promise.all([decode(a[`${t}.pic`].png), decode(a[`${t}.pic0`].png)]).then(([now, before]) => {
    cache[`${t} ready`] = { now, before };
    return cache[`${t} ready`];
  }));
}

// Attributions of the chosen channel, or of all together.
export function channel(path, t, which, layout) {
  const all = path.arrays[`${t}.phi`], parts = path.arrays[`${t}.parts`];
  if (which === "sum" || !parts) return all;
  const [rows, columns] = all.shape, size = rows * columns, count = parts.data.length / size, out = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    let norm = 0, most = 0, one = 0;
    for (let c = 0; c < count; c++) {
      const v = parts.data[layout === "chw" ? c * size + i : i * count + c];
      norm += v * v;
      if (Math.abs(v) > Math.abs(most)) most = v;
      if (String(c) === which) one = v;
    }
    out[i] = which === "L2" ? Math.sqrt(norm) : which === "max" ? most : one;
  }
  return { data: out, shape: all.shape, approx: all.approx };
}

export function kept(data, sign) {
  const f = { signed: (v) => v, absolute: Math.abs, positive: (v) => Math.max(v, 0), negative: (v) => Math.max(-v, 0) }[sign];
  return Float32Array.from(data, f);
}

// One picture of w x h pixels from attributions and the pictures of x and x', blended at a.
export function paint(canvas, mode, heat, scale, ui, shown, a = 1) {
  const [rows, columns] = heat.shape, withSign = ui.sign === "signed", colours = palette(ui.palette, withSign);
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows), out = image.data;
  const opacity = ui.opacity / 100, against = colours[0], favour = colours[254], { now, before } = shown;
  const column = (p) => Int32Array.from({ length: columns }, (_, x) => 4 * Math.min(p.w - 1, Math.floor((x * p.w) / columns)));
  const row = (p, y) => 4 * p.w * Math.min(p.h - 1, Math.floor((y * p.h) / rows)), xs = column(now), xs0 = column(before);
  // No array for each pixel: a slider repaints the picture many times a second.
  for (let y = 0, i = 0; y < rows; y++) {
    const start = row(now, y), start0 = row(before, y);
    for (let x = 0; x < columns; x++, i++) {
      const raw = heat.data[i], s = scale > 0 && Number.isFinite(raw) ? Math.max(-1, Math.min(1, raw / scale)) : 0;
      let p = start + xs[x], r = now.rgba[p], g = now.rgba[p + 1], b = now.rgba[p + 2];
      if (a !== 1) {
        p = start0 + xs0[x];
        r = a * r + (1 - a) * before.rgba[p];
        g = a * g + (1 - a) * before.rgba[p + 1];
        b = a * b + (1 - a) * before.rgba[p + 2];
      }
      if (mode === "heat") [r, g, b] = colours[Math.round(withSign ? (s + 1) * 127 : s * 254)];
      else if (mode === "mask") {
        const open = Math.min(1, Math.abs(s) ** 0.5 * 1.3);
        r = 128 + (r - 128) * open;
        g = 128 + (g - 128) * open;
        b = 128 + (b - 128) * open;
      } else if (mode !== "input") {
        // Never black, never white below: both tints must stand out from the darkest and the brightest spot.
        const c = s < 0 ? against : favour, alpha = opacity * Math.abs(s) ** 0.7, ground = (60 + (180 * (0.299 * r + 0.587 * g + 0.114 * b)) / 255) * (1 - alpha);
        r = ground + c[0] * alpha;
        g = ground + c[1] * alpha;
        b = ground + c[2] * alpha;
      }
      out[4 * i] = r;
      out[4 * i + 1] = g;
      out[4 * i + 2] = b;
      out[4 * i + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}

// Where the path starts, small, beside what is explained.
function startPicture(canvas, tab, shown) {
  const [rows, columns] = tab.layout === "chw" ? tab.shape.slice(1) : tab.shape, zoom = 96 / Math.max(rows, columns);
  paint(canvas, "input", { data: [], shape: [shown.now.h, shown.now.w] }, 0, {}, shown, 0);
  canvas.style.setProperty("width", `${Math.round(columns * zoom)}px`);
  canvas.style.setProperty("aspect-ratio", `${columns} / ${rows}`);
}
function startName(app) {
  const count = Number(new Map(app.spec.how).get("n_baselines") || 1);
  return count > 1 ? `baseline, mean of ${count}` : "baseline";
}

export function legend(scale, ui, share) {
  const withSign = ui.sign === "signed", colours = palette(ui.palette, withSign);
  const strip = h("canvas", { class: "strip", width: 255, height: 1, "aria-hidden": "true" });
  const context = strip.getContext("2d"), image = context.createImageData(255, 1);
  colours.forEach((c, i) => image.data.set([...c, 255], 4 * i));
  context.putImageData(image, 0, 0);
  if (!scale) return h("p", { class: "legend" }, "all attributions are zero");
  const [low, high] = signed([-scale, scale]);
  const text = withSign ? [`against ${low}`, `${high} for`] : ["0", high.slice(1)];
  return h("p", { class: "legend" }, h("span", { class: "num" }, text[0]), strip, h("span", { class: "num" }, text[1]),
    `${withSign ? "," : ""} per pixel${share ? `; ${percent(share)} of pixels beyond` : ""}`);
}

export function summary(heat) {
  let favour = 0, against = 0, best = 0;
  heat.data.forEach((v, i) => {
    if (v > 0) favour += v;
    else if (v < 0) against -= v;
    if (Math.abs(v) > Math.abs(heat.data[best] || 0)) best = i;
  });
  if (!(favour + against > 0)) return "all attributions are zero";
  const [rows, columns] = heat.shape;
  return `heat map of ${rows} by ${columns} pixels, ${Math.round((100 * favour) / (favour + against))} % of the attribution ` +
    `speaks for; strongest at row ${Math.floor(best / columns)}, column ${best % columns}`;
}

// Sums over a grid of regions, the strongest first.
export function regions(heat, shape) {
  const [rows, columns] = heat.shape, across = Math.min(REGIONS, columns), down = Math.min(REGIONS, rows);
  const sums = new Float64Array(across * down), weight = (shape[0] * shape[1]) / (rows * columns);
  for (let y = 0, i = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++, i++) sums[Math.floor((y * down) / rows) * across + Math.floor((x * across) / columns)] += (heat.data[i] || 0) * weight;
  }
  const order = [...sums.keys()].sort((p, q) => Math.abs(sums[q]) - Math.abs(sums[p]));
  return { down, across, rows: order.map((r) => ({ row: Math.floor(r / across), column: r % across, sum: sums[r] })) };
}

export function imageView(app, tab, t) {
  const ui = app.ui.image, path = () => app.path(), body = h("div", { class: "pictures" }), notes = h("div");
  const side = h("div", { class: "regions" }), readout = h("output", { class: "readout num", role: "status", "aria-live": "polite" });
  const shape = tab.layout === "chw" ? tab.shape.slice(1) : tab.shape.slice(0, 2), mixed = tab.layout !== "hw";
  const start = h("canvas", { class: "start", role: "img", "aria-label": "the baseline picture" });
  let cursor = [Math.floor(shape[0] / 2), Math.floor(shape[1] / 2)], pinned = null, frames = [], last = {}, listed = null;
  const changed = (key) => (value) => { ui[key] = value; app.keep(); draw(); };
  const count = mixed ? tab.shape[tab.layout === "chw" ? 0 : 2] : 1;
  const names = count === 3 || count === 4 ? ["red", "green", "blue", "opacity"] : ["channel 0", "channel 1"];
  const channels = [{ value: "sum", label: "sum of channels" }, { value: "L2", label: "L2 norm" }, { value: "max", label: "strongest channel" },
    ...Array.from({ length: count }, (_, c) => ({ value: String(c), label: names[c] }))];
  const pick = select("channels", channels, ui.channel, changed("channel"));
  const controls = h("div", { class: "controls" }, choice("view", MODES, ui.mode, changed("mode")),
    slider("opacity", 0, 100, ui.opacity, changed("opacity"), (v) => `${v} %`),
    slider("clip", 90, 100, ui.clip, changed("clip"), (v) => `${v} %`, 0.5),
    select("sign", SIGNS, ui.sign, changed("sign")), select("palette", app.palettes, ui.palette, changed("palette")), mixed && pick);

  function frame(label) {
    const canvas = h("canvas", { role: "img", tabindex: 0 }), mark = h("div", { class: "cursor", hidden: true }), box = h("div", { class: "box", hidden: true });
    const stage = h("div", { class: "stage" }, canvas, box, mark);
    const place = (event) => {
      const r = canvas.getBoundingClientRect();
      move(Math.floor(((event.clientY - r.top) / r.height) * shape[0]), Math.floor(((event.clientX - r.left) / r.width) * shape[1]));
    };
    canvas.addEventListener("pointermove", place);
    canvas.addEventListener("pointerdown", (event) => { place(event); pin(); });
    canvas.addEventListener("keydown", (event) => {
      const big = event.shiftKey ? 10 : 1, step = { ArrowUp: [-big, 0], ArrowDown: [big, 0], ArrowLeft: [0, -big], ArrowRight: [0, big] }[event.key];
      if (event.key === "Enter") pin();
      else if (!step) return;
      else move(cursor[0] + step[0], cursor[1] + step[1]);
      event.preventDefault();
    });
    return { canvas, mark, box, figure: h("figure", {}, stage, label && h("figcaption", {}, label)) };
  }
  function value(name, i) {
    const a = path().arrays[`${t}.${name}`], size = shape[0] * shape[1];
    if (!a) return null;
    return Array.from({ length: count }, (_, c) => a.data[!mixed ? i : tab.layout === "chw" ? c * size + i : i * count + c]);
  }
  function describe([y, x]) {
    const heat = channel(path(), t, ui.channel, tab.layout), [rows, columns] = heat.shape, i = y * shape[1] + x;
    const phi = heat.data[Math.floor((y * rows) / shape[0]) * columns + Math.floor((x * columns) / shape[1])];
    const total = path().F === null ? NaN : path().F - path().F0, input = value("x", i), start = value("x0", i);
    const list = (v) => (v.length > 1 ? `(${v.map((n) => general(n, 3)).join(", ")})` : general(v[0]));
    return `row ${y}, column ${x}${input ? `  x ${list(input)}  x' ${list(start)}` : ""}  attribution ${phi > 0 ? "+" : ""}${general(phi)}` +
      `${Number.isFinite(total) && total ? ` (${percent(phi / total)} of F(x) - F(x'))` : ""}${heat.approx ? ", approximate" : ""}`;
  }
  function move(y, x) {
    cursor = [Math.max(0, Math.min(shape[0] - 1, y)), Math.max(0, Math.min(shape[1] - 1, x))];
    for (const f of frames) {
      f.mark.hidden = false;
      f.mark.style.setProperty("left", `${((cursor[1] + 0.5) / shape[1]) * 100}%`);
      f.mark.style.setProperty("top", `${((cursor[0] + 0.5) / shape[0]) * 100}%`);
    }
    readout.textContent = (pinned ? `pinned: ${pinned}\n` : "") + describe(cursor);
  }
  function pin() { pinned = pinned === describe(cursor) ? null : describe(cursor); move(...cursor); }
  function outline(region, grid) {
    for (const f of frames) {
      f.box.hidden = !region;
      if (!region) continue;
      const set = (key, v) => f.box.style.setProperty(key, `${v * 100}%`);
      set("left", region.column / grid.across); set("top", region.row / grid.down);
      set("width", 1 / grid.across); set("height", 1 / grid.down);
    }
  }
  function listRegions(heat) {
    const grid = regions(heat, shape), top = grid.rows.slice(0, LISTED), rest = grid.rows.slice(LISTED).reduce((s, r) => s + r.sum, 0);
    const figures = signed([...top.map((r) => r.sum), rest]), most = Math.abs(top[0].sum) || 1;
    put(side, h("h4", {}, `strongest of ${grid.down} x ${grid.across} regions`), h("ol", {}, top.map((r, n) => h("li", { tabindex: 0,
      "aria-label": `rows ${Math.round((r.row * shape[0]) / grid.down)} on, columns ${Math.round((r.column * shape[1]) / grid.across)} on: ${figures[n]}`,
      on: { pointerenter: () => outline(r, grid), pointerleave: () => outline(null), focus: () => outline(r, grid), blur: () => outline(null) } },
      h("span", { class: "num" }, `${r.row},${r.column}`), h("span", { class: "num amount" }, figures[n]),
      h("span", { class: `bar ${r.sum < 0 ? "against" : "favour"}`, style: { width: `${(60 * Math.abs(r.sum)) / most}px` } })))),
      h("p", { class: "legend" }, `${grid.rows.length - top.length} other regions `, h("span", { class: "num" }, figures.at(-1))));
  }
  // What opacity, palette and mode do not change is counted once.
  function measured(p) {
    const key = [ui.channel, ui.sign, ui.clip].join();
    if (last.arrays === p.arrays && last.key === key) return last;
    const same = last.arrays === p.arrays && last.channel === ui.channel, heat = same ? last.heat : channel(p, t, ui.channel, tab.layout);
    const shown = { data: kept(heat.data, ui.sign), shape: heat.shape }, scale = scaleOf(shown.data, ui.clip);
    let beyond = 0;
    for (const v of shown.data) if (Math.abs(v) > scale) beyond++;
    last = { arrays: p.arrays, key, channel: ui.channel, heat, shown, scale, beyond: beyond / shown.data.length, text: same ? last.text : summary(heat) };
    return last;
  }
  function draw() {
    const p = path();
    pick.disabled = !p.arrays[`${t}.parts`];
    const ready = p.pictures && p.pictures[`${t} ready`];
    if (!ready) return void pictures(p, t).then(() => body.isConnected !== undefined && draw());
    const { heat, shown, scale, beyond, text } = measured(p);
    const modes = ui.mode === "side by side" ? ["input", "heat", "overlay"] : [ui.mode];
    if (frames.length !== modes.length) {
      frames = modes.map((mode) => frame(modes.length > 1 ? (mode === "heat" ? "attributions" : mode) : null));
      put(body, ...frames.map((f) => f.figure), h("figure", {}, h("div", { class: "stage" }, start), h("figcaption", {}, startName(app))));
    }
    startPicture(start, tab, ready);
    const wide = modes.length > 1 ? 224 : 336, zoom = wide / Math.max(shape[0], shape[1]);
    frames.forEach((f, n) => {
      paint(f.canvas, modes[n], shown, scale, ui, ready, app.ui.at);
      f.canvas.style.setProperty("width", `${Math.round(shape[1] * zoom)}px`);
      f.canvas.style.setProperty("aspect-ratio", `${shape[1]} / ${shape[0]}`);
      f.canvas.setAttribute("aria-label", modes[n] === "input" ? "the input picture" : text);
    });
    put(notes, legend(scale, ui, beyond));
    if (listed !== heat) listRegions((listed = heat));
  }
  draw();
  const node = h("div", { class: "image" }, controls, h("div", { class: "row" }, h("div", {}, body, notes, readout), side));
  return { node, draw, at: draw,
    canvas: () => frames[frames.length - 1].canvas,
    csv: () => {
      const heat = path().arrays[`${t}.phi`], rows = [["row", "column", "attribution"]];
      heat.data.forEach((v, i) => rows.push([Math.floor(i / heat.shape[1]), i % heat.shape[1], v]));
      return rows;
    } };
}
