// The two frames of a comparison are as high as their emails, and told nothing else.

document.documentElement.classList.add("js");

for (const frame of document.querySelectorAll("iframe.whole")) {
  const grow = () => {
    const root = frame.contentDocument?.documentElement;
    if (root) frame.style.height = `${root.scrollHeight}px`;
    frame.contentDocument?.addEventListener("click", (event) => event.target.closest?.("a") && event.preventDefault());
  };
  if (frame.contentDocument?.readyState === "complete") grow();
  frame.addEventListener("load", grow);
}

const pick = document.getElementById("pick");
pick.addEventListener("change", () => pick.submit());
