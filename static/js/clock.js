// The page works without this: it only keeps the running time fresh and a form from being sent twice.
"use strict";

const TICK = 5000;

const loaded = Date.now();
for (const shown of document.querySelectorAll("[data-running]")) {
  const atLoad = Number(shown.dataset.running);
  setInterval(() => {
    const minutes = atLoad + Math.floor((Date.now() - loaded) / 60000);
    shown.textContent = shown.dataset.pattern
      .replace("{hours}", Math.floor(minutes / 60))
      .replace("{minutes}", String(minutes % 60).padStart(2, "0"));
  }, TICK);
}

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}

// Back from another page by the browser's button: what was sent then says nothing about now.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-once]")) delete form.dataset.sent;
});
