import { fetchPage, listen, oneAtATime, take } from "./live.js";

document.documentElement.classList.add("js");

// A run sends hundreds in a second: the list looks a few times in one.
const refresh = oneAtATime(async () => {
  const page = await fetchPage(location.href).catch(() => null);
  if (!page?.ok) return;
  take(page, ["mail"]);
  const count = page.querySelector(".bar .count");
  if (count) document.querySelector(".bar .count").textContent = count.textContent;
}, 200);

listen({ mail: refresh, change: (data) => data === null && refresh() });
