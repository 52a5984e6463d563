import { watchClicks } from "./email.js";

document.documentElement.classList.add("js");

const frame = document.getElementById("email");
const where = document.getElementById("where");
const tell = (said) => where.replaceChildren(...said);
if (frame) {
  if (frame.contentDocument?.readyState === "complete") watchClicks(frame, tell);
  frame.addEventListener("load", () => watchClicks(frame, tell));
}
