// Pages update by themselves: the server says that something changed, the page fetches itself and swaps the live parts.
// Without this script every page still works; it is a plain page of plain forms.
(() => {
  "use strict";

  const REST = { events: 2000, overview: 1000 }; // at least this long between two refreshes, in milliseconds
  const topic = document.body.dataset.live;
  const state = document.getElementById("live-state");

  function say(name) {
    if (state) {
      state.dataset.state = name;
      state.textContent = state.dataset[name] || "";
    }
  }

  function typing(part) {
    const active = document.activeElement;
    return active && part.contains(active) && active.matches("input, select, textarea");
  }

  function swap(part, fresh) {
    const active = document.activeElement;
    const held = part.contains(active) ? active.getAttribute("href") : null;
    const opened = new Set([...part.querySelectorAll("details[open][id]")].map((one) => one.id));
    part.replaceWith(fresh);
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    if (held) [...fresh.querySelectorAll("a[href]")].find((one) => one.getAttribute("href") === held)?.focus();
  }

  let busy = false;
  let again = false;
  let last = 0;
  let timer = 0;

  async function refresh() {
    timer = 0;
    if (busy || document.hidden) {
      again = true;
      return;
    }
    busy = true;
    again = false;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" });
      if (answer.type === "opaqueredirect") {
        location.reload();
        return;
      }
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-part]")) {
          const fresh = page.getElementById(part.id);
          if (fresh && !typing(part) && !part.isEqualNode(fresh)) swap(part, document.adoptNode(fresh));
        }
        say("on");
      }
    } catch {
      say("off");
    } finally {
      busy = false;
      if (again && !document.hidden) soon();
    }
  }

  function soon() {
    if (timer) return;
    timer = setTimeout(refresh, Math.max(0, last + (REST[topic] || 150) - Date.now()));
  }

  function listen() {
    const source = new EventSource(`/live?topic=${encodeURIComponent(topic)}`);
    source.addEventListener("open", () => {
      say("on");
      soon(); // what changed between the page and the stream was announced to nobody
    });
    source.addEventListener("changed", soon);
    source.addEventListener("pulse", soon);
    source.addEventListener("ended", () => {
      source.close();
      location.reload();
    });
    source.addEventListener("error", () => say("off"));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && again) soon();
    });
    window.addEventListener("pagehide", () => source.close());
  }

  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
      button.textContent = button.dataset.copied;
    });
  }

  const address = new URL(location.href);
  if (address.searchParams.has("done")) {
    address.searchParams.delete("done");
    history.replaceState(null, "", address);
  }
  if (topic && window.EventSource) listen();
})();
