"use strict";
/* Views: one at a time, as a chart and a table, both from /v1/views/NAME. A click on a value keeps only its rows. */

const NUMBERS = /^(smallint|integer|bigint|real|double precision|numeric)/;
const TIMES = /^(timestamp|date)/;
const SERIES_MOST = 8, ROWS_SHOWN = 50, ROWS_ASKED = 400;

class Views {
  constructor(tabs, panel, model) {
    this.tabs = tabs;
    this.panel = panel;
    this.views = model.views;
    this.filters = new Map(); /* view name -> Map of column -> value */
    this.asked = 0;
    tabs.replaceChildren(...this.views.map((view, i) => h("button", {
      type: "button", role: "tab", id: `tab-${i}`, "aria-controls": "view-panel",
      onclick: () => this.choose(i), onkeydown: e => this.key(e, i),
    }, view.name)));
    if (this.views.length) this.choose(0);
    else panel.replaceChildren(h("p", { class: "empty" }, "This pipeline has no materialized view; its results go to its sinks."));
  }

  key(event, i) {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -i, End: this.views.length - 1 - i }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    const next = (i + move + this.views.length) % this.views.length;
    this.choose(next);
    this.tabs.children[next].focus();
  }

  choose(i) {
    this.view = this.views[i];
    [...this.tabs.children].forEach((tab, n) => { tab.setAttribute("aria-selected", n === i); tab.tabIndex = n === i ? 0 : -1; });
    this.panel.setAttribute("aria-labelledby", `tab-${i}`);
    const columns = this.view.columns;
    this.axis = this.view.window_start || this.view.window_end || columns.find(c => TIMES.test(c.type))?.name || null;
    this.values = columns.filter(c => NUMBERS.test(c.type)).map(c => c.name);
    this.groups = columns.filter(c => !NUMBERS.test(c.type) && !TIMES.test(c.type) && c.type !== "jsonb" && c.type !== "bytea").map(c => c.name);
    this.value = this.values.find(v => !/(^|_)id$/i.test(v)) || this.values[0];
    this.group = this.view.window_start || this.view.window_end ? "*" : this.groups[0] || "";
    this.shown = "";
    this.rows = [];
    this.build();
    this.load();
  }

  filter() {
    if (!this.filters.has(this.view.name)) this.filters.set(this.view.name, new Map());
    return this.filters.get(this.view.name);
  }

  keep(column, value) {
    if (value === null || value === undefined) this.filter().delete(column);
    else this.filter().set(column, String(value));
    this.shown = "";
    this.build();
    this.load();
  }

  build() {
    const choice = (label, value, options, set) => h("label", { class: "choice" }, h("span", {}, label),
      h("select", { onchange: e => { set(e.target.value); this.shown = ""; this.load(); } },
        ...options.map(([v, text]) => h("option", { value: v, selected: v === value }, text))));
    const chips = [...this.filter()].map(([column, value]) => h("button", { type: "button", class: "chip", onclick: () => this.keep(column, null), "aria-label": `stop keeping only ${column} ${value}` }, `${column} = ${value}`, h("span", { "aria-hidden": "true" }, "×")));
    this.note = h("p", { class: "faint note" });
    const tools = h("div", { class: "tools" });
    if (this.values.length) tools.append(choice("Show", this.value, this.values.map(v => [v, v]), v => { this.value = v; }));
    if (this.groups.length) tools.append(choice("by", this.group, [...(this.groups.length > 1 ? [["*", "all groups"]] : []), ...this.groups.map(g => [g, g]), ["", "no group"]], g => { this.group = g; }));
    if (this.group === "*" && this.groups.length === 1) this.group = this.groups[0];
    tools.append(...chips, this.note);
    this.area = h("div", { class: "chart view-chart" });
    this.legend = h("ul", { class: "legend" });
    this.body = h("tbody");
    this.table = h("div", { class: "scroll rows", tabindex: "0", role: "region", "aria-label": `rows of ${this.view.name}` }, h("table", {},
      h("thead", {}, h("tr", {}, ...this.view.columns.map(c => h("th", { scope: "col", class: NUMBERS.test(c.type) ? "num" : "", title: c.type }, c.name)))), this.body));
    this.chart?.close();
    this.chart = null;
    this.panel.replaceChildren(...[tools, this.values.length ? h("div", { class: "plot" }, this.area, this.legend) : null, this.table].filter(Boolean));
  }

  async ask(extra, limit) {
    const query = new URLSearchParams([...this.filter(), ...extra]);
    query.set("limit", limit);
    const answer = await fetch(`v1/views/${encodeURIComponent(this.view.name)}?${query}`);
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error || answer.statusText);
    return body;
  }

  /* Newest rows for the table. With so many groups that these are of few windows, the chart follows a few groups for longer. */
  async load() {
    if (!this.view || document.hidden || this.busy) { this.again = true; return; }
    this.busy = true;
    this.again = false;
    const view = this.view;
    try {
      const body = await this.ask([], ROWS_ASKED);
      let rows = body.rows, note = "";
      if (body.more && this.axis && this.values.length && new Set(rows.map(r => r[this.axis])).size < 6 && this.groups.length) {
        const column = this.groups.find(g => new Set(rows.map(r => r[g])).size > 3 && !this.filter().has(g));
        if (column) {
          const names = [...new Set(rows.map(r => r[column]))].filter(v => v !== null).sort().slice(0, 4);
          const more = await Promise.all(names.map(name => this.ask([[column, name]], 200)));
          rows = more.flatMap(m => m.rows);
          note = `${names.length} of many; a click on a value keeps only its rows`;
        }
      }
      if (this.view === view) this.show(body, rows, note);
    } catch (error) {
      if (this.view === view) put(this.note, error.message === "Failed to fetch" ? "" : error.message);
    }
    this.busy = false;
    if (this.again) this.load();
  }

  show(body, chartRows, note) {
    const text = JSON.stringify([body.rows, chartRows]);
    if (text === this.shown) return;
    this.shown = text;
    put(this.note, note || (body.rows.length ? "" : "no rows yet"));
    const columns = this.view.columns;
    const over = this.table.contains(document.activeElement) && document.activeElement !== this.table;
    if (!over || !this.body.children.length) this.body.replaceChildren(...body.rows.slice(0, ROWS_SHOWN).map(row => h("tr", {}, ...columns.map(c => this.cell(c, row[c.name])))));
    if (body.rows.length > ROWS_SHOWN && !note) put(this.note, `the newest ${ROWS_SHOWN} rows`);
    if (this.values.length) this.plot(chartRows);
  }

  cell(column, value) {
    const number = NUMBERS.test(column.type);
    if (value === null || value === undefined) return h("td", { class: "null" }, "null");
    if (TIMES.test(column.type)) return h("td", { class: "time", title: value }, /T/.test(value) ? value.replace("T", " ").replace(/(\.\d{3})\d+/, "$1").replace("Z", "") : value);
    if (number) return h("td", { class: "num", title: value }, typeof value === "number" && !Number.isInteger(value) ? String(+value.toPrecision(7)) : String(value));
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    if (typeof value === "object" || text.length > 60) return h("td", { class: "long", title: text.slice(0, 1000) }, text.slice(0, 60) + (text.length > 60 ? "…" : ""));
    return h("td", {}, h("button", { type: "button", class: "value", title: `keep only ${column.name} = ${text}`, onclick: () => this.keep(column.name, value) }, text));
  }

  nameOf(row) {
    const columns = this.group === "*" ? this.groups : this.group ? [this.group] : [];
    return columns.map(c => row[c] === null ? "null" : String(row[c])).join(" · ");
  }

  plot(rows) {
    const lines = new Map();
    for (const row of rows) {
      const y = row[this.value] === null ? null : Number(row[this.value]), name = this.nameOf(row);
      const x = this.axis ? Date.parse(row[this.axis]) : 0;
      if (this.axis && !isFinite(x)) continue;
      (lines.get(name) || lines.set(name, []).get(name)).push([x, y]);
    }
    let series = [...lines].map(([name, points]) => ({ name, points: points.sort((a, b) => a[0] - b[0]) }));
    const windows = [...new Set(series.flatMap(l => l.points.map(p => p[0])))].sort((a, b) => a - b);
    series.sort((a, b) => b.points.length - a.points.length || (a.name < b.name ? -1 : 1));
    const left = series.length - SERIES_MOST;
    series = series.slice(0, SERIES_MOST).sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
    series.forEach((line, i) => { line.color = `c${i}`; });
    const format = v => short(v);
    if (!this.axis || windows.length < 2) {
      this.chart?.close();
      this.chart = null;
      this.area.classList.add("flat");
      const bars = [...lines].map(([name, points]) => ({ name: name || this.value, value: points[points.length - 1][1] })).filter(b => b.value !== null);
      drawBars(this.area, bars.sort((a, b) => b.value - a.value).slice(0, 12), format);
      this.legend.replaceChildren();
      return;
    }
    this.area.classList.remove("flat");
    const windowed = this.view.window_start || this.view.window_end;
    if (!windowed) series.forEach(line => { line.scatter = true; });
    this.chart ||= new Chart(this.area, { label: "", format, dots: true });
    const size = Math.min(...windows.slice(1).map((w, i) => w - windows[i]));
    const mark = this.watermark?.();
    const open = windowed && this.view.growing && isFinite(mark) ? windows.find(w => (this.view.window_start ? w + size : w) > mark) : undefined;
    this.chart.update({ series, dates: windows[windows.length - 1] - windows[0] > 86400000, label: `${this.view.name}: ${this.value} over ${this.axis}`,
      open: open === undefined ? undefined : open - size / 2 });
    this.legend.replaceChildren(...(series.length > 1 || series[0].name ? series.map(line => h("li", {}, h("i", { class: `key ${line.color}` }), line.name)) : []),
      ...(left > 0 ? [h("li", { class: "faint" }, `and ${left} more`)] : []));
  }
}
