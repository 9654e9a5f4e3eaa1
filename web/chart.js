"use strict";
/* A small chart in SVG: lines over time, with a crosshair for the mouse, a finger or the arrow keys. Colours are the style
 * sheet's, so themes need no drawing. */

function niceTicks(low, high, count) {
  if (!(high > low)) high = low + 1;
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(m => m * power).find(m => m >= rough);
  const ticks = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-6; t += step) ticks.push(Math.abs(t) < step * 1e-6 ? 0 : t);
  return ticks;
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800].map(n => n * 1000);

class Chart {
  /* options: label (for those who cannot see it), format(y), zero (the axis begins at 0), area, dots, minimum (least height of
   * the axis), empty (text without data) */
  constructor(root, options) {
    this.root = root;
    this.options = options;
    this.data = { series: [] };
    this.tip = h("div", { class: "tip", hidden: true });
    this.picture = s("svg", { role: "img", tabindex: "0" });
    root.replaceChildren(this.picture, this.tip);
    this.picture.addEventListener("pointermove", e => this.point(e.clientX - this.picture.getBoundingClientRect().left));
    this.picture.addEventListener("pointerleave", () => this.point(null));
    this.picture.addEventListener("blur", () => this.point(null));
    this.picture.addEventListener("keydown", e => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
      if (move) { e.preventDefault(); this.step(move); }
      if (e.key === "Escape") this.point(null);
    });
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(root);
  }
  close() { this.watch.disconnect(); }

  /* data: series [{name, color (class), points [[x ms, y or null]]}], from, to (ms; else the points'), open (ms: what is right
   * of it still grows) */
  update(data) { this.data = data; this.draw(); }

  draw() {
    const width = this.root.clientWidth, height = this.root.clientHeight;
    if (!width || !height) return;
    const { series, open } = this.data, o = this.options, unit = rem();
    const all = series.flatMap(line => line.points).filter(p => p[1] !== null && isFinite(p[1]));
    this.picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (!all.length) {
      this.scale = null;
      this.picture.replaceChildren(s("text", { class: "axis", x: width / 2, y: height / 2, "text-anchor": "middle" }, o.empty || "nothing yet"));
      this.picture.setAttribute("aria-label", `${this.data.label || o.label}: ${o.empty || "nothing yet"}`);
      return;
    }
    const xs = all.map(p => p[0]), ys = all.map(p => p[1]);
    let from = this.data.from ?? Math.min(...xs), to = this.data.to ?? Math.max(...xs);
    if (from === to) { from -= 500; to += 500; }
    let low = Math.min(...ys), high = Math.max(...ys);
    if (o.zero || low > 0 && low < (high - low) * 2) low = Math.min(0, low);
    high = Math.max(high, low + (o.minimum || 0));
    if (high === low) { high += Math.abs(high) * 0.1 || 1; if (low) low -= Math.abs(low) * 0.1; }
    const small = height < unit * 6, top = unit * 0.6, bottom = height - unit * (small ? 0.5 : 1.5);
    const ticks = small ? [low, high] : niceTicks(low, high + (high - low) * 0.06, Math.max(2, Math.min(5, Math.floor((bottom - top) / (unit * 2.2)))));
    high = Math.max(high, ticks[ticks.length - 1]);
    const labels = ticks.map(t => o.format(t));
    const left = unit * (0.6 + 0.48 * Math.max(...labels.map(l => l.length))), right = width - unit * 0.7;
    const x = v => left + (v - from) / (to - from) * (right - left);
    const y = v => bottom - (v - low) / (high - low) * (bottom - top);
    this.scale = { x, y, from, to, left, right, top, bottom };
    const parts = [];
    if (open !== undefined && open < to) {
      const begin = Math.max(left, x(open));
      parts.push(s("rect", { class: "open", x: begin, y: top, width: Math.max(0, right - begin + unit * 0.3), height: bottom - top, rx: 3 }));
      if (right - begin > unit * 5) parts.push(s("text", { class: "axis", x: right, y: top + unit * 0.8, "text-anchor": "end" }, "still growing"));
    }
    ticks.forEach((t, i) => parts.push(
      s("line", { class: t === 0 ? "grid base" : "grid", x1: left, x2: right, y1: y(t), y2: y(t) }),
      s("text", { class: "axis", x: left - unit * 0.45, y: y(t) + unit * 0.25, "text-anchor": "end" }, labels[i])));
    const room = Math.max(1, Math.floor((right - left) / (unit * 5.5)));
    const step = TIME_STEPS.find(t => (to - from) / t <= room) || (to - from) / room;
    for (let t = Math.ceil(from / step) * step; t <= to && !small; t += step) {
      const text = step >= 86400000 ? clock(t, true).slice(5, 10) : step >= 60000 ? clock(t).slice(0, 5) : clock(t);
      const half = text.length * unit * 0.22;
      if (x(t) < left - half * 0.4 || x(t) > right - half * 0.6) continue;
      parts.push(s("text", { class: "axis", x: Math.min(x(t), width - half - 1), y: height - unit * 0.35, "text-anchor": "middle" }, text));
    }
    for (const line of series) parts.push(...this.line(line, x, y, low, bottom));
    this.cross = s("g", { class: "cross" });
    this.picture.replaceChildren(...parts, this.cross);
    const last = series.map(line => { const p = line.points.findLast(q => q[1] !== null); return p ? `${line.name} ${o.format(p[1])}` : ""; }).filter(Boolean);
    this.picture.setAttribute("aria-label", `${this.data.label || o.label}, latest: ${last.slice(0, 8).join(", ")}`);
    if (this.at !== undefined && this.at !== null) this.show(this.at);
  }

  line(line, x, y, low, bottom) {
    const o = this.options, parts = [], color = line.color || "c0";
    const runs = [[]];
    for (const p of line.points) {
      if (p[1] === null || !isFinite(p[1])) { if (runs[runs.length - 1].length) runs.push([]); }
      else runs[runs.length - 1].push([x(p[0]), y(p[1])]);
    }
    for (const run of runs.filter(r => r.length)) {
      const path = "M" + run.map(p => `${p[0].toFixed(1)} ${p[1].toFixed(1)}`).join("L");
      if (o.area && run.length > 1) parts.push(s("path", { class: `area ${color}`, d: `${path}L${run[run.length - 1][0].toFixed(1)} ${bottom}L${run[0][0].toFixed(1)} ${bottom}Z` }));
      if (run.length > 1 && !line.scatter) parts.push(s("path", { class: `line ${color}`, d: path }));
      const dotted = line.scatter || run.length === 1 || o.dots && run.length <= 60;
      const dots = dotted ? run : run.slice(-1);
      for (const p of dots) parts.push(s("circle", { class: `spot ${color}`, cx: p[0].toFixed(1), cy: p[1].toFixed(1), r: dotted ? 2.6 : 3.2 }));
    }
    return parts;
  }

  xs() { return [...new Set(this.data.series.flatMap(line => line.points.map(p => p[0])))].sort((a, b) => a - b); }

  step(move) {
    const xs = this.xs();
    if (!xs.length || !this.scale) return;
    const i = this.at === undefined || this.at === null ? xs.length - 1 : xs.indexOf(this.at) + move;
    this.show(xs[Math.max(0, Math.min(xs.length - 1, i))]);
  }

  point(at) {
    if (at === null || !this.scale) {
      this.at = null;
      this.tip.hidden = true;
      if (this.cross) this.cross.replaceChildren();
      return;
    }
    const xs = this.xs();
    if (xs.length) this.show(xs.reduce((best, v) => Math.abs(this.scale.x(v) - at) < Math.abs(this.scale.x(best) - at) ? v : best));
  }

  show(at) {
    this.at = at;
    const { x, y, top, bottom, left, right } = this.scale, o = this.options;
    const found = this.data.series.map(line => ({ line, point: line.points.find(p => p[0] === at) })).filter(f => f.point && f.point[1] !== null);
    if (x(at) < left - 1 || x(at) > right + 1 || !found.length) { this.point(null); return; }
    found.sort((a, b) => b.point[1] - a.point[1]);
    this.cross.replaceChildren(s("line", { x1: x(at), x2: x(at), y1: top, y2: bottom }),
      ...found.map(f => s("circle", { class: `spot ${f.line.color || "c0"}`, cx: x(at), cy: y(f.point[1]), r: 4 })));
    this.tip.replaceChildren(h("b", {}, clock(at, this.data.dates)),
      ...found.slice(0, 10).map(f => h("span", {}, h("i", { class: `key ${f.line.color || "c0"}` }), f.line.name ? `${f.line.name} ` : "", h("em", {}, o.format(f.point[1], true)))));
    this.tip.hidden = false;
    const wide = this.tip.offsetWidth, px = x(at);
    this.tip.style.left = `${px + 12 + wide > this.root.clientWidth ? Math.max(0, px - wide - 12) : px + 12}px`;
    this.tip.style.top = `${top}px`;
  }
}

/* Numbers without a time axis: bars by group. */
function drawBars(root, rows, format) {
  const most = Math.max(...rows.map(r => Math.abs(r.value)), 0) || 1;
  root.replaceChildren(h("ul", { class: "bars" }, ...rows.map(r => {
    const fill = h("i", { class: "c0" });
    fill.style.width = `${Math.max(0.5, 100 * Math.abs(r.value) / most)}%`;
    return h("li", {}, h("span", {}, r.name), h("b", {}, format(r.value)), h("div", { class: "track" }, fill));
  })));
}
