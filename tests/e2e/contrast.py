"""Which texts of a widget are too faint: a script for the page, after WCAG 2."""

CONTRAST = """w => {
  const parse = (s) => s.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = c.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c.slice(0, 3); } return [255, 255, 255]; };
  const out = [];
  for (const e of w.querySelectorAll("*")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    if (!e.offsetParent || e.closest(".away")) continue;
    let seen = 1;
    for (let at = e; at; at = at.parentElement) seen *= Number(getComputedStyle(at).opacity);
    const under = ground(e), raw = parse(getComputedStyle(e).color);
    if (raw.length > 3) seen *= raw[3];
    const ink = raw.slice(0, 3).map((v, i) => v * seen + under[i] * (1 - seen)), a = light(ink), b = light(under);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) out.push([e.className, e.textContent.slice(0, 30), ratio.toFixed(2)].join("|"));
  }
  return out;
}"""
