import { openPlace, reveal, watchForms } from "./act.js";
import { exchange, watchClicks } from "./email.js";
import { fit, frames, scrollTogether, watchHandle } from "./frames.js";
import { fetchPage, listen, take } from "./live.js";
import { blockOf, markProblems, placeOf, show, watchHover } from "./marks.js";

const main = document.getElementById("main");
const controls = document.getElementById("controls");
const who = document.getElementById("who");
const stage = document.getElementById("stage");
const panes = document.getElementById("panes");
const where = document.getElementById("where");
const hovered = document.getElementById("hovered");
const reader = document.getElementById("reader");
const { slug, csrf, editor, file } = main.dataset;

let asking = null; // the request under way
let problems = []; // [place, severity] of what digest check says
let sought = ""; // a place to be shown when the email is there

document.documentElement.classList.add("js");

// ---- the address

function wanted() {
  const form = new FormData(controls);
  const query = new URLSearchParams();
  const defaults = { width: "600", scheme: "light", show: "html", beside: "" };
  for (const [name, value] of form) if (name !== "reader" && value !== defaults[name]) query.set(name, value);
  query.set("reader", reader.value);
  const search = document.getElementById("search");
  if (search?.value) query.set("q", search.value);
  if (field("show") === "run") for (const [name, value] of ofRun()) query.set(name, value);
  return `/issues/${encodeURIComponent(slug)}?${query}`;
}

const field = (name) => new FormData(controls).get(name);

// Which of a run's readers are listed: the address says it, and the words typed since.
function ofRun() {
  const now = new URLSearchParams(location.search);
  const typed = document.getElementById("find")?.value.trim();
  const kept = ["state", "after"].filter((name) => now.has(name)).map((name) => [name, now.get(name)]);
  if (typed === undefined ? !now.has("find") : !typed) return kept;
  const same = typed === undefined || typed === now.get("find");
  return [...kept.filter(([name]) => same || name !== "after"), ["find", typed ?? now.get("find")]];
}

// ---- taking a fresh page

// Only the newest request counts: a slow older answer never overwrites it.
async function refresh() {
  asking?.abort();
  const mine = (asking = new AbortController());
  const begun = performance.now();
  const url = wanted();
  history.replaceState(null, "", url);
  let page;
  try {
    page = await fetchPage(url, { signal: mine.signal });
  } catch {
    if (asking === mine) follow(1000); // the server is gone, or a newer request is there: the page stays as it is
    return;
  }
  if (!page.ok) {
    const notice = page.querySelector(".notice");
    if (notice) document.getElementById("notice").replaceChildren(notice);
    return;
  }
  document.title = page.title;
  take(page, ["notice", "title", "tabs", "scheme-note", "chosen-facts", "values", "letter-facts", "acts"]);
  takeReaders(page);
  takePanes(page);
  takeView(page);
  reveal();
  follow(performance.now() - begun);
}

function takeReaders(page) {
  const fresh = page.getElementById("reader");
  if (reader.innerHTML === fresh.innerHTML) return;
  const value = reader.value;
  reader.replaceChildren(...fresh.childNodes);
  if ([...reader.options].some((option) => option.value === value)) reader.value = value;
}

function takeView(page) {
  const view = document.getElementById("view");
  const fresh = page.getElementById("view");
  const scrolled = view.querySelector(".scroll")?.scrollTop ?? 0;
  const run = (root) => root.querySelector("#run:has(#run-accounts)")?.dataset.state;
  // Of the same list the field stays as it is: somebody may be typing in it.
  if (run(view) !== undefined && run(view) === run(fresh)) take(page, ["run-accounts", "run-readers"]);
  else take(page, ["view"]);
  view.hidden = fresh.hidden;
  const box = view.querySelector(".scroll");
  if (box) box.scrollTop = scrolled;
}

// Panes that stay keep their frame until the new one is there; the others come and go.
function takePanes(page) {
  const fresh = page.getElementById("panes");
  panes.hidden = fresh.hidden;
  panes.dataset.count = fresh.dataset.count;
  stage.dataset.show = field("show");
  const keys = (root) => [...root.querySelectorAll(".pane")].map((pane) => pane.dataset.key).join();
  if (keys(panes) !== keys(fresh)) {
    panes.replaceChildren(...fresh.childNodes);
    for (const frame of frames()) ready(frame);
    return arrange();
  }
  for (const pane of panes.querySelectorAll(".pane")) {
    const next = fresh.querySelector(`.pane[data-key="${pane.dataset.key}"]`);
    pane.dataset.width = next.dataset.width;
    pane.dataset.scheme = next.dataset.scheme;
    pane.querySelector(".coming")?.remove();
    const frame = pane.querySelector("iframe");
    const address = next.querySelector("iframe").getAttribute("src");
    frame.title = next.querySelector("iframe").title;
    if (frame.getAttribute("src") === address) continue;
    exchange(frame, address, (shown) => {
      prepare(shown);
      document.dispatchEvent(new CustomEvent("shown"));
    });
  }
  arrange();
}

// ---- the frames

function ready(frame) {
  if (frame.contentDocument?.readyState === "complete" && frame.contentDocument.URL !== "about:blank") prepare(frame);
  frame.addEventListener("load", () => prepare(frame));
}

function prepare(frame) {
  watchClicks(frame, (said, element) => tellPlace(said, element));
  watchHover(frame, (text) => (hovered.textContent = text));
  scrollTogether(frame);
  markProblems(frame, problems);
  if (sought) seek(sought);
}

// Show a place in the email; what stands above an issue's text is no part of it, nor are settings.
function seek(place) {
  sought = "";
  if (frames().filter((frame) => show(frame, place)).length) return where.replaceChildren();
  if (!place.startsWith(`${file}:`)) return where.replaceChildren(`${place} is not in this picture`);
  const row = Object.assign(document.createElement("a"), { href: wanted() + "&show=row", textContent: "the inbox row" });
  where.replaceChildren(`${place} stands above the text: `, row, " shows subject and preheader");
}

function tellPlace(said, element) {
  const place = placeOf(element);
  const block = blockOf(element);
  const parts = [...said];
  if (place) {
    const code = document.createElement("code");
    code.textContent = place;
    parts.push(said.length ? " · written at " : "Written at ", code);
  }
  if (block) parts.push(` · ${block.kind} (${block.file})`);
  if (place && editor) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `Open in ${editor}`;
    button.addEventListener("click", () => openPlace(place, csrf));
    parts.push(" ", button);
  }
  where.replaceChildren(...parts);
}

function arrange() {
  const current = document.querySelector("#tabs [aria-current]");
  if (current) current.parentElement.scrollLeft = current.offsetLeft - current.parentElement.clientWidth / 2;
  stage.dataset.zoom = field("zoom") ?? "100";
  controls.hidden = field("show") !== "html";
  watchHandle((width, atEnd) => {
    const free = document.getElementById("free");
    free.hidden = false;
    free.querySelector("input").value = width;
    free.querySelector("input").checked = true;
    free.querySelector("small").textContent = width;
    if (atEnd) history.replaceState(null, "", wanted());
  });
  for (const input of who.querySelectorAll("input[type=hidden]")) input.remove();
  for (const [name, value] of new URLSearchParams(wanted().split("?")[1])) {
    if (name !== "reader" && name !== "q") who.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
  fit();
}

// ---- problems and the run

async function check() {
  const page = await fetchPage(document.getElementById("checks").dataset.from).catch(() => null);
  if (!page?.ok) return;
  take(page, ["checks-list"]);
  const list = document.getElementById("checks-list");
  problems = [...list.querySelectorAll("[data-place]")].map((item) => [item.dataset.place, item.dataset.severity]);
  if (editor) for (const mark of list.querySelectorAll("[data-mark]")) mark.after(" ", opener(mark.dataset.mark));
  reveal(list);
  for (const frame of frames()) markProblems(frame, problems);
}

function opener(place) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "small", textContent: "Open" });
  button.dataset.open = place;
  return button;
}

// A run writes to the database, not to files; a long list is counted for a while. Where looking takes its time, so
// does the pause.
let following = null;
function follow(took = 0) {
  clearTimeout(following);
  const underWay = document.querySelector("#view [data-following]") !== null;
  if (underWay || field("show") === "run") following = setTimeout(refresh, Math.max(underWay ? 500 : 2000, 4 * took));
}

// ---- what a person does

controls.addEventListener("change", (event) => {
  where.replaceChildren();
  if (event.target.name === "width" && field("beside") === "") {
    const pane = panes.querySelector(".pane");
    if (pane) pane.dataset.width = field("width") === "full" ? 0 : field("width");
    arrange();
    history.replaceState(null, "", wanted());
  } else if (event.target.name === "zoom") {
    arrange();
    history.replaceState(null, "", wanted());
  } else refresh();
});
controls.addEventListener("submit", (event) => event.preventDefault());
who.addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});
reader.addEventListener("change", refresh);
let typing;
document.addEventListener("input", (event) => {
  if (!["search", "find"].includes(event.target.id)) return;
  clearTimeout(typing);
  typing = setTimeout(refresh, 200);
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "run-find") return;
  event.preventDefault();
  refresh();
});
document.getElementById("tabs").addEventListener("click", (event) => {
  const tab = event.target.closest("a[data-show]");
  if (!tab || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  where.replaceChildren();
  controls.elements.show.value = tab.dataset.show;
  refresh().then(() => document.querySelector("#tabs [aria-current]")?.focus());
});
document.addEventListener("click", (event) => {
  const mark = event.target.closest("[data-mark]")?.dataset.mark;
  if (!mark) return;
  if (field("show") === "html") return seek(mark);
  sought = mark;
  controls.elements.show.value = "html";
  refresh();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") where.replaceChildren();
});

for (const frame of frames()) ready(frame);
arrange();
reveal();
watchForms(csrf);
follow();
check();
new ResizeObserver(fit).observe(stage);
listen({
  // No slug: a list of readers was saved. None at all: unknown.
  change: (data) => (!data?.slugs?.length || data.slugs.includes(slug)) && refresh(),
  checked: (data) => data.slug === slug && check(),
});
