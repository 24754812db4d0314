// Write a line per ticked box. An image may be in several findings: its boxes of one kind are ticked together, and an
// image that is left out needs no other label.
const boxes = [...document.querySelectorAll("input[data-file]")];
const quoted = (text) => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
const same = (a, b) => a.dataset.file === b.dataset.file && a.dataset.label === b.dataset.label;

function write() {
  const lines = { exclude: new Map(), relabel: new Map() };
  for (const box of boxes.filter((box) => box.checked)) {
    const { file, split, label } = box.dataset;
    const reason = [...new Set(boxes.filter((other) => same(box, other)).map((other) => other.dataset.reason))].join(" and ");
    const cells = [file, ...(label === undefined ? [] : [label]), split === "test" ? "test" : "", reason];
    lines[label === undefined ? "exclude" : "relabel"].set(file, cells.map(quoted).join(","));
  }
  for (const [id, found] of Object.entries(lines)) document.getElementById(id).value = [...found.values()].join("\n");
}

for (const box of boxes) {
  box.addEventListener("change", () => {
    for (const other of boxes.filter((other) => other.dataset.file === box.dataset.file)) {
      if (same(box, other)) other.checked = box.checked;
      else if (box.checked) other.checked = false;
    }
    write();
  });
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => {
    const area = document.getElementById(button.dataset.copy);
    area.select();
    document.execCommand("copy"); // navigator.clipboard does not work in a page opened from disk
    document.getElementById("copied").textContent = `${area.value ? area.value.split("\n").length : 0} lines copied`;
  });
}
if (boxes.length) write();
