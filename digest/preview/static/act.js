// What can be done from the page: forms that are sent without leaving it, places opened in the editor.

import { fetchPage } from "./live.js";

export function watchForms(csrf) {
  const result = document.getElementById("result");
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-act]");
    if (!form) return;
    event.preventDefault();
    const reader = form.querySelector("[data-reader]");
    if (reader) reader.value = document.getElementById("reader").value;
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    result.replaceChildren(note("Working…"));
    try {
      const page = await fetchPage(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      const found = page.getElementById("result") ?? page.querySelector(".notice");
      result.replaceChildren(...(found?.childNodes ?? [note("That did not work. Reload the page and try again.")]));
    } catch {
      result.replaceChildren(note("The preview does not answer. Is it still running?"));
    }
    for (const button of buttons) button.disabled = false;
  });
  for (const field of document.querySelectorAll("[data-when]")) {
    const select = field.closest("form").querySelector("select[name=to]");
    const arrange = () => {
      field.hidden = select.value !== field.dataset.when;
      field.querySelector("input").required = !field.hidden;
    };
    select.addEventListener("change", arrange);
    arrange();
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-open]");
    if (button) openPlace(button.dataset.open, csrf);
  });
}

export async function openPlace(place, csrf) {
  const page = await fetchPage("/open", { method: "POST", body: new URLSearchParams({ csrf, place }) });
  if (!page.ok) {
    const said = page.querySelector(".notice p")?.textContent ?? "That did not work.";
    document.getElementById("where").textContent = said;
  }
}

// What needs script is hidden until there is some.
export function reveal(root = document) {
  for (const button of root.querySelectorAll("[data-open], [data-mark]")) button.hidden = false;
}

function note(text) {
  const p = document.createElement("p");
  p.className = "meta";
  p.textContent = text;
  return p;
}
