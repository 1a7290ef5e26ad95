// Everything works without this file. It adds three things: the reader's own time beside UTC, live
// updates, and the proof of work that the report form may ask for.
(() => {
  "use strict";
  const body = document.body;
  const zoneGiven = new URLSearchParams(location.search).has("tz");
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const dated = new Intl.DateTimeFormat(undefined, {
    weekday: "short", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit",
  });

  function localTimes(root) {
    if (zoneGiven || new Date().getTimezoneOffset() === 0) return;
    for (const node of root.querySelectorAll("time[datetime]")) {
      const at = new Date(node.getAttribute("datetime"));
      if (isNaN(at)) continue;
      node.title = dated.format(at);
      if (node.closest("[data-your-time]") && !node.nextElementSibling?.classList.contains("yours")) {
        const yours = document.createElement("span");
        yours.className = "yours";
        yours.textContent = ` (${clock.format(at)} your time)`;
        node.after(yours);
      }
    }
  }

  // Replaces what carries data-live by the same part of a fresh page; open tables stay open.
  let asked = false;
  async function refresh() {
    asked = false;
    if (document.hidden) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (!next || next.innerHTML === part.innerHTML) continue;
      const open = new Set([...part.querySelectorAll("details[open]")].map((node) => node.id));
      const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
      part.replaceChildren(...next.childNodes);
      for (const node of part.querySelectorAll("details")) if (open.has(node.id)) node.open = true;
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
      localTimes(part);
    }
  }

  function listen() {
    const source = new EventSource(body.dataset.events);
    source.addEventListener("delta", (event) => {
      const delta = JSON.parse(event.data);
      const subject = body.dataset.subject;
      const mine = !subject || delta.services.some((one) => one.slug === subject) ||
        delta.incidents.some((one) => one.name === subject);
      // Readers come back within three seconds, not all in the same instant.
      if (mine && !asked) {
        asked = true;
        setTimeout(refresh, Math.random() * 3000);
      }
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 30000 + Math.random() * 30000);
    });
  }

  // ALTCHA: find the number whose hash with the salt is the challenge.
  async function solve({ algorithm, challenge, salt, maxnumber, signature }, say) {
    const encoder = new TextEncoder();
    const started = performance.now();
    for (let number = 0; number <= (maxnumber ?? 1e6); number++) {
      const digest = new Uint8Array(await crypto.subtle.digest(algorithm, encoder.encode(salt + number)));
      let hex = "";
      for (const byte of digest) hex += byte.toString(16).padStart(2, "0");
      if (hex === challenge) {
        const took = Math.round(performance.now() - started);
        return btoa(JSON.stringify({ algorithm, challenge, number, salt, signature, took }));
      }
      if (number % 5000 === 4999) say(`Checking that you are a person's browser … ${number + 1}`);
    }
    return "";
  }

  function proof(form) {
    const field = form.querySelector("input[name=altcha]");
    const status = form.querySelector("[role=status]");
    const say = (text) => { status.textContent = text; };
    const ready = fetch(form.dataset.challenge)
      .then((answer) => answer.json())
      .then((challenge) => solve(challenge, say))
      .then((payload) => { field.value = payload; say(""); })
      .catch(() => say(""));
    form.addEventListener("submit", (event) => {
      if (field.value || form.dataset.waited) return;
      event.preventDefault();
      form.dataset.waited = "1";
      say("One moment: your browser is finishing a short check.");
      ready.finally(() => form.requestSubmit());
    });
  }

  localTimes(document);
  if (body.dataset.events && "EventSource" in window) listen();
  const form = document.querySelector("form[data-challenge]");
  if (form && window.crypto?.subtle) proof(form);
})();
