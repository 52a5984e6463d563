import { fetchPage, listen, take } from "./live.js";
import { exchange, watchClicks } from "./email.js";

const controls = document.getElementById("controls");
const who = document.getElementById("who");
const stage = document.getElementById("stage");
const paper = document.getElementById("paper");
const where = document.getElementById("where");
const slug = document.getElementById("main").dataset.slug;

let coming = null; // a frame that is still loading
let asking = null; // the request under way

document.documentElement.classList.add("js");

function wanted() {
  const query = new URLSearchParams(new FormData(controls));
  query.set("reader", document.getElementById("reader").value);
  const search = document.getElementById("search");
  if (search?.value) query.set("q", search.value);
  return `/issues/${encodeURIComponent(slug)}?${query}`;
}

function arrange() {
  const form = new FormData(controls);
  for (const name of ["width", "scheme", "show"]) {
    stage.dataset[name] = form.get(name);
    who.elements[name].value = form.get(name);
  }
  const frame = document.getElementById("email");
  const text = document.getElementById("text");
  if (frame) frame.hidden = form.get("show") === "text";
  if (text) text.hidden = form.get("show") !== "text";
  fit();
}

// A phone's page is wider than a phone's stage with its margins: shrink what does not fit.
function fit() {
  const width = Number(stage.dataset.width) || 0;
  const room = stage.clientWidth - 2 * Number.parseFloat(getComputedStyle(stage).paddingLeft);
  const scale = width && room < width ? room / width : 1;
  paper.style.setProperty("--scale", scale);
}

// Only the newest request counts: a slow older answer never overwrites it.
async function refresh() {
  asking?.abort();
  const mine = (asking = new AbortController());
  const url = wanted();
  history.replaceState(null, "", url);
  let page;
  try {
    page = await fetchPage(url, mine.signal);
  } catch {
    return; // a newer request, or the server is gone: the page stays as it is
  }
  if (!page.ok) {
    if (page.querySelector(".notice")) document.getElementById("notice").replaceChildren(page.querySelector(".notice"));
    return;
  }
  document.title = page.title;
  take(page, ["notice", "facts", "chosen-facts", "values", "letter-facts"]);
  const list = document.getElementById("reader");
  if (list.innerHTML !== page.getElementById("reader").innerHTML) {
    const value = list.value;
    list.replaceChildren(...page.getElementById("reader").childNodes);
    if ([...list.options].some((option) => option.value === value)) list.value = value;
  }
  takeEmail(page);
}

function takeEmail(page) {
  const frame = document.getElementById("email");
  const fresh = page.getElementById("email");
  coming?.remove();
  coming = null;
  if (!frame || !fresh) {
    if (frame || fresh) {
      paper.replaceChildren(...page.getElementById("paper").childNodes);
      ready(document.getElementById("email"));
    }
    return arrange();
  }
  const text = document.getElementById("text");
  if (text.textContent !== page.getElementById("text").textContent) text.textContent = page.getElementById("text").textContent;
  if (frame.getAttribute("src") === fresh.getAttribute("src")) return arrange();
  frame.title = fresh.title;
  coming = exchange(frame, fresh.getAttribute("src"), (shown) => {
    coming = null;
    ready(shown);
    document.dispatchEvent(new CustomEvent("shown"));
  });
  arrange();
}

function ready(frame) {
  if (!frame) return;
  if (frame.contentDocument?.readyState === "complete") watchClicks(frame, where);
  frame.addEventListener("load", () => watchClicks(frame, where));
}

controls.addEventListener("change", (event) => {
  arrange();
  if (event.target.name === "scheme") refresh();
  else history.replaceState(null, "", wanted());
});
controls.addEventListener("submit", (event) => event.preventDefault());
who.addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});
document.getElementById("reader").addEventListener("change", refresh);
let typing;
document.getElementById("search")?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(refresh, 200);
});

ready(document.getElementById("email"));
arrange();
new ResizeObserver(fit).observe(stage);
listen({
  changed: (slugs) => {
    // No slug: a list of readers was saved. None at all: unknown.
    if (!slugs || slugs.length === 0 || slugs.includes(slug)) refresh();
  },
});
