// Files out of what is on screen: PNG, SVG, CSV; the page and the Python come from the kernel's own words.
import { h, put } from "./core.js";

export function download(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = h("a", { download: name });
  link.href = url;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// A field that a spreadsheet would run as a formula starts with an apostrophe.
export function csvOf(rows) {
  const field = (v) => {
    if (v === null || v === undefined) return "";
    const text = typeof v === "string" && /^[=+\-@\t\r]/.test(v) ? `'${v}` : String(v);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
}

export const svgText = (svg) => `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(svg)}`;

// A picture as an SVG: the pixels stay a PNG inside.
export function wrapped(canvas) {
  return h("svg", { xmlns: "http://www.w3.org/2000/svg", width: canvas.width, height: canvas.height, viewBox: `0 0 ${canvas.width} ${canvas.height}` },
    h("image", { href: canvas.toDataURL("image/png"), width: canvas.width, height: canvas.height, style: { "image-rendering": "pixelated" } }));
}

// A drawing or a small picture, enlarged to print well.
export function pngOf(source, run) {
  const paint = (picture, w, height, smooth) => {
    const canvas = h("canvas", { width: w, height }), context = canvas.getContext("2d");
    context.imageSmoothingEnabled = smooth;
    context.drawImage(picture, 0, 0, w, height);
    canvas.toBlob(run, "image/png");
  };
  if (source instanceof HTMLCanvasElement) {
    const zoom = Math.max(1, Math.round(896 / Math.max(source.width, source.height)));
    return paint(source, source.width * zoom, source.height * zoom, false);
  }
  const picture = new Image();
  picture.onload = () => paint(picture, 2 * source.getAttribute("width"), 2 * source.getAttribute("height"), true);
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svgText(source))}`;
}

// Without a clipboard (an insecure page, a refusal) the text is shown, selected.
export function copy(text, place) {
  const show = () => {
    const area = h("textarea", { rows: 3, readonly: true, "aria-label": "Python that gives this result" });
    area.value = text;
    put(place, area);
    area.focus();
    area.select();
  };
  const done = () => put(place, h("p", { role: "status" }, "copied: ", h("code", {}, text)));
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, show);
  else show();
}
