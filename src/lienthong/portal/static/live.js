/* A page that tells what happens now: its part marked data-live is fetched anew every so many seconds.
   Without this script the page is whole and stands still.  A button stops and resumes it (WCAG 2.2.2). */
"use strict";
(() => {
  const part = document.querySelector("[data-live]");
  const button = document.querySelector("[data-live-button]");
  if (!part || !button) return;
  const every = Math.max(2, Number(part.dataset.live)) * 1000;
  let running = true;
  button.hidden = false;
  button.addEventListener("click", () => {
    running = !running;
    button.textContent = running ? button.dataset.stop : button.dataset.go;
  });
  setInterval(async () => {
    if (!running || document.hidden || part.contains(document.activeElement)) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
      if (fresh && !part.contains(document.activeElement)) part.replaceChildren(...fresh.childNodes);
    } catch { /* the network is away: what was shown stays, with its time */ }
  }, every);
})();
