"use strict";
/* The pipeline as a graph of cards: sources, queries with their steps, views and sinks. The browser lays the cards out; the
 * lines between them are measured and drawn behind, flowing as fast as rows do. */

const STEP_NAMES = {
  dedup: "deduplicate", project: "select", aggregate: "group", "reference join": "look up", reference_join: "look up",
  "window join": "join windows", window_join: "join windows", union: "union all", session: "sessions",
};
const CARD_ICONS = {
  source: "M12 3c4 5 6 8 6 11a6 6 0 0 1-12 0c0-3 2-6 6-11z",
  query: "M4 7h9m3 0h4M4 17h3m3 0h10M16 7a2 2 0 1 1-3 0 2 2 0 0 1 3 0zM10 17a2 2 0 1 1-3 0 2 2 0 0 1 3 0z",
  view: "M4 5h16v14H4zM4 10h16M10 10v9",
  sink: "M12 4v11m-5-4 5 5 5-5M5 20h14",
};

class Flow {
  constructor(root, model) {
    this.root = root;
    this.cards = [];
    this.steps = new Map();
    const cardOf = new Map();
    for (const op of model.operators) {
      const end = op.type === "source" || op.type === "view" || op.type === "sink";
      const key = end ? `${op.type} ${op.id}` : `query ${op.query}`;
      let card = this.cards.find(c => c.key === key);
      if (!card) {
        card = { key, kind: end ? op.type : "query", name: end ? op.table : op.query, ops: [], inputs: new Map(), index: this.cards.length };
        this.cards.push(card);
      }
      card.ops.push(op.id);
      cardOf.set(op.id, card);
    }
    for (const op of model.operators)
      for (const input of op.inputs)
        if (cardOf.get(input) !== cardOf.get(op.id)) cardOf.get(op.id).inputs.set(input, cardOf.get(input));
    /* A card's layer is one behind the furthest of what it reads. */
    const layerOf = card => card.layer ??= 1 + Math.max(-1, ...[...card.inputs.values()].map(layerOf));
    this.cards.forEach(layerOf);
    const layers = [];
    for (const card of this.cards) (layers[card.layer] ||= []).push(card);
    for (const layer of layers) {
      for (const card of layer) {
        const places = [...card.inputs.values()].map(c => c.place);
        card.order = places.length ? sum(places, p => p) / places.length : card.index;
      }
      layer.sort((a, b) => a.order - b.order || a.index - b.index);
      layer.forEach((card, i) => { card.place = i - (layer.length - 1) / 2; });
    }
    this.lines = s("svg", { class: "lines", "aria-hidden": "true" });
    root.replaceChildren(this.lines, ...layers.map(layer => h("div", { class: "layer" }, ...layer.map(card => this.card(card, model)))));
    this.edges = this.cards.flatMap(to => [...to.inputs].map(([node, from]) => {
      const edge = { from, to, node, bed: s("path", { class: "bed" }), water: s("path", { class: "water" }), text: h("span", { class: "rate" }) };
      this.lines.append(edge.bed, edge.water);
      root.append(edge.text);
      return edge;
    }));
    new ResizeObserver(() => this.draw()).observe(root);
  }

  card(card, model) {
    const rows = [];
    for (const id of card.kind === "query" ? card.ops : []) {
      const op = model.operators[id];
      const step = { rate: h("b"), state: h("small"), bar: h("i", { class: "load" }), mark: h("em", { class: "slow", hidden: true }, "slowest step") };
      step.element = h("li", { title: op.name }, h("span", {}, STEP_NAMES[op.type] || op.type.replaceAll("_", " ")), step.rate, step.state, step.mark, step.bar);
      this.steps.set(id, step);
      rows.push(step.element);
    }
    card.total = h("b", { class: "total" });
    card.note = h("small", { class: "faint" });
    card.mark = h("em", { class: "slow", hidden: true }, "slowest step");
    card.marks = h("div", { class: "marks" });
    const what = card.kind === "query" ? "query" : card.kind === "source" ? `${model.sources.find(x => x.name === card.name)?.connector ?? ""} source`
      : card.kind === "sink" ? `${model.sinks.find(x => x.name === card.name)?.connector ?? ""} sink` : "view";
    card.element = h("article", { class: `node ${card.kind}`, "aria-label": `${what} ${card.name}` },
      h("header", {}, s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: CARD_ICONS[card.kind] })), h("strong", {}, card.name)),
      card.kind === "query" ? h("ol", {}, ...rows) : h("div", { class: "body" }, card.total, card.note),
      card.mark, card.marks);
    return card.element;
  }

  /* rates: rows a second by operator, {in, out}; busy: seconds of work a second by operator; slow: from slowest() */
  update(model, rates, busy, slow, troubles) {
    const work = sum(busy, share => share) || 1;
    for (const [id, step] of this.steps) {
      const op = model.operators[id];
      put(step.rate, `${short(rates[id].in)}/s`);
      put(step.state, op.state_entries || op.state_bytes ? `${short(op.state_entries)} kept, ${bytes(op.state_bytes)}` : "");
      step.bar.style.width = `${100 * busy[id] / work}%`;
      step.bar.title = `${Math.round(100 * busy[id] / work)} % of the engine's work`;
      const here = slow && slow.operator === id;
      step.element.classList.toggle("is-slow", !!here && !slow.calm);
      step.mark.classList.toggle("calm", !!here && !!slow.calm);
      step.mark.hidden = !here;
      if (here) put(step.mark, slow.word);
    }
    for (const card of this.cards) {
      const id = card.ops[card.ops.length - 1], op = model.operators[id];
      if (card.kind !== "query") {
        put(card.total, whole(card.kind === "source" ? op.rows_out : op.rows_in));
        put(card.note, card.kind === "view" ? "final rows" : "rows");
      }
      const marks = troubles.filter(t => t.what === card.kind && t.name === card.name), text = marks.map(t => t.mark).join();
      const here = slow && slow.card === `${card.kind} ${card.name}` && !marks.length;
      card.element.classList.toggle("is-slow", !!here && !slow.calm);
      card.mark.classList.toggle("calm", !!here && !!slow.calm);
      card.mark.hidden = !here;
      if (here) put(card.mark, slow.word);
      if (card.marks.dataset.text === text) continue;
      card.marks.dataset.text = text;
      card.marks.replaceChildren(...marks.map(t => h("em", { class: `sign ${t.kind}` }, t.mark)));
      card.element.classList.toggle("is-dead", marks.some(t => t.kind === "dead"));
      card.element.classList.toggle("is-late", marks.some(t => t.kind === "late"));
    }
    for (const edge of this.edges) {
      const end = edge.to.kind === "view" || edge.to.kind === "sink";
      const rate = end ? rates[edge.to.ops[0]].in : rates[edge.node].out;
      put(edge.text, `${short(rate)}/s`);
      const flows = rate > 0;
      edge.water.classList.toggle("dry", !flows);
      const size = flows ? Math.min(7, 1.6 + Math.log10(1 + rate) * 1.05) : 1.4;
      edge.water.style.strokeWidth = edge.bed.style.strokeWidth = `${size}px`;
      edge.bed.style.strokeWidth = `${size + 2}px`;
      /* Changing the time of a running animation makes it jump: only when the speed is another. */
      const pace = flows ? Math.max(0.5, 3 - Math.log10(1 + rate) * 0.55).toFixed(1) : "3.0";
      if (edge.pace !== pace) { edge.pace = pace; edge.water.style.animationDuration = `${pace}s`; }
    }
    if (!this.drawn) this.draw();
  }

  draw() {
    const area = this.root.getBoundingClientRect();
    if (!area.width) return;
    this.drawn = true;
    const scroll = this.root.scrollLeft, narrow = getComputedStyle(this.root).flexDirection === "column", unit = rem();
    const box = card => {
      const r = card.element.getBoundingClientRect();
      return { left: r.left - area.left + scroll, right: r.right - area.left + scroll, top: r.top - area.top, bottom: r.bottom - area.top, middle: (r.top + r.bottom) / 2 - area.top };
    };
    this.lines.setAttribute("width", this.root.scrollWidth);
    this.lines.setAttribute("height", this.root.scrollHeight);
    const outs = new Map(), ins = new Map();
    for (const edge of this.edges) {
      (outs.get(edge.from) || outs.set(edge.from, []).get(edge.from)).push(edge);
      (ins.get(edge.to) || ins.set(edge.to, []).get(edge.to)).push(edge);
    }
    const spread = (list, edge, b, other) => {
      const sorted = [...list].sort((a, c) => box(other(a)).middle - box(other(c)).middle), n = sorted.length, i = sorted.indexOf(edge);
      return b.middle + (i - (n - 1) / 2) * Math.min(unit * 1.1, (b.bottom - b.top - unit) / n);
    };
    for (const edge of this.edges) {
      const a = box(edge.from), b = box(edge.to);
      let path;
      if (narrow) {
        const lane = unit * (0.45 + 0.5 * (edge.from.layer % 2)), r = unit * 0.5, y1 = a.middle, y2 = b.middle;
        path = `M${a.left} ${y1}H${lane + r}Q${lane} ${y1} ${lane} ${y1 + r}V${y2 - r}Q${lane} ${y2} ${lane + r} ${y2}H${b.left}`;
        edge.text.hidden = true;
      } else {
        const y1 = spread(outs.get(edge.from), edge, a, e => e.to), y2 = spread(ins.get(edge.to), edge, b, e => e.from);
        const bend = Math.min((b.left - a.right) / 2, unit * 3.5), start = b.left - bend * 2;
        path = `M${a.right} ${y1}H${Math.max(a.right, start)}C${start + bend} ${y1} ${b.left - bend} ${y2} ${b.left} ${y2}`;
        edge.text.hidden = false;
        edge.text.style.left = `${b.left - bend}px`;
        edge.text.style.top = `${y1 + (y2 - y1) * 0.5}px`;
      }
      edge.bed.setAttribute("d", path);
      edge.water.setAttribute("d", path);
    }
  }
}

/* What holds the pipeline up: the fullest sink, else the step that works most, else what waits to be taken. */
function slowest(model, busy) {
  const full = [...model.sinks].sort((a, b) => b.queue - a.queue)[0];
  if (full && (full.queue >= 0.5 || model.sources.some(x => x.blocked)))
    return { card: `sink ${full.name}`, word: "slowest step", note: `slowest: sink ${full.name}, its queue is ${Math.round(full.queue * 100)} % full` };
  let most = -1;
  busy.forEach((share, id) => { if (share > 0 && (most < 0 || share > busy[most])) most = id; });
  if (most >= 0) {
    const op = model.operators[most], end = op.type === "view" || op.type === "sink";
    const percent = busy[most] < 0.01 ? "under 1" : Math.round(busy[most] * 100), calm = busy[most] < 0.5;
    return { operator: end ? undefined : most, card: end ? `${op.type} ${op.table}` : undefined, word: "slowest step", calm,
      note: `${calm ? "nothing holds it up; " : ""}slowest step: ${op.name}, ${percent} % of one core` };
  }
  const waits = [...model.sources].sort((a, b) => b.queue - a.queue)[0];
  if (waits && waits.queue >= 0.8) return { card: `source ${waits.name}`, word: "waits", note: `${waits.name} has more than the engine takes` };
  return null;
}
