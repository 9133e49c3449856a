"use strict";

/* The number a place begins with; NaN for words. "−4.4 [−5.5, −3.4]" is −4.4, ">1000" is beyond 1000. */
function numberOf(text) {
  const plain = text.trim().replace(/−/g, "-").replace(/,/g, "");
  return plain.startsWith(">") ? Number.parseFloat(plain.slice(1)) + 0.5 : Number.parseFloat(plain);
}

/* Words and missing numbers come last in either direction. */
function byNumber(left, right, way) {
  const a = numberOf(left), b = numberOf(right);
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
  return way * (a - b);
}

const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function sort(heading) {
  const headings = [...heading.parentElement.children];
  const column = headings.indexOf(heading);
  const numeric = heading.classList.contains("number");
  const direction = NEXT[heading.getAttribute("aria-sort")];
  const way = direction === "descending" ? -1 : 1;
  const body = heading.closest("table").tBodies[0];
  const text = (row) => row.cells[column].textContent;
  const rows = [...body.rows].sort((left, right) => {
    const given = left.dataset.place - right.dataset.place;
    if (direction === "none") return given;
    const order = numeric ? byNumber(text(left), text(right), way) : way * words.compare(text(left), text(right));
    return order || given;
  });
  headings.forEach((other) => other.setAttribute("aria-sort", other === heading ? direction : "none"));
  body.append(...rows);
}

document.querySelectorAll("table.sortable").forEach((table) => {
  [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
  table.tHead.querySelectorAll("button").forEach((button) => {
    button.addEventListener("click", () => sort(button.closest("th")));
  });
});

/* What a link points to is shown, even within closed details. */
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let place = target; place; place = place.parentElement) {
    if (place.tagName === "DETAILS") place.open = true;
  }
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();
