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
  // A page that nobody looks at waits until somebody does.
  let asked = false, missed = false;
  async function refresh() {
    asked = false;
    missed = document.hidden;
    if (missed) return;
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

  document.addEventListener("visibilitychange", () => { if (missed && !document.hidden) refresh(); });

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

  // SHA-256 (FIPS 180-4) of one block of at most 55 bytes. Written out because browsers offer their own
  // only on encrypted pages, and because a call of theirs per try is slower than the hash itself.
  const K = new Uint32Array(64), START = new Uint32Array(8), W = new Uint32Array(64);
  for (let n = 2, found = 0; found < 64; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (!prime) continue;
    const bits = (root) => (root - Math.floor(root)) * 4294967296;
    if (found < 8) START[found] = bits(Math.sqrt(n));
    K[found++] = bits(Math.cbrt(n));
  }
  const turn = (x, n) => (x >>> n) | (x << (32 - n));

  function hash(bytes) {
    W.fill(0);
    bytes.forEach((byte, i) => { W[i >> 2] |= byte << (24 - (i % 4) * 8); });
    W[bytes.length >> 2] |= 0x80 << (24 - (bytes.length % 4) * 8);
    W[15] = bytes.length * 8;
    for (let i = 16; i < 64; i++) {
      const x = W[i - 15], y = W[i - 2];
      W[i] = W[i - 16] + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + W[i - 7] + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = START;
    for (let i = 0; i < 64; i++) {
      const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
    }
    return [a, b, c, d, e, f, g, h].map((x, i) => (x + START[i]) >>> 0);
  }

  const hex = (words) => words.map((word) => word.toString(16).padStart(8, "0")).join("");
  const unhex = (text) => text.match(/../g).map((pair) => parseInt(pair, 16));

  // ALTCHA with SHA-256: find the counter for which hash(salt, nonce, counter) begins as asked.
  async function solve(challenge, say) {
    const { algorithm, cost, nonce, salt, keyPrefix, keyLength } = challenge.parameters;
    const block = Uint8Array.from([...unhex(salt), ...unhex(nonce), 0, 0, 0, 0]);
    if (algorithm !== "SHA-256" || cost > 1 || block.length > 55) return "";
    const view = new DataView(block.buffer);
    const started = performance.now();
    let rest = started;
    for (let counter = 0; counter < 2 ** 32; counter++) {
      view.setUint32(block.length - 4, counter);
      const key = hex(hash(block));
      if (key.startsWith(keyPrefix)) {
        const solution = { counter, derivedKey: key.slice(0, keyLength * 2), time: performance.now() - started };
        return btoa(JSON.stringify({ challenge, solution }));
      }
      // The page stays alive: a rest every thirtieth of a second.
      if (counter % 256 === 255 && performance.now() - rest > 33) {
        say("Your browser is finishing a short check …");
        await new Promise((done) => { setTimeout(done); });
        rest = performance.now();
      }
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
  if (form) proof(form);
})();
