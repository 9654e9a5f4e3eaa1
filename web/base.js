"use strict";
/* What all parts use: making elements, and numbers and times for people. No text ever becomes markup: names, reasons and
 * records come from outside. */

const $ = id => document.getElementById(id);

function make(space, tag, attributes, children) {
  const e = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.filter(c => c !== null && c !== undefined && c !== false));
  return e;
}
const h = (tag, attributes, ...children) => make(null, tag, attributes, children);
const s = (tag, attributes, ...children) => make("http://www.w3.org/2000/svg", tag, attributes, children);

/* Writes only what changed: selections and screen readers are left in peace. */
function put(element, text) {
  text = String(text);
  if (element.textContent !== text) element.textContent = text;
}

const whole = n => Math.round(n).toLocaleString("en-US");

function short(n) {
  if (n === null || n === undefined || !isFinite(n)) return "–";
  const a = Math.abs(n);
  if (a >= 1e9) return trim(n / 1e9) + " G";
  if (a >= 1e6) return trim(n / 1e6) + " M";
  if (a >= 1e3) return trim(n / 1e3) + " k";
  if (a >= 100 || Number.isInteger(n)) return whole(n);
  return a >= 1 ? trim(n) : String(+n.toPrecision(3));
}
const trim = n => Math.abs(n) >= 100 ? n.toFixed(0) : Math.abs(n) >= 10 ? n.toFixed(1).replace(/\.0$/, "") : n.toFixed(2).replace(/\.?0+$/, "");

function bytes(n) {
  if (n < 1000) return n + " B";
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) if (n >= size) return trim(n / size) + " " + unit;
}

function span(seconds) {
  const a = Math.abs(seconds), sign = seconds < 0 ? "−" : "";
  if (a < 1) return sign + Math.round(a * 1000) + " ms";
  if (a < 10) return sign + a.toFixed(1) + " s";
  if (a < 90) return sign + Math.round(a) + " s";
  if (a < 5400) return sign + Math.floor(a / 60) + " min " + String(Math.floor(a % 60)).padStart(2, "0") + " s";
  if (a < 172800) return sign + Math.floor(a / 3600) + " h " + String(Math.floor(a % 3600 / 60)).padStart(2, "0") + " min";
  return sign + Math.floor(a / 86400) + " days";
}

/* Event time is UTC everywhere in Leat, so it is here. */
const pad = n => String(n).padStart(2, "0");
function clock(ms, withDate) {
  const d = new Date(ms);
  const time = `${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}:${pad(d.getUTCSeconds())}`;
  return withDate ? `${d.getUTCFullYear()}-${pad(d.getUTCMonth() + 1)}-${pad(d.getUTCDate())} ${time}` : time;
}
const sum = (items, value) => items.reduce((total, item) => total + value(item), 0);
const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
