/* The service worker: keeps the look of the pages, and what was typed into a form that could not be sent.
   Nothing else is kept: no page of the node, for pages hold names and what is only somebody's own. */
"use strict";
const SHELL = "shell-VERSION";
const ASSETS = ["/unsent", "/en/unsent", "/static/portal.css?v=VERSION", "/static/install.js", "/static/unsent.js", "/static/draftstore.js", "/static/mark.svg"];
importScripts("/static/draftstore.js");

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(ASSETS)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== SHELL) await caches.delete(name);
    await self.clients.claim();
  })());
});

self.addEventListener("fetch", (event) => {
  const request = event.request, address = new URL(request.url);
  if (address.origin !== location.origin) return;
  if (request.mode === "navigate") {
    event.respondWith(request.method === "POST" ? sendOrKeep(request, address) : fetch(request).catch(() => caches.match(unsent(address))));
  } else if (ASSETS.includes(address.pathname + address.search)) {
    event.respondWith(fetch(request).catch(() => caches.match(request)));
  }
});

self.addEventListener("sync", (event) => { if (event.tag === "drafts") event.waitUntil(sendAll()); });
self.addEventListener("message", (event) => { if (event.data === "send") event.waitUntil(sendAll()); });

function unsent(address) { return /^\/en(\/|$)/.test(address.pathname) ? "/en/unsent" : "/unsent"; }

/* Signing in and out is never kept; who signs out leaves nothing behind. */
const SIGN = /^\/(en\/)?(login|logout|account|theme)(\/|$)/;

async function sendOrKeep(request, address) {
  if (/^\/(en\/)?logout$/.test(address.pathname)) await drafts.clear();
  const copy = request.clone();
  try {
    return await fetch(request);
  } catch (failed) {
    const draft = SIGN.test(address.pathname) ? null : await drafted(copy, address);
    if (!draft) throw failed;
    await drafts.put(draft);
    if (self.registration.sync) await self.registration.sync.register("drafts").catch(() => undefined);
    return Response.redirect(unsent(address), 303);
  }
}

/* What was typed; null when it has no one-time key, for then it might be done twice.  A file is not kept: its form
   waits until its writer has looked at it. */
async function drafted(request, address) {
  const entries = [...await request.formData()], fields = entries.filter(([, value]) => typeof value === "string");
  const id = new Map(fields).get("form_key");
  if (!id || fields.some(([name]) => /password|secret/.test(name))) return null;
  const files = entries.some(([, value]) => typeof value !== "string" && value.size > 0);
  return { id, path: address.pathname + address.search, fields, at: Date.now(), state: files ? "look" : "waiting" };
}

let sending = Promise.resolve();
function sendAll() { return (sending = sending.then(sendWaiting, sendWaiting)); }

/* A draft was done when the node leads on; a page in answer (a fault, an ended session) waits for its writer. */
async function sendWaiting() {
  for (const draft of await drafts.all()) {
    if (draft.state !== "waiting") continue;
    let answer;
    try {
      answer = await fetch(draft.path, {
        method: "POST", body: new URLSearchParams(draft.fields), redirect: "manual", credentials: "same-origin",
        headers: { Accept: "text/html" },
      });
    } catch { return; }
    if (answer.status >= 500 || answer.status === 429) return;
    const done = answer.type === "opaqueredirect";
    await drafts.put(done ? { id: draft.id, path: draft.path, fields: [], at: draft.at, state: "sent" } : { ...draft, state: "look" });
    for (const client of await self.clients.matchAll()) client.postMessage("drafts");
  }
}
