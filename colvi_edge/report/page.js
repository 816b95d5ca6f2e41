// --- the page as a whole

const LONGEST_PLACE = 36;  // letters of a folder on a card
const STALE_MIN = 25;  // the daemon writes the page every 10 minutes, news or not

function tellNotices() {
  const notices = [];
  const demo = images.filter((one) => one.demo).length;
  if (demo) notices.push(`Judged with the synthetic demo model${demo < images.length ? ` (${count(demo, "image")})` : ""}: it was trained on simulated pictures and knows nothing of real cultures.`);
  if (!images.length) notices.push("There are no results in this folder yet.");
  if (data.left_out) notices.push(`Only the newest ${images.length} images are shown; ${data.left_out} older ones are left out. A report of a sub-folder shows them.`);
  if (data.unread) notices.push(`Not shown, as it could not be read: ${count(data.unread, "record or folder", "records or folders")}.`);
  if (several && !rivals()) {
    notices.push(`These results are of ${models.length} models, each asked for something else; their scores do not compare.`);
  } else if (several) {
    notices.push(make("p", { class: "notice" }, `These results are of ${models.length} models, whose scores do not compare. Look at one at a time by the filter \u201cModel\u201d, or judge all images with one:`,
      make("code", {}, "colvi-edge run FOLDER --bundle MODEL.colvi --stale")));
  }
  const age = (Date.now() - Date.parse(data.made)) / 60000;
  if (data.refresh_s && age > STALE_MIN) notices.push(`This page was last written ${local(data.made)}. Ask \u201ccolvi-edge status\u201d whether the watching goes on.`);
  at("notices").replaceChildren(...notices.map((words) => typeof words === "string" ? make("p", { class: "notice" }, words) : words));
  at("made").textContent = `as of ${local(data.made)}${data.refresh_s ? "; loads itself anew" : ""}`;
}

function rivals() {  // whether several models were asked the same
  const asked = new Set(images.filter((one) => one.judge).map((one) => `${one.slot ?? ""}/${one.regions ? "regions" : one.task} ${one.judge.sha256}`));
  return asked.size > new Set([...asked].map((pair) => pair.split(" ")[0])).size;
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

function shortenFolders() {  // for cards: the middle of a long one goes, but never what two of one name differ in
  const seen = new Map();
  const told = (one) => JSON.stringify([one.name, one.place]);
  for (const one of images) {
    const letters = [...one.folder];
    one.place = letters.length <= LONGEST_PLACE ? one.folder
      : `${letters.slice(0, LONGEST_PLACE / 3).join("")}\u2026${letters.slice(1 - 2 * LONGEST_PLACE / 3).join("")}`;
    seen.set(told(one), (seen.get(told(one)) ?? 0) + 1);
  }
  for (const one of images.filter((one) => seen.get(told(one)) > 1)) one.place = one.folder;
}

for (const one of images) {
  one.id = `${one.folder}/${one.name}`;
  one.path = one.folder ? one.id : one.name;
  one.text = [one.name, one.folder, one.sample, one.date, one.result, one.answer, one.judge?.name, ...one.flags.flatMap(([, name, words]) => [name, words])].join(" ").toLowerCase();
}
shortenFolders();
tellNotices();
tellModels();
at("glance").classList.toggle("named", data.tasks.length > 0);
prepareFilters();
prepareViewer();
if (isPaper) legend(at("legend"));
for (const { classes, colours, cell } of data.tasks.filter((task) => task.classes.length <= 16)) {
  at("legend").append(...classes.map((name, place) => make("span", {}, classMark(name, colours, place, cell === "patch"), name)));
}
if (measured.length) at("legend").append(...[...new Map(measured.flatMap((one) => one.regions.map(([name, fill]) => [name, fill])))].slice(0, 16)
  .map(([name, fill]) => make("span", {}, regionMark(fill), name)));
if (isScored) at("legend").append(make("span", {}, `number: score${MEANT}`));
at("trend-title").append(make("small", {}, MEANT));
show();
scrollTo(0, Number(state.y) || 0);
state.y = "";
const open = images.find((one) => one.id === state.open);
if (open) view(open);
addEventListener("beforeprint", () => { for (const name of Object.keys(STEP)) most[name] = Infinity; show(); });
if (data.refresh_s) keepCurrent();
