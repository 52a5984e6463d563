// Saving a file shows here: the server tells which issues changed, the page fetches itself anew.

export function parsePage(text) {
  return new DOMParser().parseFromString(text, "text/html");
}

export async function fetchPage(url, options) {
  const answer = await fetch(url, { headers: { Accept: "text/html" }, ...options });
  const page = parsePage(await answer.text());
  page.ok = answer.ok;
  return page;
}

// `look` as a function that runs once at a time: what comes meanwhile is one more look when it is done.
export function oneAtATime(look, pause = 0) {
  let asking = false;
  let again = false;
  return async function asked() {
    again = asking;
    if (asking) return;
    asking = true;
    try {
      await look();
    } finally {
      asking = false;
      if (again) setTimeout(asked, pause);
      again = false;
    }
  };
}

// Replace the content of the elements with these ids by that of `page`, where it differs.
export function take(page, ids) {
  for (const id of ids) {
    const old = document.getElementById(id);
    const fresh = page.getElementById(id);
    if (old && fresh && old.innerHTML !== fresh.innerHTML) old.replaceChildren(...fresh.childNodes);
  }
}

// Call what `on` holds for an event (change, looked, checked, mail) with its data; `change` with null after a gap.
export function listen(on) {
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
      if (missed) on.change?.(null);
      missed = false;
    };
    events.onerror = () => {
      missed = true;
      show("lost", "Server stopped");
    };
    for (const name of Object.keys(on)) events.addEventListener(name, (event) => on[name](JSON.parse(event.data)));
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
