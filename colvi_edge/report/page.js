
"use strict";
/*
Shows the data that the page holds. Every text goes in as textContent: names come from files.

data    folder, made, refresh_s (null: never), pattern, unread, left_out, bands [[name, at_least, [r, g, b]]], images
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
const SORTS = {
  attention: ["attention", (one) => [ORDER.indexOf(one.result), one.score ?? -1]],
  name: ["image", (one) => [one.name, one.folder]],
  sample: ["sample", (one) => [one.sample ?? "\uffff", one.date ?? ""]],
  date: ["date", (one) => [one.date ?? "", one.sample ?? ""]],
  result: ["result", (one) => [ORDER.indexOf(one.result)]],
  score: ["score", (one) => [one.score ?? 101]],
  flags: ["flags", (one) => [-one.flags.length]],
  created: ["judged", (one) => [one.created]],
};
const COLUMNS = [["name"], ["sample", "spare"], ["date", "spare"], ["result"], ["score", "number"],
  [null, "number spare votes", "c / p / tie"], ["flags", "spare"], ["created", "spare judged"]];
const STEP = { gallery: 24, trend: 12, rows: 200 };
const STALE_MIN = 25;  // the daemon writes the page every 10 minutes, news or not

const START = { text: "", result: "", flag: "", date: "", sample: "", sort: "attention", down: "", open: "", y: "" };
const state = { ...START, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
if (!(state.sort in SORTS)) state.sort = START.sort;
const most = { ...STEP };
const collator = new Intl.Collator("en", { numeric: true });
let shown = [];  // the images that pass the filters, in order
let viewed = null;

// --- elements

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

function bandMark(band) {  // the frame and the dots of the overlay
  const dots = Array.from({ length: band }, (_, dot) => draw("rect", { x: 6 + 6 * dot, y: 7, width: 4, height: 4, fill: colour(band) }));
  return draw("svg", { class: "band", viewBox: "0 0 32 18", "aria-hidden": "true" },
    draw("rect", { x: 1.5, y: 1.5, width: 29, height: 15, fill: "#0b0c0f", stroke: colour(band), "stroke-width": 3 }), ...dots);
}

function flagList(one) {
  const heads = { reject: "Rejected: ", warn: "Warning: ", error: "Not read: " };
  return make("ul", { class: "flags" }, ...one.flags.map(([severity, , words]) => make("li", {}, make("b", {}, heads[severity]), words)));
}

// --- filter and sort

function filtered(without = "") {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  return images.filter((one) =>
    words.every((part) => one.text.includes(part))
    && (without === "result" || !state.result || one.result === state.result)
    && (!state.flag || (state.flag === " none" ? !one.flags.length
      : state.flag === " any" ? one.flags.length : one.flags.some(([, name]) => name === state.flag)))
    && (!state.date || (one.date ?? " none") === state.date)
    && (without === "sample" || !state.sample || (one.sample ?? " none") === state.sample));
}

function compare(left, right) {
  for (let i = 0; i < left.length; i++) {
    const order = typeof left[i] === "number" ? left[i] - right[i] : collator.compare(left[i], right[i]);
    if (order) return order;
  }
  return 0;
}

function sorted(some) {
  const key = SORTS[state.sort][1];
  const sign = state.down ? -1 : 1;
  return some.map((one) => [key(one), one])
    .sort((a, b) => sign * compare(a[0], b[0]) || collator.compare(a[1].name, b[1].name)).map(([, one]) => one);
}

function sortBy(name) {
  state.down = state.sort === name && !state.down ? "1" : "";
  state.sort = name;
  show();
}

function options(select, choices) {
  select.replaceChildren(...choices.map(([value, words]) => make("option", { value }, words)));
}

function prepareFilters() {
  const form = at("filters");
  const tally = (values) => [...values.reduce((sums, value) => sums.set(value, (sums.get(value) ?? 0) + 1), new Map())];
  const listed = (pairs, back = 1) => pairs.sort((a, b) => back * collator.compare(a[0], b[0])).map(([value, n]) => [value, `${value} (${n})`]);
  const values = (key, back) => {
    const without = images.filter((one) => !one[key]).length;
    return [["", "all"], ...listed(tally(images.map((one) => one[key]).filter(Boolean)), back),
      ...(without ? [[" none", `not told (${without})`]] : [])];
  };
  options(form.result, [["", "all"], ...ORDER.map((name) => [name, name])]);
  options(form.flag, [["", "all"], [" any", "any flag"], [" none", "no flag"],
    ...listed(tally(images.flatMap((one) => one.flags.map(([, name]) => name)))).map(([value, words]) => [value, words.replaceAll("_", " ")])]);
  options(form.date, values("date", -1));
  options(form.sample, values("sample"));
  options(form.sort, Object.entries(SORTS).map(([value, [words]]) => [value, words]));
  for (const name of ["result", "flag", "date", "sample"]) {
    if (![...form[name].options].some((option) => option.value === state[name])) state[name] = "";
  }
  const quiet = ["text", "result", "flag", "date", "sample"].every((name) => !state[name]);
  if (quiet && matchMedia("(max-width: 40rem)").matches) at("box").open = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.name === "sort") state.down = "";
    state[event.target.name] = event.target.value;
    show();
  });
  at("turn").addEventListener("click", () => { state.down = state.down ? "" : "1"; show(); });
  at("clear").addEventListener("click", () => { Object.assign(state, START, { y: state.y }); show(); });
  at("head").replaceChildren(...COLUMNS.map(([key, kind = "", words]) => make("th", { scope: "col", class: kind, "data-sort": key },
    key ? make("button", { type: "button", click: () => sortBy(key) }, SORTS[key][0]) : make("span", {}, words))));
  for (const name of Object.keys(STEP)) {
    at(`${name}-more`).addEventListener("click", () => { most[name] *= 4; show(); });
  }
}

function start(name, all, what) {  // as many as are drawn, and a button for the rest
  const rest = all.length - most[name];
  at(`${name}-more`).hidden = rest <= 0;
  at(`${name}-more`).textContent = `Show more: ${count(rest, what)} left`;
  return all.slice(0, most[name]);
}

function show() {
  shown = sorted(filtered());
  const form = at("filters");
  for (const name of ["text", "result", "flag", "date", "sample", "sort"]) {
    if (form[name].value !== state[name]) form[name].value = state[name];
  }
  at("turn").textContent = state.down ? "\u2193" : "\u2191";
  at("shown").textContent = shown.length === images.length ? count(images.length, "image") : `${shown.length} of ${count(images.length, "image")}`;
  for (const head of at("head").children) {
    const sorts = head.dataset.sort === state.sort;
    if (sorts) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  showGlance();
  at("gallery").replaceChildren(...start("gallery", shown, "image").map(card));
  at("rows").replaceChildren(...start("rows", shown, "image").map(row));
  showTrend();
  remember();
}

function remember() {
  const kept = Object.entries(state).filter(([name, value]) => value && value !== START[name]);
  const hash = new URLSearchParams(kept).toString();
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

// --- glance, gallery, table

function showGlance() {
  const here = filtered("result");
  at("glance").replaceChildren(...ORDER.map((result) => {
    const number = here.filter((one) => one.result === result).length;
    const press = () => { state.result = state.result === result ? "" : result; show(); };
    return make("button", { type: "button", class: number ? result : `${result} none`, "data-result": result,
      "aria-pressed": String(state.result === result), click: press }, shape(result), make("b", {}, String(number)), make("span", {}, result));
  }));
}

function card(one) {
  return make("button", { type: "button", class: "card", "data-image": one.id, click: () => view(one) },
    make("div", { class: "frame" }, picture(one)), one.bands ? bandBar(one) : null,
    make("div", { class: "text" },
      make("div", { class: "line" }, word(one.result), one.votes ? make("span", { class: "score" }, score(one)) : null),
      make("div", { class: "name" }, one.path), one.flags.length ? flagList(one) : null,
      one.missing && one.bands ? make("div", { class: "flags" }, one.missing) : null));
}

function picture(one) {
  if (one.preview) return make("img", { src: one.preview, alt: "", decoding: "async" });
  return one.bands ? bandMap(one) : make("span", { class: "missing" }, shape(one.result), one.missing ?? "no picture");
}

function bandMap(one) {  // where there is no picture: the frames and dots of the overlay alone
  const [rows, cols] = one.patches;
  const edge = 16;
  const canvas = make("canvas", { width: cols * edge, height: rows * edge });
  const pen = canvas.getContext("2d");
  pen.lineWidth = 2;
  [...one.bands].forEach((band, index) => {
    const [x, y] = [index % cols * edge, Math.floor(index / cols) * edge];
    pen.strokeStyle = pen.fillStyle = colour(band);
    pen.strokeRect(x + 2, y + 2, edge - 4, edge - 4);
    for (let dot = 0; dot < band; dot++) pen.fillRect(x + 4 + 2.5 * dot, y + 5, 1.5, 2);
  });
  return canvas;
}

function bandBar(one) {
  const counts = bandCounts(one);
  const parts = counts.map((number, band) => {
    const part = make("i");
    part.style.flexGrow = number;
    part.style.background = colour(band);
    return number ? part : null;
  });
  const title = counts.map((number, band) => `${bandWords(band)}: ${number}`).join("; ");
  return make("div", { class: "bands", title }, ...parts);
}

function row(one) {
  const cells = [
    make("button", { type: "button", class: "open", "data-image": one.id, click: () => view(one) }, one.path),
    one.sample ?? "", one.date ?? "", word(one.result), one.votes ? score(one) : "", one.votes ? one.votes.join(" / ") : "",
    one.flags.length ? flagList(one) : "", local(one.created)];
  return make("tr", {}, ...cells.map((cell, index) => make("td", { class: COLUMNS[index][1] }, cell)));
}

// --- score over time

function showTrend() {
  const dated = filtered("sample").filter((one) => one.sample);
  const samples = new Map();
  for (const one of dated) samples.set(one.sample, [...(samples.get(one.sample) ?? []), one]);
  const days = dated.map((one) => Date.parse(one.date));
  const [first, last] = days.reduce(([low, high], day) => [Math.min(low, day), Math.max(high, day)], [Infinity, -Infinity]);
  const names = [...samples.keys()].sort(collator.compare);
  at("trend").replaceChildren(...start("trend", names, "sample").map((name) => chart(name, samples.get(name), first, last)));
  const untold = images.filter((one) => !one.sample).length;
  const models = new Set(dated.filter((one) => one.model).map((one) => one.model[2])).size;
  at("trend-words").replaceChildren(
    dated.length ? "100 is all patches control; at the dashed line, 50, the vote turns. A dot is an image, a bar the range of one day\u2019s images, the line goes through their medians, a cross is an image without a score. " : "",
    untold ? `${untold} of ${count(images.length, "image")} ${untold === 1 ? "is" : "are"} left out: no sample and date in the name by the pattern ${data.pattern} (see --sample); other dates of files are not taken for it. ` : "",
    models > 1 ? `These scores are of ${models} models and do not compare.` : "");
}

function chart(name, some, first, last) {
  const [width, height, left, right, top, bottom] = [240, 118, 26, 232, 8, 96];
  const x = (day) => first === last ? (left + right) / 2 : left + 8 + (right - left - 16) * (day - first) / (last - first);
  const y = (value) => bottom - (bottom - top) * value / 100;
  const dates = [...new Set(some.map((one) => one.date))].sort();
  const visits = dates.map((date) => {
    const of = some.filter((one) => one.date === date);
    const scores = of.filter((one) => one.votes).map((one) => one.score).sort((a, b) => a - b);
    return { date, x: x(Date.parse(date)), scores, rest: of.length - scores.length };
  });
  const judged = visits.filter((visit) => visit.scores.length);
  const middle = ({ scores: s }) => (s[(s.length - 1) >> 1] + s[s.length >> 1]) / 2;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name}: ${visits.map(visitWords).join("; ")}` });
  for (const value of [0, 50, 100]) {
    svg.append(draw("line", { class: value === 50 ? "vote" : "axis", x1: left, x2: right, y1: y(value), y2: y(value) }),
      draw("text", { x: left - 5, y: y(value) + 3.5, "text-anchor": "end" }, String(value)));
  }
  svg.append(draw("polyline", { class: "path", points: judged.map((visit) => `${visit.x},${y(middle(visit))}`).join(" ") }));
  for (const visit of visits) {
    const { scores } = visit;
    const group = draw("g", { "data-date": visit.date }, draw("title", {}, visitWords(visit)));
    if (scores.length > 1) {
      const high = scores[scores.length - 1];
      group.append(draw("rect", { class: "range", x: visit.x - 5, width: 10, y: y(high) - 4, height: y(scores[0]) - y(high) + 8, rx: 5 }));
    }
    group.append(...scores.map((value) => draw("circle", { class: scores.length > 1 ? "repeat" : "point", cx: visit.x, cy: y(value), r: scores.length > 1 ? 2 : 4 })));
    if (visit.rest) group.append(draw("path", { class: "unjudged", d: `M${visit.x - 3.5} ${bottom - 3.5}l7 7m0-7l-7 7` }));
    svg.append(group);
  }
  const ends = dates.length > 1 ? [[dates[0], "start"], [dates[dates.length - 1], "end"]] : [[dates[0], "middle"]];
  for (const [date, anchor] of ends) {
    const where = x(Date.parse(date)) + { start: -8, middle: 0, end: 8 }[anchor];
    svg.append(draw("text", { x: where, y: height - 5, "text-anchor": anchor }, date));
  }
  const path = judged.map((visit) => middle(visit).toFixed(1));
  const press = () => { state.sample = state.sample === name ? "" : name; show(); };
  return make("div", { class: "chart", "data-sample": name }, make("div", { class: "line" },
    make("button", { type: "button", "aria-pressed": String(state.sample === name), title: "Show this sample only", click: press }, name),
    make("span", { class: "quiet" }, path.length > 1 ? `${path[0]} \u2192 ${path[path.length - 1]}` : path[0] ?? "no score")), svg);
}

function visitWords({ date, scores, rest }) {
  const range = scores.length > 1 ? `${count(scores.length, "image")}, ${scores[0].toFixed(1)} to ${scores[scores.length - 1].toFixed(1)}`
    : scores.length ? scores[0].toFixed(1) : "";
  return `${date}: ${[range, rest ? `${rest} without a score` : ""].filter(Boolean).join(", ")}`;
}

// --- one image

function view(one) {
  viewed = one;
  state.open = one.id;
  remember();
  at("viewer-name").textContent = one.path;
  const [rows, cols, px] = one.patches ?? [0, 0, 0];
  const [width, height] = one.size ?? (rows ? [cols * px, rows * px] : [1, 1]);
  const stage = at("picture");
  stage.style.aspectRatio = `${width} / ${height}`;
  stage.style.width = `min(100%, ${Math.max(width, 480)}px, ${Math.round(88 * width / height)}vh)`;
  const first = one.preview || one.bands ? picture(one) : null;
  if (first?.tagName === "CANVAS") first.style.width = `${100 * cols * px / width}%`;
  const clip = make("div", { class: "clip" }, first);
  stage.querySelector(".clip")?.remove();
  stage.prepend(clip);
  stage.hidden = !(one.preview || one.bands || one.overlay);
  at("picture-note").textContent = one.missing ?? "";
  if (one.overlay) load(one, clip, width);
  at("facts").replaceChildren(...facts(one));
  spot(-1);
  if (!at("viewer").open) at("viewer").showModal();
}

function load(one, clip, width) {  // the preview stays until the overlay is there, or if it never comes
  const full = make("img", { alt: `Overlay of ${one.path}` });
  full.addEventListener("load", () => {
    full.style.width = `${100 * full.naturalWidth / width}%`;
    clip.replaceChildren(full);
  });
  full.addEventListener("error", () => {
    if (viewed === one) at("picture-note").textContent = "The overlay is not where it was when this page was made; this is its preview.";
  });
  full.src = one.overlay;
}

function facts(one) {
  const list = [];
  const tell = (name, value) => value && list.push(make("dt", {}, name), make("dd", {}, value));
  tell("Sample", one.sample);
  tell("Date", one.date);
  tell("Folder", one.folder);
  tell("Votes", one.votes && `${one.votes[0]} control, ${one.votes[1]} patient, ${one.votes[2]} tie`);
  tell("Size", one.size && `${one.size.join(" \u00d7 ")} pixels`);
  tell("Judged", local(one.created));
  tell("Model", one.model && `${one.model[0]} ${one.model[1]}`);
  tell("Overlay", one.overlay && make("a", { href: one.overlay, target: "_blank", rel: "noopener" }, "open the picture alone"));
  return [
    make("div", { class: "line" }, word(one.result), one.votes ? make("b", {}, ` score ${score(one)}`) : ""),
    one.flags.length ? flagList(one) : make("p", { class: "quiet" }, "No quality flags."), make("dl", {}, ...list),
    one.bands ? legend(make("p", { class: "legend" }), bandCounts(one)) : ""];
}

function legend(element, counts) {
  element.replaceChildren(make("span", {}, "p(control)"),
    ...data.bands.map((_, band) => make("span", {}, bandMark(band), bandWords(band), counts ? make("b", {}, String(counts[band])) : null)));
  return element;
}

function spot(index) {  // marks a patch and tells of it; -1 none
  const tip = at("tip");
  tip.hidden = at("spot").hidden = index < 0;
  at("picture").dataset.patch = index;
  if (index < 0) return;
  const [rows, cols, px] = viewed.patches;
  const [width, height] = viewed.size ?? [cols * px, rows * px];
  const [r, c] = [Math.floor(index / cols), index % cols];
  const band = Number(viewed.bands[index]);
  const box = { left: 100 * c * px / width, top: 100 * r * px / height, width: 100 * px / width, height: 100 * px / height };
  for (const [side, share] of Object.entries(box)) at("spot").style[side] = `${share}%`;
  tip.replaceChildren(make("div", {}, `row ${r}, col ${c}`),
    make("div", {}, "p_control ", make("b", {}, (viewed.p[index] / 1000).toFixed(3))),
    make("span", {}, bandMark(band), bandWords(band)), make("div", {}, `votes for ${VOTES[viewed.voted[index]]}`));
  const below = r < rows / 2;
  const rightwards = c < cols / 2;
  tip.style.top = below ? `calc(${box.top + box.height}% + .7rem)` : "";
  tip.style.bottom = below ? "" : `calc(${100 - box.top}% + .7rem)`;
  tip.style.left = rightwards ? `${box.left}%` : "";
  tip.style.right = rightwards ? "" : `${100 - box.left - box.width}%`;
}

function patchUnder(event) {
  if (!viewed?.bands) return -1;
  const [rows, cols, px] = viewed.patches;
  const [width, height] = viewed.size ?? [cols * px, rows * px];
  const place = at("picture").getBoundingClientRect();
  const c = Math.floor((event.clientX - place.left) / place.width * width / px);
  const r = Math.floor((event.clientY - place.top) / place.height * height / px);
  return r >= 0 && c >= 0 && r < rows && c < cols ? r * cols + c : -1;
}

function step(by) {
  const place = shown.indexOf(viewed);
  if (shown.length) view(shown[(place + by + shown.length) % shown.length]);
}

function prepareViewer() {
  const viewer = at("viewer");
  const stage = at("picture");
  for (const kind of ["pointermove", "pointerdown"]) stage.addEventListener(kind, (event) => spot(patchUnder(event)));
  stage.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") spot(-1); });
  stage.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!by || !viewed?.bands) return;
    event.preventDefault();
    const [rows, cols] = viewed.patches;
    const now = Number(stage.dataset.patch);
    if (now < 0) return spot(0);
    const [r, c] = [Math.floor(now / cols) + by[0], now % cols + by[1]];
    if (r >= 0 && r < rows && c >= 0 && c < cols) spot(r * cols + c);
  });
  viewer.addEventListener("close", () => { viewed = null; state.open = ""; remember(); });
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  at("close").addEventListener("click", () => viewer.close());
  at("previous").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
}

// --- the page as a whole

function tellNotices() {
  const notices = [];
  const demo = images.filter((one) => one.demo).length;
  if (demo) notices.push(`Judged with the synthetic demo model${demo < images.length ? ` (${count(demo, "image")})` : ""}: it was trained on simulated pictures and knows nothing of real cultures.`);
  if (!images.length) notices.push("There are no results in this folder yet.");
  if (data.left_out) notices.push(`Only the newest ${images.length} images are shown; ${data.left_out} older ones are left out. A report of a sub-folder shows them.`);
  if (data.unread) notices.push(`Not shown, as it could not be read: ${count(data.unread, "record or folder", "records or folders")}.`);
  const age = (Date.now() - Date.parse(data.made)) / 60000;
  if (data.refresh_s && age > STALE_MIN) notices.push(`This page was last written ${local(data.made)}. Ask \u201ccolvi-edge status\u201d whether the watching goes on.`);
  at("notices").replaceChildren(...notices.map((words) => make("p", { class: "notice" }, words)));
  at("made").textContent = `as of ${local(data.made)}${data.refresh_s ? "; loads itself anew" : ""}`;
  const models = new Map(images.filter((one) => one.model).map((one) => [one.model[2], one.model]));
  at("models").textContent = [...models.values()].map(([name, version, sha256]) => `Model ${name} ${version} (${sha256.slice(0, 12)})`).join("; ");
}

function keepCurrent() {  // never while somebody looks closely or types
  let quietSince = Date.now();
  const stir = () => { quietSince = Date.now(); };
  for (const kind of ["pointermove", "pointerdown", "keydown", "wheel", "scroll"]) addEventListener(kind, stir, { passive: true });
  setInterval(() => {
    if (Date.now() - quietSince < 1000 * Math.min(5, data.refresh_s) || viewed || document.hidden) return;
    state.y = String(Math.round(scrollY));
    remember();
    location.reload();
  }, 1000 * data.refresh_s);
}

for (const one of images) {
  one.id = `${one.folder}/${one.name}`;
  one.path = one.folder ? one.id : one.name;
  one.text = [one.name, one.folder, one.sample, one.date, one.result, ...one.flags.flatMap(([, name, words]) => [name, words])].join(" ").toLowerCase();
}
tellNotices();
prepareFilters();
prepareViewer();
legend(at("legend"));
show();
scrollTo(0, Number(state.y) || 0);
state.y = "";
const open = images.find((one) => one.id === state.open);
if (open) view(open);
addEventListener("beforeprint", () => { for (const name of Object.keys(STEP)) most[name] = Infinity; show(); });
if (data.refresh_s) keepCurrent();
