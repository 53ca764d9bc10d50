// The table of recordings: sorted by any column, filtered by words.

const table = document.getElementById("recordings");
const body = table.tBodies[0];

function keyOf(row, column) {
  const cell = row.cells[column];
  const value = cell.dataset.value ?? cell.textContent.trim();
  return value !== "" && Number.isFinite(Number(value)) ? Number(value) : value;
}

function compare(one, other) {
  if (typeof one === typeof other) return typeof one === "number" ? one - other : one.localeCompare(other);
  return typeof one === "number" ? -1 : 1;
}

[...table.tHead.rows[0].cells].forEach((head, column) => {
  const button = head.querySelector("button");
  button?.addEventListener("click", () => {
    const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [keyOf(row, column), row]);
    rows.sort(([one], [other]) => direction * compare(one, other));
    body.append(...rows.map(([, row]) => row));
  });
});

const words = document.getElementById("words");
const state = document.getElementById("state");
const count = document.getElementById("count");

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of body.rows) {
    const text = row.textContent.toLowerCase();
    const isShown = wanted.every((word) => text.includes(word)) && (!state.value || row.dataset.state === state.value);
    row.hidden = !isShown;
    shown += isShown;
  }
  count.textContent = `${shown} of ${body.rows.length} shown`;
}

words.addEventListener("input", filter);
state.addEventListener("change", filter);
filter();
