// Where each part of the email was written: the marks of the twin, hovered, clicked, and found again.

const STYLE = `
  [data-here] { outline: 2px solid #0f6b5c !important; outline-offset: -2px !important; }
  [data-problem] { outline: 3px dashed #b3261e !important; outline-offset: -1px !important; }
  [data-problem="warning"] { outline-color: #b57600 !important; }
  [data-found] { outline: 3px solid #b3261e !important; outline-offset: 2px !important; }
`;

// Hovering outlines the block and tells what it is; `tell(text)` gets an empty text when nothing is under the pointer.
export function watchHover(frame, tell) {
  const inside = frame.contentDocument;
  if (!inside?.head) return;
  const style = inside.createElement("style");
  style.textContent = STYLE;
  inside.head.append(style);
  let last = null;
  const leave = () => {
    last?.removeAttribute("data-here");
    last = null;
  };
  inside.addEventListener("mouseover", (event) => {
    const block = event.target.closest?.("[data-kind]");
    if (block === last) return;
    leave();
    last = block;
    block?.setAttribute("data-here", "");
    tell(block ? `${block.dataset.kind} · ${block.dataset.kindFile}` : "");
  });
  inside.addEventListener("mouseleave", () => {
    leave();
    tell("");
  });
}

export function placeOf(element) {
  return element.closest?.("[data-src]")?.dataset.src ?? "";
}

export function blockOf(element) {
  const block = element.closest?.("[data-kind]");
  return block ? { kind: block.dataset.kind, file: block.dataset.kindFile } : null;
}

function split(place) {
  const at = place.lastIndexOf(":");
  return [place.slice(0, at), Number(place.slice(at + 1))];
}

// The element written at `place`, else the last one of that file written before it.
export function find(frame, place) {
  const [file, line] = split(place);
  let best = null;
  let bestLine = 0;
  for (const element of frame.contentDocument?.querySelectorAll("[data-src]") ?? []) {
    const [itsFile, itsLine] = split(element.dataset.src);
    if (itsFile === file && itsLine <= line && itsLine > bestLine) {
      best = element;
      bestLine = itsLine;
    }
  }
  return best;
}

// Mark each problem's place in the picture: a list of [place, severity].
export function markProblems(frame, problems) {
  const inside = frame.contentDocument;
  for (const old of inside?.querySelectorAll("[data-problem]") ?? []) old.removeAttribute("data-problem");
  for (const [place, severity] of problems) {
    const element = find(frame, place);
    if (element && element.dataset.problem !== "error") element.dataset.problem = severity;
  }
}

export function show(frame, place) {
  const element = find(frame, place);
  for (const old of frame.contentDocument?.querySelectorAll("[data-found]") ?? []) old.removeAttribute("data-found");
  if (!element) return false;
  element.setAttribute("data-found", "");
  element.scrollIntoView({ block: "center" });
  return true;
}
