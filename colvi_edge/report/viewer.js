// --- one image

let viewed = null;

function view(one) {
  viewed = one;
  state.open = one.id;
  remember();
  at("viewer-name").textContent = one.path;
  const [rows, cols, px] = one.patches ?? [0, 0, 0];
  const [width, height] = one.size ?? (rows ? [cols * px, rows * px] : [1, 1]);
  const stage = at("picture");
  stage.style.aspectRatio = `${width} / ${height}`;
  stage.style.width = `min(100%, ${Math.round(84 * width / height)}vh)`;
  const first = one.preview || one.bands || one.classed ? picture(one) : null;
  if (first?.tagName === "CANVAS") first.style.width = `${100 * cols * px / width}%`;
  const clip = make("div", { class: "clip" }, first);
  stage.querySelector(".clip")?.remove();
  stage.prepend(clip);
  stage.hidden = !(one.preview || one.bands || one.classed || one.overlay);
  at("picture-note").textContent = one.missing ?? "";
  if (one.overlay) load(one, clip, width);
  at("bands").hidden = !one.bands && one.task === undefined && !one.regions;
  if (one.bands) legend(at("bands"), bandCounts(one));
  else if (one.task !== undefined) classLegend(at("bands"), one);
  else if (one.regions) at("bands").replaceChildren(...one.regions.map(([name, fill, share]) => make("span", {}, regionMark(fill), name, make("b", {}, percent(share)))));
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
  tell("Votes", one.votes && (one.task === undefined ? `${one.votes[0]} control, ${one.votes[1]} patient, ${one.votes[2]} tie` : voteWords(one)));
  if (one.task !== undefined) tell("Judged by", { patch: "its patches", slice: "its slices", image: "the whole image" }[taskOf(one).cell]);
  for (const [name, , share, area, objects] of one.regions ?? []) {
    tell(name, [percent(share), area !== null && `${area.toLocaleString("en", { maximumFractionDigits: 0 })} \u00b5m\u00b2`, objects !== null && count(objects, "object")].filter(Boolean).join(", "));
  }
  tell("Diameter", one.diameter && `median ${one.diameter[0]}, half of them ${one.diameter[1]} to ${one.diameter[2]}`);
  tell("At the border", one.at_border && `${count(one.at_border, "object")}, in no diameter`);
  const beside = [one.leader, ...(one.leader ?? one).others ?? []].filter((other) => other && other !== one);
  tell("Also judged", beside.length && make("span", {}, ...beside.map((other) => make("button", { type: "button", class: "open", click: () => view(other) }, brief(other)))));
  tell("Size", one.size && `${one.size.join(" \u00d7 ")} pixels`);
  tell("Judged", local(one.created));
  tell("Model", one.judge && modelWords(one.judge));
  tell("Overlay", one.overlay && make("a", { href: one.overlay, target: "_blank", rel: "noopener" }, "open the picture alone"));
  return [
    make("div", { class: "line" }, word(one.result), one.answer ? make("b", {}, one.answer) : one.votes ? make("b", {}, ` score ${score(one)} `, make("small", {}, `(${taskOf(one).scored})`)) : ""),
    one.flags.length ? flagList(one) : make("p", { class: "quiet" }, "No quality flags."), make("dl", {}, ...list)];
}

function legend(element, counts) {
  element.replaceChildren(make("span", {}, "p_control"),
    ...data.bands.map((_, band) => make("span", { title: bandWords(band) }, bandMark(band),
      make("span", { class: "full" }, bandWords(band)), make("span", { class: "short" }, bandAbove(band)), counts ? make("b", {}, String(counts[band])) : null)));
}

function regionMark(fill) {  // the line that the overlay draws
  return draw("svg", { class: "band", viewBox: "0 0 32 18", "aria-hidden": "true" },
    draw("rect", { x: 1.5, y: 1.5, width: 29, height: 15, fill: "#0b0c0f", stroke: `rgb(${fill.join(" ")})`, "stroke-width": 3 }));
}

function classLegend(element, one) {
  const { classes, colours, cell } = taskOf(one);
  const told = one.votes.map((votes, place) => [classes[place] ?? "tie", one.likely ? one.likely[place] : votes, place])
    .filter(([name, value]) => value || (name !== "tie" && classes.length <= 16));
  element.replaceChildren(make("span", {}, cell === "image" ? "probability" : "votes"), ...told.map(([name, value, place]) => make("span", {},
    classMark(name, colours, place, cell === "patch"), name, make("b", {}, one.likely ? (value / 1000).toFixed(3) : String(value)))));
}

function spot(index) {  // marks a patch and tells of it; -1 none
  const tip = at("tip");
  tip.hidden = at("spot").hidden = index < 0;
  at("picture").dataset.patch = index;
  if (index < 0) return;
  const [rows, cols, px] = viewed.patches;
  const [width, height] = viewed.size ?? [cols * px, rows * px];
  const [r, c] = [Math.floor(index / cols), index % cols];
  const box = { left: 100 * c * px / width, top: 100 * r * px / height, width: 100 * px / width, height: 100 * px / height };
  for (const [side, share] of Object.entries(box)) at("spot").style[side] = `${share}%`;
  tip.replaceChildren(make("div", {}, `row ${r}, col ${c}`), ...tipOf(index));
  const below = r < rows / 2;
  const rightwards = c < cols / 2;
  tip.style.top = below ? `calc(${box.top + box.height}% + .7rem)` : "";
  tip.style.bottom = below ? "" : `calc(${100 - box.top}% + .7rem)`;
  tip.style.left = rightwards ? `${box.left}%` : "";
  tip.style.right = rightwards ? "" : `${100 - box.left - box.width}%`;
}

function tipOf(index) {
  const p = make("b", {}, (viewed.p[index] / 1000).toFixed(3));
  if (!viewed.bands) {
    const { classes, colours } = taskOf(viewed);
    const place = viewed.classed[index];
    return [make("span", {}, classMark(classes[place] ?? "tie", colours, place, true), classes[place] ?? VOTES.t), make("div", {}, "largest probability ", p)];
  }
  const band = Number(viewed.bands[index]);
  return [make("div", {}, "p_control ", p), make("span", {}, bandMark(band), bandWords(band)), make("div", {}, `votes for ${VOTES[viewed.voted[index]]}`)];
}

function patchUnder(event) {
  if (!viewed?.patches) return -1;
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
    if (!by || !viewed?.patches) return;
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
