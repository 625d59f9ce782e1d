// Sections open one at a time, or all; a figure is drawn when its section is first opened.
const sections = [...document.querySelectorAll("details.section")], openAll = document.getElementById("open-all");
const figures = document.getElementById("figures"), specs = figures ? JSON.parse(figures.textContent) : [], views = [];
const switches = document.querySelector("form.switches"), chosen = new Set();
let wanted = null;

function draw(section) {
  section.querySelectorAll("figure[id^='figure-']:not(.begun)").forEach(figure => {
    figure.classList.add("begun");
    const i = Number(figure.id.slice(7)) - 1, drawn = figure.querySelector(".drawn");
    vegaEmbed(drawn, specs[i], {mode: "vega-lite", renderer: "svg", actions: {export: true, source: false, compiled: false, editor: false}})
      .then(found => { views[i] = found.view; lead(figure, found.view); figure.classList.add("live"); widen(figure, found.view); chosen.forEach(one => set(i, one)); stay(); },
        error => console.error(figure.id, error));
  });
}
// The link under the map of every cell leads to the replies of the run in the list, or of the cell that was clicked.
function lead(figure, view) {
  const link = figure.querySelector("a.replies");
  if (!link) return;
  const page = link.getAttribute("href"), runs = link.dataset.runs.split(" "), to = (run, cell, said) => { link.href = `${page}#run=${runs[run]}${cell}`; link.textContent = `All replies of ${said}`; };
  link.nextElementSibling.hidden = false;
  view.addSignalListener("run", (_, run) => to(run, "", runs[run]));
  view.addEventListener("click", (_, item) => {
    const {run, Persona, Item, who} = item && item.datum || {};
    if (Persona && Item) to(run, `&row=${Persona}&item=${Item}`, `${runs[run]} to item ${Item} as ${who.replace(/\n[^]*/, " …")}`);
  });
}
// The page's width is the figure's, as far as its marks can be spread.
function widen(figure, view) {
  const spare = figure.clientWidth - figure.querySelector(".drawn svg").getBoundingClientRect().width;
  const signals = view.getState().signals, name = "child_width" in signals ? "child_width" : "width", width = signals[name];
  const columns = name === "width" ? 1 : specs[Number(figure.id.slice(7)) - 1].columns || 1;
  if (spare > 20 && typeof width === "number" && !("x_step" in signals)) view.signal(name, Math.min(width + Math.floor(spare / columns), 1.5 * width)).resize().runAsync().then(stay);
}
function set(i, choice) {
  if (views[i] && (specs[i].params || []).some(param => param.name === choice.name && param.bind)) views[i].signal(choice.name, choice.value).runAsync();
}
// What a link leads to is opened, with all that it lies in.
function reveal(hash) {
  const found = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)));
  for (let part = found; part = part && part.closest("details:not([open])");) part.open = true;
  wanted = found;
  requestAnimationFrame(stay);
}
// Figures above a place take more or less room once they are drawn; it stays in sight until the reader goes on.
function stay() { if (wanted) wanted.scrollIntoView(); }
["wheel", "touchmove", "keydown", "pointerdown"].forEach(kind => addEventListener(kind, () => { wanted = null; }, {passive: true}));
document.addEventListener("toggle", event => {
  const section = event.target;
  if (!section.matches("details.section")) return;
  if (section.open) draw(section);
  // What another section held is gone from above it.
  if (section.open && !wanted && section.getBoundingClientRect().top < 0) section.scrollIntoView();
  if (section.open) stay();
  document.querySelectorAll("nav li").forEach(entry => { entry.hidden = !shown(entry); });
}, true);
function shown(entry) {
  const target = document.getElementById(decodeURIComponent(entry.firstElementChild.hash.slice(1)));
  return !entry.matches(".l3") || !target || target.closest("details.section").open;
}
function all(open) {
  sections.forEach(section => { open ? section.removeAttribute("name") : section.name = "section"; });
  sections.forEach(section => { section.open = open; });
}
openAll.addEventListener("change", () => all(openAll.checked));
addEventListener("click", event => { const anchor = event.target.closest("a[href^='#']"); if (anchor) reveal(anchor.hash); });
addEventListener("hashchange", () => reveal(location.hash));
addEventListener("afterprint", () => all(openAll.checked));
addEventListener("beforeprint", () => { all(true); document.querySelectorAll("details.rows").forEach(table => { table.open = true; }); });
document.querySelectorAll(".switches").forEach(one => { one.hidden = false; });
document.querySelectorAll("nav li").forEach(entry => { entry.hidden = !shown(entry); });
openAll.checked = false;
if (switches) {
  switches.reset();
  switches.addEventListener("change", event => { chosen.add(event.target); specs.forEach((spec, i) => set(i, event.target)); });
}
reveal(location.hash);
