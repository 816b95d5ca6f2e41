// --- filter and sort

const isScored = judged.length || !measured.length;
const SORTS = {
  attention: ["attention", (one) => [ORDER.indexOf(one.result), one.score ?? -1]],
  name: ["image", (one) => [one.name, one.folder]],
  sample: ["sample", (one) => [one.sample ?? "\uffff", one.date ?? ""]],
  date: ["date", (one) => [one.date ?? "", one.sample ?? ""]],
  result: ["result", (one) => [ORDER.indexOf(one.result)]],
  ...(isScored ? { score: ["score", (one) => [one.score ?? 101]] } : {}),
  ...(measured.length ? { objects: ["objects", (one) => [one.objects ?? -1, one.covered ?? -1]], covered: ["area", (one) => [one.covered ?? -1]] } : {}),
  flags: ["flags", (one) => [-one.flags.length]],
  ...(several ? { model: ["model", (one) => [one.judge ? models.indexOf(one.judge) : models.length]] } : {}),
  created: ["judged", (one) => [one.created]],
};
const FILTERS = ["result", "flag", "date", "sample", "model"];
const COLUMNS = [  // key of SORTS or null, class, head, cell
  ["name", "", null, (one) => make("div", {}, make("button", { type: "button", class: "open", "data-image": one.id, click: () => view(one) }, one.path), found(one), ...others(one))],
  ["sample", "spare", null, (one) => one.sample ?? ""],
  ["date", "spare", null, (one) => one.date ?? ""],
  ["result", "", null, (one) => word(one.result)],
  ...(measured.some((one) => !one.leader) ? [["objects", "found", ["found"], (one) => one.answer ?? ""]] : []),
  ...(!isScored ? [] : [["score", "number", ["score ", MEANT.trim()], (one) => one.votes ? score(one) : ""],
  [null, data.tasks.length ? "spare votes words" : "number spare votes", [data.tasks.length ? "votes" : "c / p / tie"], (one) => !one.votes ? "" : data.tasks.length ? voteWords(one) : one.votes.join(" / ")]]),
  ["flags", "spare", null, (one) => one.flags.length ? flagList(one) : ""],
  ...(several ? [["model", "spare", null, (one) => one.judge?.letter ?? ""]] : []),
  ["created", "spare judged", null, (one) => local(one.created)]]
  .filter(([key]) => !["sample", "date"].includes(key) || images.some((one) => one[key]));  // empty ones take room
const STEP = { gallery: 24, trend: 12, rows: 200 };

if (!Object.hasOwn(SORTS, state.sort)) state.sort = START.sort;
const most = { ...STEP };
let shown = [];  // the images that pass the filters, in order

function filtered(without = "") {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  return images.filter((one) =>
    words.every((part) => one.text.includes(part))
    && (without === "result" || !state.result || one.result === state.result)
    && (!state.flag || (state.flag === " none" ? !one.flags.length
      : state.flag === " any" ? one.flags.length : one.flags.some(([, name]) => name === state.flag)))
    && (!state.model || (one.judge?.sha256 ?? " none") === state.model)
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
  const unjudged = images.filter((one) => !one.judge).length;
  options(form.model, [["", "all"], ...models.map((model) => [model.sha256, `${modelWords(model)} (${model.images})`]),
    ...(unjudged ? [[" none", `none (${unjudged})`]] : [])]);
  form.model.parentElement.hidden = !several;
  options(form.sort, Object.entries(SORTS).map(([value, [words]]) => [value, words]));
  for (const name of FILTERS) {
    if (![...form[name].options].some((option) => option.value === state[name])) state[name] = "";
  }
  const quiet = ["text", ...FILTERS].every((name) => !state[name]);
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
    key ? make("button", { type: "button", click: () => sortBy(key) }, ...head(key, words)) : make("span", {}, ...words))));
  for (const name of Object.keys(STEP)) {
    at(`${name}-more`).addEventListener("click", () => { most[name] *= 4; show(); });
  }
}

function head(key, words) {  // what a number means stands smaller behind its name
  return words ? [words[0], words[1] ? make("small", {}, words[1]) : ""] : [SORTS[key][0]];
}

function start(name, all, what) {  // as many as are drawn, and a button for the rest
  const rest = all.length - most[name];
  at(`${name}-more`).hidden = rest <= 0;
  at(`${name}-more`).textContent = `Show more: ${count(rest, what)} left`;
  return all.slice(0, most[name]);
}

function show() {
  const passed = new Set(filtered());
  shown = sorted([...passed].filter((one) => !passed.has(one.leader)));
  const form = at("filters");
  for (const name of ["text", ...FILTERS, "sort"]) {
    if (form[name].value !== state[name]) form[name].value = state[name];
  }
  at("turn").textContent = state.down ? "\u2193" : "\u2191";
  at("shown").textContent = passed.size === images.length ? count(images.length, WHAT) : `${passed.size} of ${count(images.length, WHAT)}`;
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
    const kind = RESULTS[result] ? result : "";
    return make("button", { type: "button", class: number ? kind : `${kind} none`, "data-result": result,
      "aria-pressed": String(state.result === result), click: press }, shape(result), make("b", {}, String(number)), make("span", {}, result));
  }));
}

function card(one) {
  return make("button", { type: "button", class: "card", "data-image": one.id, click: () => view(one) },
    make("div", { class: "frame" }, picture(one)), one.bands ? bandBar(one) : one.task !== undefined ? classBar(one) : one.regions ? regionBar(one) : null,
    make("div", { class: "text" },
      make("div", { class: "line" }, word(one.result), one.votes ? make("span", { class: "score", title: `score (${taskOf(one).scored})` }, score(one)) : null),
      one.answer ? make("div", { class: "answer" }, one.answer) : null,
      ...others(one),
      make("div", { class: "name", title: one.path }, one.name), one.folder ? make("div", { class: "place", title: one.path }, one.place) : null, modelMark(one.judge), one.flags.length && one.result !== "error" ? flagList(one, worst(one.flags)) : null,
      one.missing && (one.bands || one.classed) ? make("div", { class: "flags" }, one.missing) : null));
}

function found(one) {  // where there is no column for it, as other results are of diagnoses
  return one.leader && one.answer ? make("div", { class: "quiet" }, one.answer) : null;
}

function others(one) {  // what further bundles found in the same image
  return (one.others ?? []).map((other) => make("div", { class: "quiet" }, brief(other)));
}

function worst(flags) {  // what a card has room for, in whole sentences: why there is no result, else one warning
  const rejecting = flags.filter(([severity]) => severity === "reject");
  return rejecting.length ? rejecting : flags.slice(0, 1);
}

function picture(one) {
  if (one.preview) return make("img", { src: one.preview, alt: "", decoding: "async" });
  if (one.bands || one.classed) return bandMap(one);
  // An error has no picture, and all the room for what it says.
  return make("div", { class: "missing" }, shape(one.result), one.result === "error" ? flagList(one) : one.missing ?? "no picture");
}

function bandMap(one) {  // where there is no picture: the frames and dots of the overlay alone
  const [rows, cols] = one.patches;
  const edge = 16;
  const canvas = make("canvas", { width: cols * edge, height: rows * edge });
  const pen = canvas.getContext("2d");
  pen.lineWidth = 2;
  [...one.bands ?? one.classed].forEach((band, index) => {
    const [x, y] = [index % cols * edge, Math.floor(index / cols) * edge];
    pen.strokeStyle = pen.fillStyle = one.bands ? colour(band) : `rgb(${taskOf(one).colours[band].join(" ")})`;
    pen.strokeRect(x + 2, y + 2, edge - 4, edge - 4);
    for (let dot = 0; one.bands && dot < band; dot++) pen.fillRect(x + 4 + 2.5 * dot, y + 5, 1.5, 2);
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

function regionBar(one) {
  const told = [...one.regions, ["nothing", null, 1 - one.covered]];
  const parts = told.map(([, fill, share]) => {
    const part = make("i");
    part.style.flexGrow = Math.max(share, 0);
    if (fill) part.style.background = `rgb(${fill.join(" ")})`;
    return share > 0 ? part : null;
  });
  const title = one.regions.map(([name, , share]) => `${name}: ${percent(share)}`).join("; ");
  return make("div", { class: "bands", title }, ...parts);
}

function classBar(one) {
  const shares = classShares(one);
  const parts = shares.map(([, value, fill]) => {
    const part = make("i");
    part.style.flexGrow = value;
    part.style.background = fill;
    return part;
  });
  const title = shares.map(([name, value]) => `${name}: ${one.likely ? (value / 1000).toFixed(3) : value}`).join("; ");
  return make("div", { class: "bands", title }, ...parts);
}

function row(one) {
  return make("tr", {}, ...COLUMNS.map(([key, kind, , cell]) => make("td", { class: kind, "data-of": key }, cell(one))));
}
