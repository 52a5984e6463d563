// Saving a file shows here: the server tells which issues changed, the page fetches itself anew.

export function parsePage(text) {
  return new DOMParser().parseFromString(text, "text/html");
}

export async function fetchPage(url, signal) {
  const answer = await fetch(url, { signal, headers: { Accept: "text/html" } });
  const page = parsePage(await answer.text());
  page.ok = answer.ok;
  return page;
}

// Replace the content of the elements with these ids by that of `page`, where it differs.
export function take(page, ids) {
  for (const id of ids) {
    const old = document.getElementById(id);
    const fresh = page.getElementById(id);
    if (old && fresh && old.innerHTML !== fresh.innerHTML) old.replaceChildren(...fresh.childNodes);
  }
}

export function listen({ changed, looked }) {
  const light = document.getElementById("live");
  const show = (state, text) => {
    if (!light || light.dataset.state === state) return;
    light.dataset.state = state;
    light.firstElementChild.textContent = text;
  };
  let missed = false; // whether something may have been saved while nobody listened
  let events = null;
  const open = () => {
    events = new EventSource("/live");
    events.onopen = () => {
      show("on", "Live");
      if (missed) changed(null);
      missed = false;
    };
    events.onerror = () => {
      missed = true;
      show("lost", "Server stopped");
    };
    events.addEventListener("change", (event) => changed(JSON.parse(event.data).slugs));
    events.addEventListener("looked", (event) => looked?.(JSON.parse(event.data).slug));
  };
  const close = () => {
    events?.close();
    events = null;
    missed = true;
  };
  // A browser keeps few connections to one server: a page nobody sees gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!events) open();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && !events && open());
  open();
}
