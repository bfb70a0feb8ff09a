// Elements, numbers as Python writes them, arrays out of bytes, colours. Text enters as text: no markup is parsed here.

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = new Set(["svg", "g", "path", "line", "rect", "circle", "polyline", "text", "title", "image", "polygon"]);
const FOCUSABLE = new Set(["button", "input", "select", "summary", "textarea"]);
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "selected", "width", "height"]);

// An element with properties, listeners and children. The notebook takes keys from every focused element that does not
// say otherwise itself, so each one says it here.
export function h(tag, given, ...children) {
  const drawn = DRAWN.has(tag), props = given || {};
  const e = drawn ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || (value === false && !PROPERTIES.has(name) && !name.startsWith("aria-"))) continue;
    if (name === "on") for (const [event, run] of Object.entries(value)) e.addEventListener(event, run);
    else if (name === "style") for (const [key, v] of Object.entries(value)) e.style.setProperty(key, v);
    else if (!drawn && PROPERTIES.has(name)) e[name] = value;
    else e.setAttribute(name, value === true ? "" : String(value));
  }
  if (FOCUSABLE.has(tag) || "tabindex" in props) e.setAttribute("data-lm-suppress-shortcuts", "true");
  return put(e, ...children);
}

// Children instead of those that are there; what is not wanted (false, null) is left out.
export function put(e, ...children) {
  e.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false).map((c) => (c instanceof Node ? c : String(c))));
  return e;
}

export function select(label, options, value, change, extra) {
  const e = h("select", { "aria-label": label, ...extra, on: { change: () => change(e.value) } },
    options.map((o) => h("option", { value: o.value ?? o }, o.label ?? o)));
  e.value = value;
  return e;
}

// Runs when a typed value is meant: on Enter, also where a list of suggestions takes the key, and on leaving.
export function committed(input, run) {
  let last = input.value;
  const commit = () => {
    if (input.value === last) return;
    last = input.value;
    run(input.value.trim());
  };
  input.addEventListener("change", commit);
  input.addEventListener("keydown", (event) => event.key === "Enter" && commit());
  return input;
}

export function slider(label, min, max, value, input, text, step) {
  const shown = h("output", { class: "num" }, text(value));
  const e = h("input", { type: "range", min, max, step: step || 1, "aria-label": label, "aria-valuetext": text(value) });
  e.value = value;
  e.addEventListener("input", () => {
    shown.textContent = text(Number(e.value));
    e.setAttribute("aria-valuetext", shown.textContent);
    input(Number(e.value));
  });
  return h("label", { class: "field" }, label, e, shown);
}

export function choice(name, options, value, change) {
  const group = h("div", { class: "choice", role: "radiogroup", "aria-label": name });
  const mark = (chosen) => [...group.children].forEach((b) => {
    b.setAttribute("aria-checked", b.dataset.value === chosen);
    b.tabIndex = b.dataset.value === chosen ? 0 : -1;
  });
  for (const option of options) {
    group.append(h("button", { type: "button", role: "radio", "data-value": option, tabindex: -1, on: {
      click: () => { mark(option); change(option); },
      keydown: (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const next = group.children[(options.indexOf(option) + step + options.length) % options.length];
        next.focus();
        next.click();
      } } }, option));
  }
  mark(value);
  return group;
}

// Python rounds what lies exactly between two decimals to the even one, the browser up: a nudge makes them agree.
function nudged(value, decimals) {
  const size = Math.abs(value), moved = decimals < 0 ? size / 10 ** -decimals : size * 10 ** decimals;
  return (size * 2 ** 30) % 1 === 0 && moved % 1 === 0.5 && Math.floor(moved) % 2 === 0 ? value * (1 - 1e-15) : value;
}

// Numbers, digit for digit as pyig.views.words writes them.
export function general(given, digits = 4) {
  const value = given && Number.isFinite(given) ? nudged(given, digits - 1 - Math.floor(Math.log10(Math.abs(given)))) : given;
  if (value === null || Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  if (power >= -4 && power < digits) return String(Number(value.toPrecision(digits)));
  return `${Number(mantissa)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

export function cell(value, type) {
  if (typeof value === "string") return value;
  if (typeof value === "boolean" || type === "b") return value ? "True" : "False";
  return type === "i" || type === "u" ? String(value) : general(value);
}

export function signed(values, like) {
  let largest = 0;
  for (const v of like || values) if (Number.isFinite(v) && Math.abs(v) > largest) largest = Math.abs(v);
  const decimals = largest > 0 ? Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(largest)))) : 0;
  return [...values].map((v) => {
    if (v === null || Number.isNaN(v)) return "nan";
    if (v === 0) return "0";
    const sign = v > 0 ? "+" : "-";
    if (!Number.isFinite(v)) return `${sign}inf`;
    const fixed = nudged(Math.abs(v), decimals).toFixed(decimals);
    return sign + (Number(fixed) ? fixed : general(Math.abs(v), 1));
  });
}

export function percent(share) {
  const value = 100 * share;
  return `${Math.abs(value) >= 100 ? value.toFixed(0) : general(value, 2)} %`;
}

// Arrays by name out of the bytes of a message or of the saved state. A copy: typed arrays must start at a multiple of
// their item size, which a message does not promise.
export function unpack(table, bytes) {
  const found = {};
  for (const entry of table) {
    const start = bytes.byteOffset + entry.o, part = bytes.buffer.slice(start, start + entry.b);
    if (entry.d === "png") found[entry.n] = { png: part };
    else if (entry.d === "q1") {
      const codes = new Int8Array(part);
      const data = Float32Array.from(codes, (c) => (c === -128 ? NaN : Math.sign(c) * (c / 127) ** 2 * entry.z));
      found[entry.n] = { data, shape: entry.s, approx: true };
    } else found[entry.n] = { data: entry.d === "f8" ? new Float64Array(part) : new Float32Array(part), shape: entry.s };
  }
  return found;
}

// A ramp in OKLab (Ottosson 2020) from white, evenly falling in lightness: as pyig.views.colours draws it.
function ramp(t, hue, dark, chroma) {
  const angle = (hue * Math.PI) / 180, c = chroma * Math.sin((Math.PI / 2) * t) ** 0.9;
  const L = 0.985 - (0.985 - dark) * t, a = c * Math.cos(angle), b = c * Math.sin(angle);
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3, m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s, -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s].map((x) => {
    const y = Math.min(1, Math.max(0, x));
    return Math.round(255 * (y <= 0.0031308 ? 12.92 * y : 1.055 * y ** (1 / 2.4) - 0.055));
  });
}

const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const HUES = { "orange-blue": [58, 253, 312], "red-blue": [25, 253, 312], "purple-green": [312, 150, 253], viridis: [58, 253, null] };
export const PALETTES = Object.keys(HUES);
const painted = {};

// 255 colours from against over white to for; without signs, from white to dark.
export function palette(name, withSign) {
  const [favour, against, plain] = HUES[name] || HUES["orange-blue"], key = `${name} ${withSign}`;
  return (painted[key] ||= Array.from({ length: 255 }, (_, i) => {
    if (withSign) return i === 127 ? [255, 255, 255] : ramp(Math.abs(i - 127) / 127, i > 127 ? favour : against, 0.55, 0.155);
    if (plain !== null) return i === 0 ? [255, 255, 255] : ramp(i / 254, plain, 0.36, 0.17);
    const at = (i / 254) * 4, k = Math.min(3, Math.floor(at));
    return VIRIDIS[k].map((v, c) => Math.round(v + (VIRIDIS[k + 1][c] - v) * (at - k)));
  }));
}

export const rgb = (c) => `rgb(${c[0]},${c[1]},${c[2]})`;
export const colourOf = (strength, name) => palette(name, true)[Math.round((Math.max(-1, Math.min(1, strength)) + 1) * 127)];

// Black or white, whichever can be read on a colour.
export function inkOn(c) {
  const [r, g, b] = c.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#111" : "#fff";
}

// The magnitude that gets full colour: a percentile of those above zero, between neighbours as numpy does.
export function scaleOf(kept, clip) {
  const sizes = Float64Array.from(kept, Math.abs).filter((v) => v > 0 && Number.isFinite(v)).sort();
  if (!sizes.length) return 0;
  const at = ((sizes.length - 1) * clip) / 100, low = Math.floor(at);
  return sizes[low] + (sizes[Math.min(low + 1, sizes.length - 1)] - sizes[low]) * (at - low);
}
