"use strict";
const form = document.querySelector("form.filter");
if (form) {
  const field = form.querySelector("input"), said = form.querySelector("output");
  const pairs = [...document.querySelectorAll("#flips details.pair")];
  const chunks = [...document.querySelectorAll("#flips details.chunk")];
  let timer = 0;
  const apply = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const pair of pairs) {
      const text = words.length ? pair.textContent.toLowerCase() : "";
      pair.hidden = !words.every((word) => text.includes(word));
      shown += !pair.hidden;
    }
    for (const chunk of chunks) {
      chunk.hidden = !chunk.querySelector("details.pair:not([hidden])");
      if (words.length && !chunk.hidden) chunk.open = true;
    }
    said.textContent = words.length ? `${shown} of ${pairs.length}` : "";
  };
  form.hidden = pairs.length < 8;
  form.addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(apply, 120); });
}
const reveal = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();
