// --- models: where there are several, each has a letter, in the order in which they first judged

const models = listModels();
const several = models.length > 1;

function listModels() {
  const found = new Map();
  for (const one of [...images].sort((a, b) => Date.parse(a.created) - Date.parse(b.created))) {
    if (!one.model) continue;
    const [name, version, sha256] = one.model;
    if (!found.has(sha256)) found.set(sha256, { name: `${name} ${version}`, sha256, demo: one.demo, images: 0, letter: letter(found.size) });
    found.get(sha256).images += 1;
    one.judge = found.get(sha256);
  }
  return [...found.values()];
}

function letter(number) {  // A to Z, then AA
  return (number < 26 ? "" : letter(Math.floor(number / 26) - 1)) + String.fromCharCode(65 + number % 26);
}

function modelWords(model) {
  return [several ? `${model.letter}: ` : "", model.name, ` (${model.sha256.slice(0, 12)})`].join("");
}

function modelMark(model) {
  return several && model ? make("div", { class: "quiet", title: modelWords(model) }, `model ${model.letter}${model.demo ? ", demo" : ""}`) : null;
}

function tellModels() {
  const lines = models.map((model) => make("li", {}, `Model ${modelWords(model)}: ${count(model.images, "image")}`));
  at("models").replaceChildren(...lines);
}
