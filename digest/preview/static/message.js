import { watchClicks } from "./email.js";

document.documentElement.classList.add("js");

const frame = document.getElementById("email");
const where = document.getElementById("where");
if (frame) {
  if (frame.contentDocument?.readyState === "complete") watchClicks(frame, where);
  frame.addEventListener("load", () => watchClicks(frame, where));
}
