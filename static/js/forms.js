// The pages work without this: it only lets people look at a password, and keeps a form from being sent twice.
"use strict";

for (const button of document.querySelectorAll("[data-reveals]")) {
  const input = document.getElementById(button.dataset.reveals);
  const texts = { password: button.textContent, text: button.dataset.hide };
  const become = (type) => {
    input.type = type;
    button.textContent = texts[type];
  };
  button.hidden = false;
  button.addEventListener("click", () => become(input.type === "password" ? "text" : "password"));
  // Sent as what it is, so that password managers know it.
  input.form.addEventListener("submit", () => become("password"));
}

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => delete form.dataset.sent);
}
