// The page works without this: it only keeps the figures fresh and a form from being sent twice.
"use strict";

const MINUTE = 60_000;

const forms = document.querySelectorAll("form[data-once]");
for (const form of forms) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}

// How long the tenant's day still was when the server wrote the page: its minutes end when the day's do.
// Counted by how much time has passed here, for a phone's clock may be wrong.
const loaded = Date.now();
const dayLeft = Number(document.querySelector("[data-day-left]")?.dataset.dayLeft) * 1000;
const minutesLeft = Math.ceil(dayLeft / MINUTE);
const running = [...document.querySelectorAll("[data-running]")].map((shown) => [
  shown,
  Number(shown.dataset.running),
]);
let timer;

function tick() {
  clearTimeout(timer);
  const left = dayLeft - (Date.now() - loaded);
  if (left > 0) {
    const passed = minutesLeft - Math.ceil(left / MINUTE);
    for (const [shown, atLoad] of running) show(shown, atLoad + passed);
    timer = setTimeout(tick, left % MINUTE || MINUTE);
  } else if (document.visibilityState === "visible" && navigator.onLine && !isSending()) {
    location.reload(); // another day: "today" is not today any more
  }
}

function show(element, minutes) {
  element.textContent = element.dataset.pattern
    .replace("{hours}", Math.floor(minutes / 60))
    .replace("{minutes}", String(minutes % 60).padStart(2, "0"));
}

function isSending() {
  return [...forms].some((form) => form.dataset.sent);
}

if (dayLeft) {
  tick();
  // Timers sleep while the phone does.
  document.addEventListener("visibilitychange", tick);
  addEventListener("online", tick);
}

// Back from another page by the browser's button: what was sent then says nothing about now.
addEventListener("pageshow", () => {
  for (const form of forms) delete form.dataset.sent;
});
