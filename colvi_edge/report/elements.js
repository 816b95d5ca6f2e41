"use strict";
/*
The data that the page holds, and what elements are made with. Every text goes in as textContent: names come
from files.

data    folder, made, refresh_s (null: never), example (of a name that tells sample and date; null where whoever
        made the page said how names do), unread, left_out, bands [[name, at_least, [r, g, b]]], images
image   name, folder (no two images have both alike), created, result, flags [[severity, name, words]]; where
        known: sample, date, score, votes [control, patient, tie], model [name, version, sha256], demo,
        overlay (URL), preview (data:), size [width, height], missing (why there is no picture), patches
        [rows, cols, px] and, row-major, p (thousandths), bands (numbers), voted (first letters)
*/

const data = JSON.parse(document.getElementById("data").textContent);
const images = data.images;

const RESULTS = {  // those that somebody has to look at first
  unsure: "M8 .5 15.5 8 8 15.5.5 8Z",
  rejected: "M1 1H15V15H1ZM4 3.2 12.8 12 12 12.8 3.2 4Z",
  error: "M3.2.9 8 5.7 12.8.9 15.1 3.2 10.3 8 15.1 12.8 12.8 15.1 8 10.3 3.2 15.1.9 12.8 5.7 8 .9 3.2Z",
  patient: "M8 1 15.6 15H.4Z",
  control: "M8 .7A7.3 7.3 0 1 1 8 15.3 7.3 7.3 0 1 1 8 .7Z",
};
const ORDER = Object.keys(RESULTS);
const VOTES = { c: "control", p: "patient", t: "nobody: a tie" };

const START = { text: "", result: "", flag: "", date: "", sample: "", model: "", sort: "attention", down: "", open: "", y: "" };
const state = { ...START, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
const collator = new Intl.Collator("en", { numeric: true });

const at = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function shape(result) {
  return draw("svg", { class: "shape", viewBox: "0 0 16 16", "aria-hidden": "true" },
    draw("path", { d: RESULTS[result], "fill-rule": "evenodd" }));
}

function word(result) {
  return make("span", { class: `result ${result}` }, shape(result), result);
}

function count(number, what, many = `${what}s`) {
  return `${number} ${number === 1 ? what : many}`;
}

function local(iso) {
  return new Date(iso).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

const score = (one) => one.score.toFixed(1);
const colour = (band) => `rgb(${data.bands[band][2].join(" ")})`;
const bandCounts = (one) => data.bands.map((_, band) => one.bands.split(String(band)).length - 1);

function bandWords(band) {
  const above = band ? data.bands[band - 1][1] : 1;
  return `${data.bands[band][0]}, ${data.bands[band][1].toFixed(1)} to ${above.toFixed(1)}`;
}

function bandAbove(band) {  // where there is little room
  return `${data.bands[band][1] || "0"}+`;
}

function bandMark(band) {  // the frame and the dots of the overlay
  const dots = Array.from({ length: band }, (_, dot) => draw("rect", { x: 6 + 6 * dot, y: 7, width: 4, height: 4, fill: colour(band) }));
  return draw("svg", { class: "band", viewBox: "0 0 32 18", "aria-hidden": "true" },
    draw("rect", { x: 1.5, y: 1.5, width: 29, height: 15, fill: "#0b0c0f", stroke: colour(band), "stroke-width": 3 }), ...dots);
}

function flagList(one, flags = one.flags) {
  const heads = { reject: "Rejected: ", warn: "Warning: ", error: "Error: " };
  const more = count(one.flags.length - flags.length, "more warning");
  return make("ul", { class: "flags" }, ...flags.map(([severity, , words]) => make("li", {}, make("b", {}, heads[severity]), words)),
    flags.length < one.flags.length ? make("li", {}, `and ${more}`) : null);
}
