// The email's frame: its clicks are shown, never followed; it is exchanged without a flash.

// `tell` gets what to show of a click: nodes, or nothing.
export function watchClicks(frame, tell) {
  const inside = frame.contentDocument;
  if (!inside) return;
  inside.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href], area[href]");
    if (link) event.preventDefault();
    const address = link?.getAttribute("href");
    if (address?.startsWith("#")) inside.getElementById(address.slice(1))?.scrollIntoView({ block: "start" });
    tell(address && !address.startsWith("#") ? ["This link leads to ", shownAddress(address)] : [], event.target);
  });
  inside.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.getElementById("reader")?.focus();
  });
}

function shownAddress(address) {
  const open = document.createElement("a");
  open.textContent = address;
  if (/^https?:/i.test(address)) {
    open.href = address;
    open.target = "_blank";
    open.rel = "noopener noreferrer";
  }
  return open;
}

// Load `url` behind the frame that is shown, and put it in its place when it is there, scrolled alike.
export function exchange(frame, url, done) {
  const next = frame.cloneNode(false);
  next.classList.add("coming");
  next.src = url;
  next.addEventListener(
    "load",
    () => {
      if (!next.contentDocument) {
        next.remove(); // the browser's own page of an error: the last picture stays
        return;
      }
      const { scrollX, scrollY } = frame.contentWindow ?? { scrollX: 0, scrollY: 0 };
      next.contentWindow.scrollTo(scrollX, scrollY);
      next.classList.remove("coming");
      frame.remove();
      done(next);
    },
    { once: true },
  );
  frame.after(next);
  return next;
}
