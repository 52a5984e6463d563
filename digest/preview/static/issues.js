import { fetchPage, listen, oneAtATime } from "./live.js";

document.documentElement.classList.add("js");

// Cards that did not change keep their miniature: only the others are exchanged.
const refresh = oneAtATime(async () => {
  const page = await fetchPage(location.href).catch(() => null);
  if (page?.ok) show(page);
});

function show(page) {
  const key = (card) => card.dataset.slug;
  const old = [...document.querySelectorAll(".issue-card")];
  const fresh = [...page.querySelectorAll(".issue-card")];
  if (old.map(key).join() !== fresh.map(key).join() || page.querySelector(".problems") || document.querySelector(".problems")) {
    document.getElementById("fresh").replaceChildren(...page.getElementById("fresh").childNodes);
    return;
  }
  old.forEach((card, index) => {
    if (card.innerHTML !== fresh[index].innerHTML) card.replaceWith(fresh[index]);
  });
}

// A run writes to the database, not to files: while one is under way, its numbers are looked for.
setInterval(() => document.querySelector(".chip.sending") && refresh(), 2000);
listen({ change: refresh, looked: refresh, checked: refresh });
