"use strict";
const table = document.getElementById("runs"), body = table.tBodies[0], all = [...body.rows];
const filters = [...document.querySelectorAll("select[data-place]")], words = document.getElementById("words"), found = document.getElementById("found");
function narrow() {
  const wanted = words.value.trim().toLowerCase();
  let left = 0;
  for (const row of all) {
    const fits = filters.every(one => !one.selectedIndex || row.cells[one.dataset.place]?.textContent === one.options[one.selectedIndex].textContent) && (!wanted || row.textContent.toLowerCase().includes(wanted));
    row.hidden = !fits;
    left += fits;
  }
  found.textContent = `${left} of ${all.length} rows`;
}
function sort(head, place, number) {
  const up = head.getAttribute("aria-sort") !== "ascending", sign = up ? 1 : -1;
  table.querySelectorAll("th[aria-sort]").forEach(one => one.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = row => { const cell = row.cells[place]; return !cell || cell.colSpan > 1 ? "" : number ? cell.dataset.by : cell.textContent; };
  // What is missing comes last, whichever way.
  all.sort((a, b) => { const x = key(a), y = key(b); return !x || !y ? !x - !y : sign * (number ? x - y : x.localeCompare(y)); });
  body.append(...all);
}
filters.forEach(one => one.addEventListener("change", narrow));
words.addEventListener("input", narrow);
[...table.tHead.rows[0].cells].forEach((head, place) => head.querySelector("button").addEventListener("click", () => sort(head, place, "number" in head.dataset)));
document.getElementById("clear").addEventListener("click", () => { filters.forEach(one => { one.selectedIndex = 0; }); words.value = ""; narrow(); });
document.getElementById("tools").hidden = false;
narrow();
