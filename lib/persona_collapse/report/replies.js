"use strict";
// Everything shown is set as text. The address says what is shown: #run=gpt-4o/insecure&persona=12&item=5, or &search=words.
const PAGE = 25, EXCERPT = 300, LINKS = 60;
const at = id => document.getElementById(id);

function made(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
const folded = text => text.toLowerCase().replace(/\s+/g, " ");

async function unpacked() {
  if (!("DecompressionStream" in window)) throw Error("this browser is too old to unpack them (DecompressionStream, which browsers have since 2023)");
  const raw = atob(at("replies").textContent.trim()), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
}

// Where each cell begins in the flat list of its run and condition, and how often each reply came in all.
function indexed(data) {
  data.times = new Uint32Array(data.replies.length);
  data.cut = new Map(data.cut);
  data.runs.forEach(run => {
    run.begins = {};
    for (const [condition, flat] of Object.entries(run.cells)) {
      const begins = run.begins[condition] = new Uint32Array(data.people[condition].length * data.items.length);
      for (let cell = 0, i = 0; cell < begins.length; cell++) {
        begins[cell] = i;
        for (let n = flat[i++]; n--; i += 2) data.times[flat[i]] += flat[i + 1];
      }
    }
  });
  return data;
}

// [reply, times] of a cell.
function said(data, where) {
  const flat = where.run.cells[where.condition], pairs = [];
  let i = where.run.begins[where.condition][where.row * data.items.length + where.item];
  for (let n = flat[i++]; n--; i += 2) pairs.push([flat[i], flat[i + 1]]);
  return pairs;
}

// The first cell with the most different readings, as personas.
function liveliest(data, run) {
  const condition = Object.keys(run.cells)[0], found = {run, condition, row: 0, item: 0};
  let most = 0;
  for (let row = 0; row < data.people[condition].length; row++) for (let item = 0; item < data.items.length; item++) {
    const different = new Set(said(data, {run, condition, row, item}).map(([reply]) => data.reads[reply])).size;
    if (different > most) { most = different; Object.assign(found, {row, item}); }
  }
  return found;
}

function address(data, {run, condition, row, item}, words, unrated) {
  const parts = [`run=${run.key}`], [id] = data.people[condition][row];
  if (condition !== "persona") parts.push(`condition=${condition}`);
  if (id) parts.push(`persona=${encodeURIComponent(id)}`);
  parts.push(`item=${data.items[item][0]}`);
  if (words) parts.push(`search=${encodeURIComponent(words)}`);
  if (unrated) parts.push("unrated=1");
  return "#" + parts.join("&");
}

// What an address asks for; what it names and is not there is said, and the nearest is shown.
function asked(data, hash) {
  const given = new URLSearchParams(hash.slice(1)), wrong = [];
  const key = given.get("run"), run = data.runs.find(run => run.key === key);
  if (key !== null && !run) wrong.push(`no run ${key}`);
  const where = liveliest(data, run || data.runs[0]), condition = given.get("condition") || "persona";
  if (Object.hasOwn(where.run.cells, condition)) {
    if (condition !== where.condition) Object.assign(where, {condition, row: 0, item: 0});
  } else if (given.has("condition")) wrong.push(`${where.run.name} was not asked in the condition ${condition}`);
  const people = data.people[where.condition], id = given.get("persona"), row = given.get("row");
  if (id !== null || row !== null) {
    const found = id !== null ? people.findIndex(person => person[0] === id) : Number(row) - 1;
    if (people[found]) Object.assign(where, {row: found, item: 0}); else wrong.push(`no persona ${id ?? row}`);
  }
  const item = given.get("item");
  if (item !== null) {
    const found = data.items.findIndex(one => String(one[0]) === item);
    if (found >= 0) where.item = found; else wrong.push(`no item ${item}`);
  }
  return {where, wrong, words: given.get("search") || "", unrated: given.get("unrated") === "1"};
}

function shown(text, words, whole) {
  if (!text) return made("i", text === null ? "no text" : "empty");
  const pattern = words && new RegExp(words.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/\s+/g, "\\s+"), "giu");
  let from = 0, end = text.length;
  if (!whole && end > EXCERPT) {
    from = Math.max(0, (pattern ? text.search(pattern) : 0) - EXCERPT / 3);
    end = Math.min(end, from + EXCERPT);
  }
  const part = text.slice(from, end), element = made("span", undefined, "reply");
  element.dir = "auto";
  if (from) element.append("… ");
  let last = 0;
  for (const match of pattern ? part.matchAll(pattern) : []) {
    element.append(part.slice(last, match.index), made("mark", match[0]));
    last = match.index + match[0].length;
  }
  element.append(part.slice(last));
  if (end < text.length) element.append(" …");
  return element;
}

function row(data, reply, times, words, whole) {
  const line = made("tr"), first = made("td");
  first.append(shown(data.replies[reply], words, whole));
  if (whole && data.cut.has(reply)) first.append(made("p", `cut here: it has ${data.cut.get(reply).toLocaleString("en")} letters`, "kind"));
  line.append(first, made("td", times.toLocaleString("en")), made("td", data.ways[data.reads[reply]][0]));
  return line;
}

// Where a reply was said, run by run, once somebody wants to know.
function places(data, reply) {
  const closed = made("details", undefined, "where");
  closed.append(made("summary", "where it was said"));
  closed.addEventListener("toggle", () => {
    if (closed.childElementCount > 1) return;
    for (const run of data.runs) {
      let times = 0, cells = 0;
      const list = made("ul");
      for (const [condition, flat] of Object.entries(run.cells)) {
        run.begins[condition].forEach((begin, cell) => {
          let i = begin;
          for (let n = flat[i++]; n--; i += 2) if (flat[i] === reply) {
            times += flat[i + 1];
            if (++cells > LINKS) continue;
            const row = Math.floor(cell / data.items.length), item = cell % data.items.length, [number] = data.items[item];
            const [id] = data.people[condition][row], link = made("a", `${id ? `persona ${id}` : "no persona"}, item ${number}`);
            if (condition === "toxic") link.prepend("hostile ");
            link.href = address(data, {run, condition, row, item});
            const entry = made("li");
            entry.append(link, ` × ${flat[i + 1]}`);
            list.append(entry);
          }
        });
      }
      if (!cells) continue;
      closed.append(made("p", `${run.name}: ${count(times, "time", "times")} in ${count(cells, "cell", "cells")}`), list);
      if (cells > LINKS) list.append(made("li", `and ${count(cells - LINKS, "more cell", "more cells")}`));
    }
  });
  return closed;
}

function start(data) {
  const GROUPS = {persona: "personas", self: "without a persona", toxic: "hostile characters"};
  const lists = {run: at("run"), persona: at("persona"), item: at("item")}, words = at("words"), unrated = at("unrated");
  let now, hits = [], lower;

  const option = (value, text) => Object.assign(made("option", text), {value});
  data.runs.forEach((run, i) => lists.run.append(option(i, run.name)));
  data.items.forEach(([number, text], i) => lists.item.append(option(i, `${number}. ${text}`)));

  function listPeople(run) {
    lists.persona.replaceChildren(...Object.keys(run.cells).map(condition => {
      const group = Object.assign(made("optgroup"), {label: GROUPS[condition] || condition});
      group.append(...data.people[condition].map((person, row) => option(`${condition} ${row}`, person[1])));
      return group;
    }));
  }

  function showCell() {
    const {run, condition, row: who, item} = now.where, [number, text, group] = data.items[item];
    listPeople(run);
    lists.run.value = data.runs.indexOf(run);
    lists.persona.value = `${condition} ${who}`;
    lists.item.value = item;
    const found = said(data, now.where), times = found.reduce((sum, pair) => sum + pair[1], 0);
    const different = found.length > 1 ? `, ${found.length} different replies` : times > 1 ? ", always the same reply" : "";
    const came = times ? count(times, "requested rating", "requested ratings") + different : "nothing was asked";
    at("asked").textContent = `${run.name}, ${data.people[condition][who][1]}\n${number}. ${text} (${group})\n${came}`;
    at("cell").replaceChildren(...found.map(([reply, n]) => row(data, reply, n, now.words, true)));
    at("shares").textContent = run.shares[condition]?.[who]?.[item] || "";
  }

  function showMore() {
    const before = at("results").childElementCount / 2;
    for (const reply of hits.slice(before, before + PAGE)) {
      const below = made("tr", undefined, "below"), cell = made("td");
      cell.colSpan = 3;
      cell.append(places(data, reply));
      below.append(cell);
      at("results").append(row(data, reply, data.times[reply], now.words, false), below);
    }
    at("more").hidden = before + PAGE >= hits.length;
  }

  // Before the first word is typed, as it takes a moment where replies are long; the first look at a text is slower than others.
  function prepare() {
    if (lower) return;
    lower = data.replies.map(text => folded(text || ""));
    lower.forEach(text => text.includes("\0"));
  }

  function search() {
    const wanted = folded(now.words).trim();
    if (wanted) prepare();
    hits = [];
    let times = 0;
    for (let i = 0; i < data.replies.length; i++) {
      if (now.unrated && data.ways[data.reads[i]][1] || wanted && !lower[i].includes(wanted)) continue;
      hits.push(i);
      times += data.times[i];
    }
    at("found").textContent = hits.length ? `${count(hits.length, "different reply", "different replies")}, ${count(times, "time", "times")}` : "no such reply";
    at("results").replaceChildren();
    showMore();
  }

  const here = () => address(data, now.where, now.words, now.unrated);

  function show() {
    if (location.hash && !location.hash.includes("=")) return;  // a place on the page
    const before = now;
    now = asked(data, location.hash);
    at("state").hidden = !now.wrong.length;
    at("state").textContent = now.wrong.length ? `The address names what is not here: ${now.wrong.join("; ")}.` : "";
    showCell();
    if (!before || before.words !== now.words || before.unrated !== now.unrated) {
      words.value = now.words;
      unrated.checked = now.unrated;
      search();
    }
  }

  for (const list of Object.values(lists)) list.addEventListener("change", () => {
    const run = data.runs[lists.run.value], [condition, row] = lists.persona.value.split(" ");
    const same = Object.hasOwn(run.cells, condition) ? {condition, row: Number(row)} : {condition: Object.keys(run.cells)[0], row: 0};
    now.where = {run, ...same, item: Number(lists.item.value)};
    location.hash = here();
  });
  // Typing is one step of the way back, not one a letter.
  const looked = () => {
    now.words = words.value;
    now.unrated = unrated.checked;
    search();
    history.replaceState(null, "", here());
  };
  words.addEventListener("input", looked);
  unrated.addEventListener("change", looked);
  at("more").addEventListener("click", showMore);
  addEventListener("hashchange", show);
  at("tools").hidden = false;
  show();
  requestAnimationFrame(() => setTimeout(prepare));  // once the cell is painted
  document.documentElement.dataset.ready = "yes";
}

at("state").hidden = false;
at("state").textContent = "Unpacking the replies …";
unpacked().then(data => start(indexed(data))).catch(error => {
  at("tools").hidden = true;
  at("state").hidden = false;
  at("state").textContent = `The replies cannot be shown: ${error.message}. Below are the commonest of each run.`;
});
