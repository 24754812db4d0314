const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

// The confusion matrix. A cell is [actual, predicted, count].
const { names, cells, order, images } = data("matrix-data");
const table = document.getElementById("matrix");
const totals = names.map((_, i) => cells.filter(cell => cell[0] === i).reduce((sum, cell) => sum + cell[2], 0));
const most = Math.max(...cells.map(cell => cell[2]));
const percent = value => `${(100 * value).toFixed(value < 0.0995 ? 1 : 0)} %`;
const many = names.length > 25;
table.classList.toggle("many", many);
table.style.setProperty("--cell", many ? "0.9rem" : "2.6rem");
let chosen = "";

const show = (actual, predicted, count) => {
  chosen = `${actual},${predicted}`;
  for (const button of table.querySelectorAll("button"))
    button.setAttribute("aria-pressed", String(button.dataset.cell === chosen));
  const found = images[chosen] ?? [];
  const heading = element("h3", {}, element("bdi", {}, names[actual]),
    actual === predicted ? ", recognised" : " taken for ", actual === predicted ? "" : element("bdi", {}, names[predicted]));
  const left = count - found.length;
  const note = element("p", { className: "hint" },
    `${count} image${count === 1 ? "" : "s"}` + (left ? `; ${left} of them are left out` : "") + ".");
  const pictures = found.map(([file, confidence, source]) => element("figure", {},
    element("img", { src: source, alt: `${file}: ${names[actual]} taken for ${names[predicted]}` }),
    element("figcaption", {}, element("bdi", {}, file), `, ${percent(confidence)}`)));
  document.getElementById("cell").replaceChildren(heading, note,
    element("div", { className: "images" }, ...pictures));
};

const fill = () => {
  const shown = document.getElementById("order").value === "similarity" ? order : names.map((_, i) => i);
  const rates = document.getElementById("values").value === "rates";
  const counts = new Map(cells.map(([i, j, count]) => [`${i},${j}`, count]));
  const head = element("tr", {}, element("td", {}), ...shown.map(j =>
    element("th", { scope: "col", title: names[j] }, element("span", {}, names[j]))));
  const rows = shown.map(i => element("tr", {}, element("th", { scope: "row", title: names[i] }, names[i]),
    ...shown.map(j => {
      const count = counts.get(`${i},${j}`);
      if (!count) return element("td");
      const rate = count / totals[i];
      const text = rates ? percent(rate) : String(count);
      const button = element("button", { type: "button", className: i === j ? "hit" : "", title: `${names[i]} → ${names[j]}: ${text}` },
        many ? "" : text);
      button.dataset.cell = `${i},${j}`;
      button.setAttribute("aria-label", `${names[i]} ${i === j ? "recognised" : `taken for ${names[j]}`}: ${text}`);
      button.setAttribute("aria-pressed", String(chosen === `${i},${j}`));
      // The root makes single mistakes visible beside hundreds of hits; 0.45 keeps the number readable.
      const share = 0.45 * Math.sqrt(rates ? rate : count / most);
      button.style.setProperty("--share", share.toFixed(3));
      button.addEventListener("click", () => show(i, j, count));
      return element("td", {}, button);
    })));
  table.replaceChildren(
    element("caption", {}, "Rows: actual class. Columns: predicted class."),
    element("thead", {}, head), element("tbody", {}, ...rows));
};
for (const id of ["order", "values"]) document.getElementById(id).addEventListener("change", fill);
fill();

// The most confident image of a cell of the matrix.
for (const image of document.querySelectorAll("img[data-cell]")) image.src = images[image.dataset.cell][0][2];

// Tables that a click on a heading sorts.
for (const button of document.querySelectorAll(".sortable button"))
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = button.closest("table").tBodies[0];
    const column = head.cellIndex, up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => row.cells[column].dataset.value;
    const compare = (a, b) => a - b || String(a).localeCompare(b, undefined, { numeric: true });
    body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * compare(value(a), value(b))));
  });
