import { fetchPage, listen, take } from "./live.js";

document.documentElement.classList.add("js");

let asking = false;
let again = false;

// A run sends hundreds in a second: one look at a time, and one more when it is done.
async function refresh() {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  const page = await fetchPage(location.href).catch(() => null);
  if (page?.ok) {
    take(page, ["mail"]);
    const count = page.querySelector(".bar .count");
    if (count) document.querySelector(".bar .count").textContent = count.textContent;
  }
  asking = false;
  if (again) {
    again = false;
    setTimeout(refresh, 200);
  }
}

listen({ mail: refresh, change: (data) => data === null && refresh() });
