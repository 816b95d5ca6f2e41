// --- score over time

const PLOT = { width: 240, height: 135, left: 26, right: 232, top: 22, bottom: 110 };
const LABEL_WIDTH = 86;  // of 2026-11-20 in the widest of fonts, where the plot is smallest
const MARKS = [  // of a model: its dashes, and the shape of its points, 1 from the middle to the rim
  [null, "M0-1A1 1 0 1 1 0 1A1 1 0 1 1 0-1Z"],
  ["7 3", "M-.9-.9H.9V.9H-.9Z"],
  ["2 3", "M0-1.2 1.15.9H-1.15Z"],
  ["7 3 2 3", "M0-1.25 1.25 0 0 1.25-1.25 0Z"],
];

const slotOf = (one) => one.slot ?? "";
const scoring = new Set(images.filter((one) => one.model && one.kind !== "segment").map(slotOf));
const segmenting = new Set(images.filter((one) => one.kind === "segment").map(slotOf));

const scoreHeight = (value) => PLOT.bottom - (PLOT.bottom - PLOT.top) * value / 100;
const middle = (scores) => (scores[(scores.length - 1) >> 1] + scores[scores.length >> 1]) / 2;

function showTrend() {
  const dated = filtered("sample").filter((one) => one.sample && hasCourse(one));
  const samples = new Map();
  for (const one of dated) samples.set(one.sample, [...(samples.get(one.sample) ?? []), one]);
  const days = dated.map((one) => Date.parse(one.date));
  const [first, last] = days.reduce(([low, high], day) => [Math.min(low, day), Math.max(high, day)], [Infinity, -Infinity]);
  const place = (date) => first === last ? (PLOT.left + PLOT.right) / 2
    : PLOT.left + 8 + (PLOT.right - PLOT.left - 16) * (Date.parse(date) - first) / (last - first);
  const names = [...samples.keys()].sort(collator.compare);
  at("trend").replaceChildren(...start("trend", names, "sample").map((name) => chart(name, samples.get(name), place)));
  const untold = images.filter((one) => !one.sample).length;
  const agreeing = judged.filter((one) => !hasCourse(one)).length;
  at("trends").hidden = measured.length > 0 && images.every((one) => !hasCourse(one) || !one.votes);
  at("trend-words").replaceChildren(...[
    dated.length ? `${isPaper && !data.tasks.length ? "100 is all patches control; at the dashed line, 50, the vote turns. " : ""}A dot is an image, a bar the range of one day\u2019s images, the line goes through their medians, a cross is an image without a score.` : "",
    several && dated.length ? "Each model has a line of its own, as scores of two do not compare." : "",
    agreeing ? `${count(agreeing, "image")} ${agreeing === 1 ? "has" : "have"} no course: the score says how many votes agree, not what they are for.` : "",
    untold ? `${untold} of ${count(images.length, "image")} ${untold === 1 ? "is" : "are"} left out: ${untoldWords(untold)}` : "",
  ].filter(Boolean).map((words) => make("p", {}, words)));
}

function hasCourse(one) {  // a score of whichever class won goes up and down without a meaning
  if (one.votes) return taskOf(one).of !== "";
  return one.model ? one.kind !== "segment" : scoring.has(slotOf(one)) || !segmenting.has(slotOf(one));  // an error is its slot's
}

function untoldWords(untold) {
  const names = untold === 1 ? "its name does" : "their names do";
  return data.example ? `${names} not tell sample and date, as ${data.example} does. Other dates of a file are not taken for it.`
    : `${names} not tell sample and date in the way that this page was made to look for them.`;
}

function chart(name, some, place) {
  const dates = [...new Set(some.map((one) => one.date))].sort();
  const lines = models.map((model) => ({ model, visits: visitsOf(some.filter((one) => one.judge === model && one.votes)) }))
    .filter((line) => line.visits.length);
  const said = lines.map(({ model, visits }) => `${several ? `model ${model.letter}: ` : ""}${visits.map(visitWords).join("; ")}`);
  const svg = draw("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": `${name}: ${[...said, ...restWords(some)].join("; ")}` });
  drawAxes(svg, dates.map((date) => [date, place(date)]));
  lines.forEach(({ model, visits }, index) => drawLine(svg, model, visits, (date) => place(date) + 7 * (index - (lines.length - 1) / 2)));
  for (const date of dates) {
    const rest = some.filter((one) => one.date === date && !one.votes).length;
    if (rest) svg.append(draw("path", { class: "unjudged", d: `M${place(date) - 3.5} ${PLOT.bottom - 3.5}l7 7m0-7l-7 7` }, draw("title", {}, `${date}: ${rest} without a score`)));
  }
  const press = () => { state.sample = state.sample === name ? "" : name; show(); };
  return make("div", { class: "chart", "data-sample": name }, make("div", { class: "line" },
    make("button", { type: "button", "aria-pressed": String(state.sample === name), title: "Show this sample only", click: press }, name),
    make("span", { class: "quiet" }, ...(lines.length ? lines.map(courseOf) : ["no score"]))), svg);
}

function visitsOf(some) {  // the scores of each day, in order
  const days = new Map();
  for (const one of some) days.set(one.date, [...(days.get(one.date) ?? []), one.score]);
  return [...days].sort().map(([date, scores]) => ({ date, scores: scores.sort((a, b) => a - b) }));
}

function drawAxes(svg, dates) {
  const { left, right, top, bottom, height } = PLOT;
  svg.append(draw("text", { class: "what", x: 1, y: 9 }, `score${MEANT}`));
  for (const value of [0, 50, 100]) {
    svg.append(draw("line", { class: value === 50 && !data.tasks.length ? "vote" : "axis", x1: left, x2: right, y1: scoreHeight(value), y2: scoreHeight(value) }),
      draw("text", { x: left - 5, y: scoreHeight(value) + 3.5, "text-anchor": "end" }, String(value)));
  }
  for (const [, x] of dates) svg.append(draw("path", { class: "tick", d: `M${x} ${bottom}v4` }));
  for (const [words, x, anchor] of dateLabels(dates)) svg.append(draw("text", { class: "day", x, y: height - 5, "text-anchor": anchor }, words));
}

function dateLabels(dates) {  // the first and the last, below their ticks; in one where they would collide
  const [[first, from], [last, to]] = [dates[0], dates[dates.length - 1]];
  const within = (x, width) => Math.min(Math.max(x, width / 2), PLOT.width - width / 2);
  if (first === last) return [[first, within(from, LABEL_WIDTH), "middle"]];
  const [start, end] = [within(from, LABEL_WIDTH), within(to, LABEL_WIDTH)];
  if (end - start > LABEL_WIDTH) return [[first, start, "middle"], [last, end, "middle"]];
  const both = `${first} to ${first.slice(0, 5) === last.slice(0, 5) ? last.slice(5) : last}`;
  return [[both, within((from + to) / 2, LABEL_WIDTH * both.length / first.length), "middle"]];
}

function drawLine(svg, model, visits, place) {
  const [dashes, shape] = MARKS[models.indexOf(model) % MARKS.length];
  const group = draw("g", { "data-model": model.letter },
    draw("polyline", { class: "path", "stroke-dasharray": dashes, points: visits.map(({ date, scores }) => `${place(date)},${scoreHeight(middle(scores))}`).join(" ") }));
  for (const visit of visits) {
    const { date, scores } = visit;
    const [x, repeated] = [place(date), scores.length > 1];
    const day = draw("g", { "data-date": date }, draw("title", {}, (several ? `model ${model.letter}, ` : "") + visitWords(visit)));
    if (repeated) {
      const high = scoreHeight(scores[scores.length - 1]);
      day.append(draw("rect", { class: "range", x: x - 5, width: 10, y: high - 4, height: scoreHeight(scores[0]) - high + 8, rx: 5 }));
    }
    day.append(...scores.map((value) => point(shape, repeated, x, scoreHeight(value), repeated || visits.length > 20 ? 2 : 4)));
    group.append(day);
  }
  svg.append(group);
}

function point(shape, repeated, x, y, size) {
  return draw("path", { class: repeated ? "repeat" : "point", d: shape, transform: `translate(${x} ${y}) scale(${size})` });
}

function courseOf({ model, visits }) {  // from the first to the last score, behind the line and point of its model
  const scores = visits.map((visit) => middle(visit.scores).toFixed(1));
  const course = scores.length > 1 ? `${scores[0]} \u2192 ${scores[scores.length - 1]}` : scores[0];
  if (!several) return make("span", {}, course);
  const [dashes, shape] = MARKS[models.indexOf(model) % MARKS.length];
  const key = draw("svg", { class: "key", viewBox: "0 0 30 10", "aria-hidden": "true" },
    draw("path", { class: "path", "stroke-dasharray": dashes, d: "M0 5H30" }), point(shape, false, 15, 5, 4));
  return make("span", { title: modelWords(model) }, key, `${model.letter} ${course}`);
}

function visitWords({ date, scores }) {
  return `${date}: ${scores.length > 1 ? `${count(scores.length, "image")}, ${scores[0].toFixed(1)} to ${scores[scores.length - 1].toFixed(1)}` : scores[0].toFixed(1)}`;
}

function restWords(some) {
  const rest = some.filter((one) => !one.votes).length;
  return rest ? [`${count(rest, "image")} without a score`] : [];
}
