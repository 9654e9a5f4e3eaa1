"use strict";
/* What goes wrong, found in one place: the list on top, the marks in the flow and the tags of sources and sinks are made of
 * it. `dead`: something stands still; `late`: something is lost, refused or waits. */

/* How much a count has grown since the first moment that the page knows of, ten minutes ago at most. Counts go on over
 * restarts, so what was lost last week is told beside its source alone. */
function grown(history, key, now) {
  const first = history.find(x => x[key] !== undefined);
  return first ? Math.max(0, now - first[key]) : 0;
}

const since = (time, now) => time ? Math.max(0, (now - Date.parse(time)) / 1000) : null;
const isFull = sink => sink.queue >= 0.9;

/* What a sink that is away, or that keeps its sources waiting, is owed. */
function owed(sink) {
  const parts = [];
  if (sink.owed_bytes) parts.push(`${bytes(sink.owed_bytes)} are owed${sink.epoch ? ` since epoch ${whole(sink.epoch)}` : ""}`);
  if (isFull(sink)) parts.push(`its ${sink.way === "by outbox" ? "outbox" : "queue"} is full, and what feeds it waits`);
  return parts.join("; ");
}

/* The full sinks that keep a source waiting. */
function keptBy(source, model) {
  const fed = new Set(model.operators.filter(op => op.type === "source" && op.table === source.name).map(op => op.id));
  for (const op of model.operators) if (op.inputs.some(input => fed.has(input))) fed.add(op.id); /* inputs come first */
  const names = model.operators.filter(op => op.type === "sink" && fed.has(op.id)).map(op => op.table);
  const full = model.sinks.filter(x => isFull(x) && names.includes(x.name)).map(x => x.name);
  return full.length ? `sink ${full.join(" and ")} is full` : "a sink that it feeds is full";
}

function troublesOf(model, history) {
  const list = [], now = Date.parse(model.now);
  const add = (kind, what, name, mark, words, seconds = null) => list.push({ kind, what, name, mark, words, seconds });
  if (model.failing) add("dead", "home", "", "failing", model.failure || "the home refuses them");
  const stuck = (now - Date.parse(model.last_step || model.now)) / 1000;
  if (model.ready && !model.finished && stuck > 5) add("dead", "engine", "", "stuck", "took no step", stuck);
  for (const x of model.sources) {
    if (x.state) add("dead", "source", x.name, "away", x.state, since(x.away_since, now));
    else if (x.blocked) add("late", "source", x.name, "waits", `is not asked for more: ${keptBy(x, model)}`);
  }
  for (const x of model.sinks) {
    if (x.state) add("dead", "sink", x.name, "away", [x.state, owed(x)].filter(Boolean).join("; "), since(x.away_since, now));
    else if (isFull(x)) add("late", "sink", x.name, "full", owed(x));
  }
  const lost = sum(model.sources, x => x.lost), refused = sum(model.sinks, x => x.refused);
  if (grown(history, "lost", lost)) for (const x of model.sources.filter(x => x.lost))
    add("late", "source", x.name, "lost records", `${whole(x.lost)} records were deleted before they were read, and skipped`);
  if (grown(history, "refused", refused)) for (const x of model.sinks.filter(x => x.refused))
    add("late", "sink", x.name, "refuses rows", `${whole(x.refused)} rows were refused for good; they are dead letters`);
  const memory = model.memory;
  if (memory.limit_bytes && memory.state_bytes > 0.8 * memory.limit_bytes)
    add("late", "memory", "", "memory", `state takes ${bytes(memory.state_bytes)} of the ${bytes(memory.limit_bytes)} of memory_limit`);
  return list.sort((a, b) => (a.kind === "late") - (b.kind === "late"));
}

const TROUBLE_NAMES = { home: "Epochs are not committed", engine: "The engine", memory: "Memory" };

/* Screen readers read out what is added (index.html says so), and not each second what goes on. */
function drawTroubles(root, list) {
  const text = JSON.stringify(list.map(t => [t.kind, t.what, t.name, t.mark]));
  if (root.dataset.text !== text) {
    root.dataset.text = text;
    root.rows = list.map(() => ({ words: h("span", { class: "what" }), time: h("span", { class: "for" }) }));
    root.replaceChildren(...list.map((t, i) => h("li", { class: t.kind },
      h("b", {}, TROUBLE_NAMES[t.what] || `${t.what[0].toUpperCase()}${t.what.slice(1)} ${t.name}`), h("em", {}, t.mark), root.rows[i].time, root.rows[i].words)));
  }
  list.forEach((t, i) => {
    put(root.rows[i].words, t.words);
    put(root.rows[i].time, t.seconds === null ? "" : `for ${span(t.seconds)}`);
  });
}

/* The tag beside a source's or sink's name. */
function tag(element, troubles, fine) {
  const worst = troubles[0];
  element.dataset.kind = worst ? worst.kind : "fine";
  put(element, worst ? worst.mark + (worst.seconds === null ? "" : ` for ${span(worst.seconds)}`) : fine);
}
