// The frames with the email: as wide as asked, made smaller where the room is less, scrolled together.

const stage = document.getElementById("stage");
const panes = document.getElementById("panes");
const GAP = 16;

export function frames() {
  return [...panes.querySelectorAll("iframe.email:not(.coming)")];
}

function space() {
  const style = getComputedStyle(panes);
  return panes.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
}

// Each frame is laid out at its own width and drawn to fit; at 200 % it has half the width, as a browser's zoom does.
export function fit() {
  const all = [...panes.querySelectorAll(".pane")];
  if (panes.hidden || !all.length) return;
  const zoom = Number(stage.dataset.zoom) / 100 || 1;
  const handle = all.length === 1 && !matchMedia("(max-width: 34rem)").matches ? 2 * GAP : 0;
  const room = space() - GAP * (all.length - 1) - handle;
  const wanted = all.reduce((sum, pane) => sum + (Number(pane.dataset.width) || room), 0);
  const shrunk = Math.min(1, room / wanted);
  for (const pane of all) {
    const wide = Number(pane.dataset.width) || room;
    pane.style.setProperty("--wide", `${wide / zoom}px`);
    pane.style.setProperty("--seen", `${wide * shrunk}px`);
    pane.style.setProperty("--scale", shrunk * zoom);
  }
}

// Several panes scroll as one, by the share of their heights.
export function scrollTogether(frame) {
  frame.contentWindow?.addEventListener(
    "scroll",
    () => {
      const all = frames();
      if (all.length < 2 || frame.contentWindow.following) return;
      const share = (root) => root.scrollHeight - root.clientHeight || 1;
      const from = frame.contentDocument.documentElement;
      for (const other of all) {
        if (other === frame || !other.contentWindow) continue;
        const to = other.contentDocument.documentElement;
        other.contentWindow.following = true;
        other.contentWindow.scrollTo({ top: (from.scrollTop / share(from)) * share(to), behavior: "instant" });
        requestAnimationFrame(() => requestAnimationFrame(() => (other.contentWindow.following = false)));
      }
    },
    { passive: true },
  );
}

// The handle at the right edge: dragged, or moved by the arrow keys. `changed(width, atEnd)`.
export function watchHandle(changed) {
  const handle = document.getElementById("handle");
  if (!handle || !handle.hidden) return;
  handle.hidden = false;
  const pane = handle.closest(".pane");
  const set = (width, atEnd) => {
    const most = Math.min(1600, Math.floor(space()) - 2 * GAP);
    const wide = Math.round(Math.max(280, Math.min(most, width)));
    pane.dataset.width = wide;
    handle.setAttribute("aria-valuenow", wide);
    fit();
    changed(wide, atEnd);
  };
  const now = () => Number(pane.dataset.width) || space() - 2 * GAP;
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    panes.classList.add("dragging");
    const from = { x: event.clientX, width: now() };
    // The pane is centred: its edge moves half as far as its width grows.
    const move = (moved) => set(from.width + 2 * (moved.clientX - from.x), false);
    handle.addEventListener("pointermove", move);
    const end = () => {
      handle.removeEventListener("pointermove", move);
      panes.classList.remove("dragging");
      set(now(), true);
    };
    handle.addEventListener("pointerup", end, { once: true });
    handle.addEventListener("pointercancel", end, { once: true });
  });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -10, ArrowRight: 10, PageDown: -50, PageUp: 50 }[event.key];
    if (event.key === "Home") set(280, true);
    else if (event.key === "End") set(1600, true);
    else if (step) set(now() + step, true);
    else return;
    event.preventDefault();
  });
}
