// Pages are whole without this. It loads parts that change anew, and the tree's keys unfold with the arrow keys.
"use strict";

// An element with data-live is replaced by its counterpart on a fresh copy of the page, every so many seconds, unless
// somebody is at work in it.
for (const [n, part] of [...document.querySelectorAll("[data-live]")].entries()) {
  let current = part;
  setInterval(async () => {
    if (document.hidden || current.contains(document.activeElement)) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelectorAll("[data-live]")[n];
      if (!fresh) return;
      const open = [...current.querySelectorAll("details")].map((d) => d.open);
      [...fresh.querySelectorAll("details")].forEach((d, i) => { if (open[i] !== undefined) d.open = open[i]; });
      current.replaceWith(fresh);
      current = fresh;
    } catch { /* the server is away: what is shown stays */ }
  }, Number(part.dataset.live) * 1000);
}

document.addEventListener("keydown", (event) => {
  const summary = event.target.closest?.(".tree summary");
  if (!summary) return;
  if (event.key === "ArrowRight") summary.parentElement.open = true;
  else if (event.key === "ArrowLeft") summary.parentElement.open = false;
});
