const find = id => document.getElementById(id);
const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1 });
let waiting = [];

// `how`: "problem", or "spoken" for what the page shows in another place and a screen reader should say.
function say(text, how = "") {
  find("status").textContent = text;
  find("status").className = how;
}

async function ask(files) {
  const images = [...files].filter(file => file.type.startsWith("image/"));
  if (!images.length) return say("That is not a picture.", "problem");
  waiting = images;
  say(images.length > 1 ? `Asking about ${images.length} pictures` : "Asking");
  const form = new FormData();
  for (const image of images) form.append("image", image);
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  try {
    const response = await fetch("predict?top=5", { method: "POST", body: form, headers });
    const said = await response.json();
    if (response.status === 401) return unlock(token);
    if (!response.ok) return say(`${said.error}: ${said.fix}`, "problem");
    show(said, images);
  } catch {
    say("The server does not answer.", "problem");
  }
}

function unlock(token) {
  find("unlock").hidden = false;
  say(token ? "That is not the token." : "", "problem");
  find("token").focus();
}

function show(said, images) {
  waiting = [];
  find("answers").replaceChildren(...said.answers.map((answer, number) => answered(answer, images[number])));
  const { model } = said;
  const made = [`${model.architecture} on ${model.dataset}`, model.experiment, model.registry_version, model.hash.slice(0, 8)];
  find("model").textContent = `${made.filter(Boolean).join(", ")}; ${(1000 * said.seconds).toFixed(1)} ms`;
  find("model").hidden = false;
  say(said.answers.map(answer => `${answer.class}: ${percent.format(answer.confidence)}`).join(", "), "spoken");
}

function answered(answer, image) {
  const part = find("answer").content.cloneNode(true);
  const picture = part.querySelector("img");
  picture.src = URL.createObjectURL(image);
  picture.alt = answer.file || "the pasted picture";
  picture.addEventListener("load", () => URL.revokeObjectURL(picture.src), { once: true });
  part.querySelector("h2").textContent = answer.class;
  part.querySelector("ol").append(...answer.top.map(bar));
  return part;
}

function bar({ class: name, probability }) {
  const row = find("bar").content.cloneNode(true);
  row.querySelector(".name").textContent = name;
  row.querySelector("meter").value = probability;
  row.querySelector("meter").setAttribute("aria-label", name);
  row.querySelector(".share").textContent = percent.format(probability);
  return row;
}

for (const id of ["files", "camera"])
  find(id).addEventListener("change", event => {
    if (event.target.files.length) ask(event.target.files);
    event.target.value = "";
  });
find("unlock").addEventListener("submit", event => {
  event.preventDefault();
  sessionStorage.setItem("token", find("token").value);
  find("token").value = "";
  find("unlock").hidden = true;
  ask(waiting);
});
addEventListener("paste", event => {
  if (event.clipboardData.files.length) ask(event.clipboardData.files);
});
addEventListener("dragover", event => {
  event.preventDefault();
  document.body.classList.add("dragged");
});
addEventListener("dragleave", () => document.body.classList.remove("dragged"));
addEventListener("drop", event => {
  event.preventDefault();
  document.body.classList.remove("dragged");
  ask(event.dataTransfer.files);
});
