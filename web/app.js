"use strict";
/* The page: one stream of events brings /v1/pipeline once a second; everything else follows from it. */

const HISTORY_MS = 10 * 60 * 1000;
const page = { model: null, history: [], troubles: [], shape: "", heard: 0, gone: false };

/* ---- theme: as the system, light, dark ---- */

const THEMES = ["auto", "light", "dark"];
function theme(name) {
  document.documentElement.dataset.theme = name;
  put($("theme-name"), name[0].toUpperCase() + name.slice(1));
  $("theme").setAttribute("aria-label", `Theme: ${name === "auto" ? "as the system" : name}`);
}
function stored() { try { return localStorage.getItem("leat-theme"); } catch { return null; } }
theme(THEMES.includes(stored()) ? stored() : "auto");
$("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  theme(next);
  try { localStorage.setItem("leat-theme", next); } catch { /* a private window: kept for this page only */ }
});

/* ---- charts ---- */

const charts = {
  rate: new Chart($("rate-chart"), { label: "Events per second", format: short, zero: true, area: true, minimum: 10 }),
  lag: new Chart($("lag-chart"), { label: "Lag in records", format: short, zero: true, area: true, minimum: 10, empty: "no source tells its lag" }),
  behind: new Chart($("behind-chart"), { label: "Watermark behind the clock", format: span, zero: true, area: true, minimum: 1, empty: "no event time yet" }),
  owed: new Chart($("owed-chart"), { label: "Bytes that sinks lack", format: bytes, zero: true, area: true, minimum: 1000, empty: "no sink" }),
  commit: new Chart($("commit-chart"), { label: "Time to commit an epoch", format: v => `${short(v)} ms`, zero: true, area: true, minimum: 1, empty: "no epoch yet" }),
};

/* What one moment adds to the charts. */
function sampleOf(model) {
  const now = Date.parse(model.now);
  const lags = model.sources.map(x => x.lag).filter(l => l !== null);
  const behind = model.sources.filter(x => !x.ended && x.watermark).map(x => (now - Date.parse(x.watermark)) / 1000);
  return {
    t: now, rows: sum(model.sources, x => x.rows), lag: lags.length ? sum(lags, l => l) : null,
    behind: behind.length ? Math.max(...behind) : null, commit: model.epoch.last_commit ? model.epoch.commit_ms : null,
    owed: model.sinks.length ? sum(model.sinks, x => x.owed_bytes) : null, lost: sum(model.sources, x => x.lost), refused: sum(model.sinks, x => x.refused),
  };
}

/* Rate between a moment and the one about `ms` before it, so that a second's jitter does not show. */
function rateAt(i, ms = 1900) {
  const history = page.history;
  let before = i;
  while (before > 0 && history[i].t - history[before].t < ms && history[before - 1].rows <= history[before].rows) before--;
  const time = (history[i].t - history[before].t) / 1000;
  return time > 0.2 ? (history[i].rows - history[before].rows) / time : null;
}

function drawCharts() {
  const history = page.history, to = history[history.length - 1].t;
  const from = Math.max(to - HISTORY_MS, Math.min(history[0].t, to - 60000));
  const line = value => [{ name: "", points: history.map((x, i) => [x.t, value(x, i)]) }];
  charts.rate.update({ series: line((x, i) => rateAt(i)), from, to });
  charts.lag.update({ series: line(x => x.lag), from, to });
  charts.behind.update({ series: line(x => x.behind), from, to });
  charts.owed.update({ series: line(x => page.model.sinks.length ? x.owed : null), from, to });
  charts.commit.update({ series: line(x => x.commit), from, to });
}

/* ---- the head and the tiles ---- */

function state(kind, text) {
  $("state").dataset.kind = kind;
  put($("state"), text);
}

function drawHead(model) {
  put($("pipeline"), model.pipeline);
  document.title = `${model.pipeline} · Leat`;
  put($("file"), [model.file, model.home].filter(Boolean).join(" → "));
  $("file").title = `pipeline ${model.file}, home ${model.home}`;
  const count = page.troubles.length, troubled = model.state === "running" && count;
  if (count) document.title = `(${count}) ${document.title}`;
  state(troubled ? page.troubles[0].kind : model.state, troubled ? `running, ${count} ${count === 1 ? "problem" : "problems"}` : model.state);
  put($("uptime"), span((Date.parse(model.now) - Date.parse(model.started)) / 1000));
  put($("epoch"), whole(model.epoch.number));
  put($("memory"), bytes(model.memory.resident_bytes));
  put($("version"), `Leat ${model.version}`);
}

const deadOf = model => sum(model.sources, x => x.dead) + sum(model.queries.flatMap(q => q.sources), p => p.dead) + sum(model.sinks, x => x.refused);

function drawTiles(model) {
  const history = page.history, latest = history.length - 1, rate = rateAt(latest);
  put($("rate"), rate === null ? "–" : whole(rate));
  const first = history.find((x, i) => i && x.rows >= history[0].rows);
  const mean = first ? (history[latest].rows - history[0].rows) / ((history[latest].t - history[0].t) / 1000) : 0;
  put($("rate-note"), latest > 5 ? `${whole(mean)} on average over ${span((history[latest].t - history[0].t) / 1000)}` : "");
  const rows = sum(model.sources, x => x.rows);
  put($("total"), whole(rows));
  put($("total-note"), `${bytes(sum(model.sources, x => x.bytes))} in this run`);
  put($("results"), whole(sum(model.queries, x => x.kind === "shared" ? 0 : x.rows_out)));
  put($("results-note"), `${model.views.length} view${model.views.length === 1 ? "" : "s"}, ${model.sinks.length} sink${model.sinks.length === 1 ? "" : "s"}`);
  const moment = history[latest];
  put($("behind"), model.sources.every(x => x.ended) ? "ended" : moment.behind === null ? "–" : span(moment.behind));
  put($("behind-note"), moment.lag === null ? "lag not known" : `${whole(moment.lag)} records wait`);
  const parts = model.queries.flatMap(q => q.sources);
  for (const [id, key] of [["duplicates", "deduplicated"], ["late", "late"]]) put($(id), whole(sum(parts, p => p[key])));
  put($("dead"), whole(deadOf(model)));
  const share = n => rows ? `${(100 * n / rows).toPrecision(2)} % of events` : "";
  put($("duplicates-note"), share(sum(parts, p => p.deduplicated)));
  const idle = sum(parts, p => p.late_idle);
  put($("late-note"), idle ? `${whole(idle)} from idle partitions` : "over all queries");
  const kinds = [[sum(model.sources, x => x.dead), "unreadable"], [sum(parts, p => p.dead), "in queries"], [sum(model.sinks, x => x.refused), "refused by sinks"]];
  put($("dead-note"), kinds.filter(([n]) => n).map(([n, words]) => `${whole(n)} ${words}`).join(", ") || "all is well");
}

/* ---- where every row went ---- */

const FATES = ["passed", "filtered", "deduplicated", "late", "dead"];

function buildQueries(model) {
  page.lines = [];
  const body = $("queries").tBodies[0];
  body.replaceChildren(...model.queries.flatMap(query => {
    const parts = query.sources.length ? query.sources : [null];
    return parts.map((part, i) => {
      const line = { cells: {}, bars: {} };
      for (const key of ["in", ...FATES, "out"]) line.cells[key] = h("td", { class: `num ${key}` });
      for (const key of FATES) line.bars[key] = h("i", { class: key });
      page.lines.push(line);
      return h("tr", {}, i ? h("td") : h("th", { scope: "row" }, query.name, h("small", { class: "faint" }, query.kind === "shared" ? "shared" : query.kind)),
        h("td", {}, part ? part.source : h("span", { class: "faint" }, "other views")),
        h("td", { class: "wide" }, h("div", { class: "share", role: "img" }, ...Object.values(line.bars))), ...Object.values(line.cells));
    });
  }));
}

function drawQueries(model) {
  let n = 0;
  for (const query of model.queries) {
    const parts = query.sources.length ? query.sources : [null];
    parts.forEach((part, i) => {
      const { cells, bars } = page.lines[n++];
      for (const key of ["in", ...FATES]) {
        put(cells[key], part ? whole(part[key]) : "–");
        cells[key].classList.toggle("zero", !part || !part[key]);
      }
      put(cells.out, i ? "" : query.kind === "shared" ? "–" : whole(query.rows_out));
      for (const key of FATES) {
        const share = part && part.in ? part[key] / part.in : 0;
        bars[key].style.flexGrow = share;
        bars[key].style.minWidth = share > 0 ? "3px" : "0";
      }
      if (part) bars.passed.parentElement.setAttribute("aria-label", FATES.map(key => `${key} ${part[key]}`).join(", "));
    });
  }
}

/* ---- sources and their partitions ---- */

const troublesAt = (what, name) => page.troubles.filter(t => t.what === what && t.name === name);
function fact(list, label) {
  const value = h("dd");
  list.append(h("div", {}, h("dt", {}, label), value));
  return value;
}
/* Shown only where there is any. */
function bad(value, count) {
  value.parentElement.hidden = !count;
  value.className = "bad";
  put(value, whole(count));
}

const PARTITIONS_SHOWN = 64;

function buildSources(model) {
  page.sources = model.sources.map(source => {
    const view = { facts: h("dl", { class: "strip" }), list: h("ol", { class: "partitions" }), rows: new Map(), more: h("p", { class: "faint" }), values: {} };
    for (const [key, label] of [["rows", "Rows"], ["bytes", "Bytes"], ["lag", "Lag"], ["watermark", "Watermark"], ["queue", "Queue"], ["lost", "Lost"]]) view.values[key] = fact(view.facts, label);
    view.values.lost.title = "records that were deleted before they were read";
    view.state = h("span", { class: "tag" });
    view.element = h("div", { class: "source" }, h("h3", {}, source.name, " ", h("span", { class: "faint" }, source.connector), " ", view.state), view.facts, view.words = h("p", { class: "words" }), view.list, view.more);
    return view;
  });
  $("sources").replaceChildren(...page.sources.map(v => v.element));
}

function drawSources(model) {
  model.sources.forEach((source, i) => {
    const view = page.sources[i];
    put(view.values.rows, whole(source.rows));
    put(view.values.bytes, bytes(source.bytes));
    put(view.values.lag, source.lag === null ? "not known" : whole(source.lag));
    put(view.values.watermark, source.ended ? "ended" : source.watermark ? clock(Date.parse(source.watermark), Math.abs(Date.parse(model.now) - Date.parse(source.watermark)) > 86400000) : "none yet");
    put(view.values.queue, `${Math.round(source.queue * 100)} %`);
    bad(view.values.lost, source.lost);
    tag(view.state, troublesAt("source", source.name), source.ended ? "ended" : source.partitions.length && source.partitions.every(p => p.idle) ? "idle" : "reading");
    put(view.words, source.state);
    const marks = source.partitions.map(p => p.watermark ? Date.parse(p.watermark) : NaN);
    const ahead = Math.max(...marks.filter(isFinite), -Infinity);
    const delays = marks.map(m => isFinite(m) ? (ahead - m) / 1000 : null);
    const most = Math.max(1, ...delays.filter(d => d !== null));
    const order = source.partitions.map((p, n) => n);
    if (order.length > PARTITIONS_SHOWN) order.sort((a, b) => (delays[b] ?? -1) - (delays[a] ?? -1));
    const shown = order.slice(0, PARTITIONS_SHOWN).sort((a, b) => a - b);
    if (shown.join() !== view.shown) {
      view.shown = shown.join();
      view.rows.clear();
      view.list.replaceChildren(...shown.map(n => {
        const row = { name: h("b"), bar: h("i"), delay: h("span", { class: "num" }), rows: h("span", { class: "num faint" }) };
        view.rows.set(n, row);
        return h("li", {}, row.name, h("div", { class: "track", "aria-hidden": "true" }, row.bar), row.delay, row.rows);
      }));
    }
    for (const n of shown) {
      const p = source.partitions[n], row = view.rows.get(n);
      put(row.name, p.name);
      row.name.title = p.name;
      const words = p.ended ? "ended" : p.idle ? "idle" : delays[n] === null ? "nothing yet" : delays[n] === 0 ? source.partitions.length > 1 ? "furthest" : "in step" : `${span(delays[n])} behind`;
      put(row.delay, words);
      row.delay.title = p.watermark || "";
      row.bar.style.width = `${delays[n] === null ? 0 : Math.max(2, 100 - 96 * delays[n] / most)}%`;
      row.bar.className = p.ended ? "ended" : p.idle ? "idle" : "";
      put(row.rows, p.lag > 0 ? `${short(p.rows)} rows, ${short(p.lag)} wait` : `${short(p.rows)} rows`);
    }
    put(view.more, order.length > PARTITIONS_SHOWN ? `the ${PARTITIONS_SHOWN} furthest behind of ${order.length} partitions` : "");
  });
}

/* ---- epochs and sinks ---- */

const EPOCH_FACTS = [["number", "Epoch"], ["age", "Committed"], ["close_ms", "Closing took"], ["commit_ms", "Commit took"], ["bytes", "Size"], ["state", "State"]];

function buildDelivery(model) {
  page.epoch = {};
  $("epochs").replaceChildren(...EPOCH_FACTS.map(([key, label]) => h("div", {}, h("dt", {}, label), page.epoch[key] = h("dd"))));
  page.sinks = model.sinks.map(sink => {
    const view = { state: h("span", { class: "tag" }), values: {}, words: h("p", { class: "words" }) };
    const facts = h("dl", { class: "strip" });
    for (const [key, label] of [["rows", "Rows"], ["bytes", "Bytes"], ["epoch", "Has epoch"], ["owed", "Owed"], ["queue", "Queue"], ["refused", "Refused"]]) view.values[key] = fact(facts, label);
    view.values.refused.title = "rows that it will never take; they are dead letters";
    view.element = h("div", { class: "source" }, h("h3", {}, sink.name, " ", h("span", { class: "faint" }, `${sink.connector}, ${sink.way}`), " ", view.state), facts, view.words);
    return view;
  });
  $("sinks").replaceChildren(...page.sinks.map(v => v.element));
  if (!model.sinks.length) $("sinks").replaceChildren(h("p", { class: "empty" }, "No sink: the results are views in the home."));
}

function drawDelivery(model) {
  const e = model.epoch;
  put(page.epoch.number, whole(e.number));
  put(page.epoch.age, e.last_commit ? `${span(Math.max(0, (Date.parse(model.now) - Date.parse(e.last_commit)) / 1000))} ago` : "not yet");
  put(page.epoch.close_ms, `${trim(e.close_ms)} ms`);
  put(page.epoch.commit_ms, `${trim(e.commit_ms)} ms`);
  put(page.epoch.bytes, bytes(e.bytes));
  put(page.epoch.state, bytes(model.memory.state_bytes));
  model.sinks.forEach((sink, i) => {
    const view = page.sinks[i];
    put(view.values.rows, whole(sink.rows));
    put(view.values.bytes, bytes(sink.bytes));
    put(view.values.epoch, sink.epoch ? whole(sink.epoch) : "none yet");
    put(view.values.owed, bytes(sink.owed_bytes));
    view.values.owed.classList.toggle("bad", !!sink.state && sink.owed_bytes > 0);
    put(view.values.queue, `${Math.round(sink.queue * 100)} %`);
    bad(view.values.refused, sink.refused);
    tag(view.state, troublesAt("sink", sink.name), "delivering");
    put(view.words, sink.state);
  });
}

/* ---- rejects: asked for when their number has changed ---- */

async function loadRejects(kind, list, count) {
  if (page[kind] === count || document.hidden) return;
  const before = page[kind];
  page[kind] = count;
  try {
    const answer = await fetch(`v1/rejects?kind=${kind}&limit=20`);
    if (!answer.ok) throw new Error(answer.statusText);
    const rows = (await answer.json()).rows;
    /* The count runs ahead of the home by up to an epoch. */
    const text = JSON.stringify(rows);
    if (list.dataset.text === text) { if (count) page[kind] = before; return; }
    list.dataset.text = text;
    const opened = new Set([...list.querySelectorAll("details[open]")].map(d => d.dataset.key));
    list.replaceChildren(...rows.map(row => {
      const key = `${row.query} ${row.source} ${row.partition} ${row.position} ${row.time}`;
      const d = h("details", { "data-key": key, open: opened.has(key) },
        h("summary", {}, h("span", { class: "why" }, row.reason), h("code", {}, (row.record ?? "").slice(0, 160)),
          h("small", { class: "faint" }, `${clock(Date.parse(row.time))} · ${row.query ? `${row.source ? "query" : "sink"} ${row.query}` : row.source ? `source ${row.source}` : ""}`)),
        h("pre", { tabindex: "0" }, row.record ?? ""));
      return h("li", {}, d);
    }));
    if (!rows.length) list.replaceChildren(h("li", { class: "empty" }, kind === "dead" ? "None. Every record could be read." : "None. Every row came in time."));
  } catch { page[kind] = before; }
}

/* ---- a moment arrives ---- */

function build(model) {
  page.flow = new Flow($("flow"), model);
  page.views = new Views($("view-tabs"), $("view-panel"), model);
  page.views.watermark = () => {
    const query = page.model.queries.find(q => q.name === page.views.view.name);
    return query && query.watermark ? Date.parse(query.watermark) : NaN;
  };
  buildQueries(model);
  buildSources(model);
  buildDelivery(model);
}

function operatorRates(model) {
  /* Ten seconds, so that windows, which come at once, show as a stream. */
  const before = page.moments[0];
  const time = (Date.parse(model.now) - Date.parse(before.now)) / 1000 || 1;
  const rates = model.operators.map((op, i) => {
    const was = before.operators[i];
    return { in: Math.max(0, (op.rows_in - was.rows_in) / time), out: Math.max(0, (op.rows_out - was.rows_out) / time) };
  });
  const busy = model.operators.map((op, i) => Math.max(0, (op.busy_ms - before.operators[i].busy_ms) / 1000 / time));
  return { rates, busy };
}

function arrive(model) {
  const shape = JSON.stringify([model.pipeline, model.operators.map(op => [op.name, op.type, op.inputs]), model.views.map(v => v.columns), model.sinks.map(x => x.name)]);
  if (page.model && model.started !== page.model.started) page.moments = [];
  if (shape !== page.shape) {
    page.shape = shape;
    page.moments = [];
    build(model);
  }
  page.model = model;
  page.views.views.forEach((view, i) => Object.assign(view, model.views[i]));
  page.moments.push(model);
  if (page.moments.length > 11) page.moments.shift();
  page.history.push(sampleOf(model));
  while (page.history[0].t < Date.parse(model.now) - HISTORY_MS - 5000) page.history.shift();
  page.heard = performance.now();
  page.gone = false;
  document.body.classList.remove("gone");
  page.troubles = troublesOf(model, page.history);
  drawHead(model);
  drawTroubles($("problems"), page.troubles);
  drawTiles(model);
  drawQueries(model);
  drawSources(model);
  drawDelivery(model);
  if (!document.hidden) {
    drawCharts();
    const { rates, busy } = operatorRates(model), slow = slowest(model, busy);
    page.flow.update(model, rates, busy, slow, page.troubles);
    const away = page.troubles.filter(t => t.mark === "away");
    put($("flow-note"), away.length ? `${away.map(t => t.name).join(", ")} cannot be ${away.every(t => t.what === "source") ? "read" : away.every(t => t.what === "sink") ? "written to" : "reached"} now` : slow ? slow.note : model.finished ? "finished" : "nothing holds it up");
  }
  if (page.epochSeen !== model.epoch.number || model.finished) {
    page.epochSeen = model.epoch.number;
    page.views.load();
  }
  const parts = model.queries.flatMap(q => q.sources);
  loadRejects("dead", $("dead-list"), deadOf(model));
  loadRejects("late", $("late-list"), sum(parts, p => p.late));
}

/* Old numbers must not pass for new ones. */
function silence() {
  const seconds = (performance.now() - page.heard) / 1000;
  if (!page.heard) { state("gone", "no answer from the program"); return; }
  if (seconds < 4 && !page.gone) return;
  document.body.classList.add("gone");
  if (page.model.finished) state("finished", "finished; the program has ended");
  else state("gone", `no answer for ${span(seconds)}; the numbers are old`);
}

function listen() {
  const stream = new EventSource("v1/events");
  stream.onmessage = event => arrive(JSON.parse(event.data));
  stream.onerror = () => {
    page.gone = true;
    silence();
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
}

async function begin() {
  try { /* what happened before this page was opened */
    const answer = await fetch("v1/history");
    if (answer.ok) page.history = (await answer.json()).samples;
  } catch { /* the stream tells that nobody is there */ }
  listen();
  setInterval(silence, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && page.model) page.views.load(); });
}
begin();
