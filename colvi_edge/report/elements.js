"use strict";
/*
The data that the page holds, and what elements are made with. Every text goes in as textContent: names come
from files.

data    folder, made, refresh_s (null: never), example (of a name that tells sample and date; null where whoever
        made the page said how names do), unread, left_out, bands [[name, at_least, [r, g, b]]], images, tasks
        [{classes, colours (of these and of a tie), scored (what 100 means), of (the class whose score it is, or
        ""), cell (patch, image, slice)}]
image   name, folder (no two images have both alike), created, result, flags [[severity, name, words]]; where
        known: slot (of a further bundle), sample, date, score, votes [control, patient, tie], model [name, version, sha256], demo,
        kind (segment: it has regions in place of a score, or none if rejected),
        overlay (URL), preview (data:), size [width, height], missing (why there is no picture), patches
        [rows, cols, px] and, row-major, p (thousandths), bands (numbers), voted (first letters). Of other
        classes: task (place in tasks), votes of these and a tie, and classed (numbers, row-major, in place of
        bands and voted) or, of a whole image, likely (thousandths). Where regions were found: answer (in
        words), covered (share of all classes), regions [[class, colour, share, um^2 or null, objects or null]];
        of objects: objects (number), at_border, diameter [median with unit, first, third quartile]
*/

const data = JSON.parse(document.getElementById("data").textContent);
const images = data.images;

const RESULTS = {  // those that somebody has to look at first
  unsure: "M8 .5 15.5 8 8 15.5.5 8Z",
  rejected: "M1 1H15V15H1ZM4 3.2 12.8 12 12 12.8 3.2 4Z",
  error: "M3.2.9 8 5.7 12.8.9 15.1 3.2 10.3 8 15.1 12.8 12.8 15.1 8 10.3 3.2 15.1.9 12.8 5.7 8 .9 3.2Z",
  patient: "M8 1 15.6 15H.4Z",
  control: "M8 .7A7.3 7.3 0 1 1 8 15.3 7.3 7.3 0 1 1 8 .7Z",
  measured: "M8 .7A7.3 7.3 0 1 1 8 15.3 7.3 7.3 0 1 1 8 .7ZM8 3.4A4.6 4.6 0 1 0 8 12.6 4.6 4.6 0 1 0 8 3.4Z",
};
const OTHER = "M8 .8 15.2 6 12.5 14.9H3.5L.8 6Z";  // of any other class, in its colour
const PAPER = { classes: ["control", "patient"], scored: "100 = control", of: "control", cell: "patch" };
const taskOf = (one) => data.tasks[one.task] ?? PAPER;
const judged = images.filter((one) => one.votes);
const measured = images.filter((one) => one.regions);
const isPaper = !(data.tasks.length || measured.length) || judged.some((one) => one.task === undefined);
const COLOURS = new Map(data.tasks.flatMap((task) => task.classes.map((name, place) => [name, `rgb(${task.colours[place].join(" ")})`])));
const ORDER = [  // of the paper's words all, of others those that some image has
  ...Object.keys(RESULTS).filter((name) => name === "measured" ? measured.length : name === "unsure" ? isPaper || judged.length : isPaper || !PAPER.classes.includes(name) || COLOURS.has(name)),
  ...[...COLOURS.keys()].filter((name) => !RESULTS[name] && judged.some((one) => one.result === name))];
const meanings = [...new Set(judged.map((one) => taskOf(one).scored))];
const MEANT = meanings.length > 1 ? "" : ` (${meanings[0] ?? PAPER.scored})`;
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
  return draw("svg", { class: RESULTS[result] ? "shape" : "shape other", viewBox: "0 0 16 16", "aria-hidden": "true" },
    draw("path", { d: RESULTS[result] ?? OTHER, "fill-rule": "evenodd", fill: RESULTS[result] ? null : COLOURS.get(result) }));
}

function word(result) {
  return make("span", { class: RESULTS[result] ? `result ${result}` : "result" }, shape(result), result);
}

function voteWords(one) {  // most votes first; of a whole image there is nothing to count
  const { classes, cell } = taskOf(one);
  if (cell === "image") return "";
  const names = [...classes, "tie"];
  const ranked = one.votes.map((number, place) => [number, names[place]]).filter(([number]) => number).sort((a, b) => b[0] - a[0]);
  return [...ranked.slice(0, 3).map(([number, name]) => `${number} ${name}`), ...(ranked.length > 3 ? ["\u2026"] : [])].join(", ");
}

function classShares(one) {  // [name, share of the bar, colour] of each class that has some
  const { classes, colours } = taskOf(one);
  const values = one.likely ?? one.votes;
  return values.map((value, place) => [classes[place] ?? "tie", value, `rgb(${colours[place].join(" ")})`]).filter(([, value]) => value);
}

function classMark(name, colours, place, boxed) {  // the frame of the overlay with its number, or a dot
  const fill = `rgb(${colours[place].join(" ")})`;
  if (!boxed) return draw("svg", { class: "shape other", viewBox: "0 0 16 16", "aria-hidden": "true" }, draw("path", { d: OTHER, fill }));
  return draw("svg", { class: "band", viewBox: "0 0 32 18", "aria-hidden": "true" },
    draw("rect", { x: 1.5, y: 1.5, width: 29, height: 15, fill: "#0b0c0f", stroke: fill, "stroke-width": 3 }),
    name === "tie" ? null : draw("text", { x: 16, y: 13, "text-anchor": "middle", "font-size": 11, "font-weight": 700, fill }, String(place + 1)));
}

// Of an image that several bundles judged, the first one's result leads the others.
const leaders = new Map(images.filter((one) => !one.slot).map((one) => [JSON.stringify([one.folder, one.name]), one]));
for (const one of images.filter((one) => one.slot).sort((a, b) => a.slot < b.slot ? -1 : 1)) {
  one.leader = leaders.get(JSON.stringify([one.folder, one.name.slice(0, -one.slot.length - 1)]));
  if (one.leader) (one.leader.others ??= []).push(one);
}
const brief = (one) => `${one.slot ?? "first"}: ${one.answer ?? (one.votes ? `${one.result}, ${score(one)}` : one.result)}`;
const WHAT = images.some((one) => one.slot) ? "result" : "image";  // of an image several bundles have several

function count(number, what, many = `${what}s`) {
  return `${number} ${number === 1 ? what : many}`;
}

function local(iso) {
  return new Date(iso).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
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
