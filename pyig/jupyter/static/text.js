// Texts: words tinted by their attribution, with a line below whose width and form say the same without colour; series.
import { h, put, slider, signed, general, colourOf, rgb, inkOn } from "./core.js";

const CONTINUES = [/^##/, /^(?![▁Ġ]).*$/]; // WordPiece marks the rest of a word; others mark its beginning
const SPECIAL = /^(\[(CLS|SEP|PAD|MASK|UNK)\]|<\/?s>|<pad>|<unk>|<mask>|<\|.*\|>)$/;

// Tokens, or words made of pieces with the sums of their attributions.
export function pieces(tokens, phi, merge, hide) {
  const starts = tokens.some((s) => /^[▁Ġ]/.test(s)), rule = tokens.some((s) => s.startsWith("##")) ? CONTINUES[0] : starts ? CONTINUES[1] : null;
  const out = [];
  tokens.forEach((token, i) => {
    if (token === "" || (hide && SPECIAL.test(token))) return; // empty: behind the end of a shorter text
    const last = out.at(-1);
    if (merge && rule && last && rule.test(token) && !SPECIAL.test(token) && !SPECIAL.test(tokens[i - 1])) {
      last.text += token.replace(/^##/, "");
      last.phi += phi[i];
      last.places.push(i);
    } else out.push({ text: merge ? token.replace(/^[▁Ġ]/, "") || token : token, phi: phi[i], places: [i] });
  });
  return out;
}

// The tokens that the path starts from, in the place of a word.
const startOf = (word, starts) => [...new Set(word.places.map((i) => starts[i]))].filter(Boolean).join(" ");

const tintOf = (strength, names) => colourOf(Math.sign(strength) * Math.abs(strength) ** 0.8 * 0.85, names);

// The words as a drawing that needs no style sheet: letters of one width, since nothing can be measured here.
export function textSvg(title, list, figures, largest, names) {
  const letter = 8.5, wide = 720, parts = [];
  let x = 12, y = 52;
  list.forEach((word, n) => {
    const strength = largest > 0 && Number.isFinite(word.phi) ? word.phi / largest : 0, room = [...word.text].length * letter + 8, shown = Math.abs(strength) >= 0.02, c = tintOf(strength, names);
    if (x > 12 && x + room > wide - 12) { x = 12; y += 46; }
    if (shown) parts.push(h("rect", { x, y, width: room, height: 20, fill: rgb(c) }), h("path", { d: `M${x} ${y + 21}h${room}`, stroke: "#111", "stroke-width": 1 + 2 * Math.abs(strength), "stroke-dasharray": strength < 0 ? "2 3" : null }));
    if (Math.abs(strength) >= 0.1) parts.push(h("text", { x: x + room / 2, y: y - 3, "text-anchor": "middle", "font-size": 10, fill: "#111" }, figures[n]));
    parts.push(h("text", { x: x + room / 2, y: y + 15, "text-anchor": "middle", "font-family": "monospace", textLength: room - 8, fill: shown ? inkOn(c) : "#111" }, word.text));
    x += room + 6;
  });
  const tall = y + 36;
  return h("svg", { xmlns: "http://www.w3.org/2000/svg", width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}`, "font-family": "system-ui, sans-serif", "font-size": 14 },
    h("rect", { width: wide, height: tall, fill: "#fff" }), h("text", { x: 12, y: 22, "font-weight": 600, fill: "#111" }, title), parts);
}

export function wordSpan(word, largest, figure, names, values) {
  const strength = largest > 0 && Number.isFinite(word.phi) ? word.phi / largest : 0, faint = Math.abs(strength) < 0.02;
  const c = tintOf(strength, names);
  const e = h("span", { class: `word ${faint ? "" : strength > 0 ? "favour" : "against"}`, tabindex: -1, title: figure },
    h("bdi", {}, word.text || "␣"), values && h("small", { class: "num" }, figure), h("span", { class: "away" }, ` ${figure}`));
  if (!faint) {
    e.style.setProperty("background", rgb(c));
    e.style.setProperty("color", inkOn(c));
    e.style.setProperty("border-bottom-width", `${1 + Math.round(3 * Math.abs(strength))}px`);
  }
  return e;
}

export function textView(app, tab, t) {
  const ui = app.ui.text, body = h("p", { class: "words", role: "group", "aria-label": "words with their attributions" });
  const readout = h("output", { class: "readout num", role: "status", "aria-live": "polite" }), changed = (key) => (e) => { ui[key] = e.target.checked; app.keep(); draw(); };
  const box = (label, key) => h("label", { class: "field" }, h("input", { type: "checkbox", checked: ui[key], on: { change: changed(key) } }), label);
  const controls = h("div", { class: "controls" }, box("values", "values"), box("merge pieces", "merge"), box("hide specials", "hide"));
  const start = h("p", { class: "legend" });
  // Editing a text needs its tokenizer: shown where the kernel offers one for this leaf.
  const offered = app.canEdit() && (app.live().texts || []).includes(tab.name);
  const edit = offered && h("textarea", { rows: 2, "aria-label": "text to explain instead" });
  const form = offered && h("div", { class: "controls" }, edit, h("button", { type: "button", on: { click: () => app.send({ type: "text", leaf: tab.name, text: edit.value, n: app.path().n }) } }, "explain this text"));
  if (offered) edit.value = app.live().text || "";
  function words() {
    const path = app.path();
    return pieces(path.words[t].x, path.arrays[`${t}.phi`].data, ui.merge, ui.hide);
  }
  function draw() {
    const list = words(), figures = signed(list.map((w) => w.phi)), largest = Math.max(...list.map((w) => Math.abs(w.phi) || 0), 0);
    const starts = app.path().words[t].x0 || [], from = list.map((w) => startOf(w, starts));
    const tell = (n) => (readout.textContent = `${list[n].text}: ${figures[n]}${from[n] ? `, baseline ${from[n]}` : ""}`);
    const spans = list.map((word, n) => wordSpan(word, largest, figures[n], app.ui.image.palette, ui.values));
    const go = (n) => {
      const next = Math.max(0, Math.min(spans.length - 1, n));
      spans.forEach((s, m) => (s.tabIndex = m === next ? 0 : -1));
      spans[next].focus();
    };
    spans.forEach((span, n) => {
      span.tabIndex = n ? -1 : 0;
      span.addEventListener("focus", () => tell(n));
      span.addEventListener("pointerenter", () => tell(n));
      span.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10, Home: -1e6, End: 1e6 }[event.key];
        if (!step) return;
        event.preventDefault();
        go(n + step);
      });
    });
    put(body, ...spans.flatMap((s) => [s, " "]));
    const all = new Set(from), [one] = all;
    put(start, all.size === 1 && one ? ["baseline: ", h("bdi", {}, one), " in the place of every word"] : all.size > 1 && "baseline: said with each word");
  }
  draw();
  return { node: h("div", { class: "text" }, controls, body, start, readout, form), draw,
    svg: () => { const list = words(); return textSvg(`${app.heading()}: ${app.path().equation}`, list, signed(list.map((w) => w.phi)), Math.max(...list.map((w) => Math.abs(w.phi) || 0), 0), app.ui.image.palette); },
    csv: () => [["token", "attribution"], ...words().map((w) => [w.text, w.phi])] };
}

// Sums over the channels of each step.
export const stepSums = (phi, [steps, channels]) => Array.from({ length: steps }, (_, s) => phi.slice(s * channels, (s + 1) * channels).reduce((a, b) => a + b, 0));

export function stepBars(sums, largest, names, label, ...more) {
  const wide = 640, tall = 180, per = wide / sums.length;
  return h("svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${wide} ${tall}`, width: wide, height: tall, role: "img", "aria-label": label },
    h("path", { d: `M0 ${tall / 2}H${wide}`, stroke: "currentColor", "stroke-opacity": 0.4 }),
    sums.map((v, s) => h("rect", { x: s * per, width: Math.max(0.5, per - (per > 3 ? 1 : 0)), y: v > 0 ? tall / 2 - (v / largest) * 80 : tall / 2,
      height: (Math.abs(v) / largest) * 80, fill: rgb(colourOf(v > 0 ? 0.9 : -0.9, names)) })), ...more);
}

// Steps by channels: the sum of each step as a bar, the values of the strongest channel as a line.
export function seriesView(app, tab, t) {
  const body = h("div"), readout = h("output", { class: "readout num", role: "status", "aria-live": "polite" }), [steps, channels] = tab.shape;
  let last = null;
  function draw() {
    const path = app.path(), phi = path.arrays[`${t}.phi`].data, sums = stepSums(phi, tab.shape), largest = Math.max(...sums.map(Math.abs)) || 1, figures = signed(sums);
    const sizes = Array.from({ length: channels }, (_, c) => sums.reduce((a, _v, s) => a + Math.abs(phi[s * channels + c]), 0)), best = sizes.indexOf(Math.max(...sizes));
    const [line, start] = ["x", "x0"].map((name) => path.arrays[`${t}.${name}`]).map((x) => x && Array.from({ length: steps }, (_, s) => x.data[s * channels + best]));
    // Where the path is walked, the line is the input on the way.
    const a = app.ui.at, now = line && start && a < 1 ? line.map((v, s) => start[s] + a * (v - start[s])) : line;
    const ends = [...(line || []), ...(start || [])], low = Math.min(...ends), high = Math.max(...ends);
    const curve = (values, dash) => values && h("polyline", { points: values.map((v, s) => `${((s + 0.5) * 640) / steps},${172 - ((v - low) / (high - low || 1)) * 164}`).join(" "),
      fill: "none", stroke: "currentColor", "stroke-opacity": 0.65, "stroke-width": 1.2, "stroke-dasharray": dash });
    last = stepBars(sums, largest, app.ui.image.palette, `attribution of ${steps} steps, strongest at step ${sums.map(Math.abs).indexOf(largest)}`, curve(now, null), curve(start, "4 3"));
    const place = slider("step", 0, steps - 1, 0, (s) => (readout.textContent = `step ${s}: attribution ${figures[s]}${line ? `, channel ${best}: ${general(now[s])}, baseline ${general(start[s])}` : ""}`), String);
    put(body, last, h("p", { class: "legend" }, `bars: attribution of a step, summed over ${channels} channels${line ? `; line: channel ${best}${a < 1 ? ` at a = ${a.toFixed(2)}` : ""}, from ${general(low)} to ${general(high)}; dashed: its baseline` : ""}`), place);
  }
  draw();
  return { node: h("div", { class: "series" }, body, readout), draw, at: draw, svg: () => last.cloneNode(true),
    csv: () => [["step", "channel", "attribution"], ...[...app.path().arrays[`${t}.phi`].data].map((v, i) => [Math.floor(i / channels), i % channels, v])] };
}
