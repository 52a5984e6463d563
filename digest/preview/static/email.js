// The email's frame: its clicks are shown, never followed; it is exchanged without a flash.

export function watchClicks(frame, where) {
  const inside = frame.contentDocument;
  if (!inside) return;
  const linkOf = (event) => event.target.closest?.("a[href], area[href]");
  inside.addEventListener("click", (event) => {
    const link = linkOf(event);
    if (!link) return;
    event.preventDefault();
    const address = link.getAttribute("href");
    if (address.startsWith("#")) {
      inside.getElementById(address.slice(1))?.scrollIntoView({ block: "start" });
      return;
    }
    const open = document.createElement("a");
    open.textContent = address;
    if (/^https?:/i.test(address)) {
      open.href = address;
      open.target = "_blank";
      open.rel = "noopener noreferrer";
    }
    where.replaceChildren("This link leads to ", open);
  });
  inside.addEventListener("keydown", (event) => {
    if (event.key === "Escape") frame.parentElement.closest("main")?.querySelector("select, input")?.focus();
  });
}

// Load `url` behind the frame that is shown, and put it in its place when it is there, scrolled alike.
export function exchange(frame, url, done) {
  const next = frame.cloneNode(false);
  next.classList.add("coming");
  next.hidden = frame.hidden;
  next.src = url;
  next.addEventListener(
    "load",
    () => {
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
