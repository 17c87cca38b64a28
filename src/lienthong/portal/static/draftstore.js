/* Where forms that could not be sent lie in this browser: shared by the service worker and the page /unsent. */
"use strict";
const drafts = (() => {
  const KEPT_MS = 7 * 24 * 3600 * 1000;
  const opened = () => new Promise((done, failed) => {
    const asked = indexedDB.open("drafts", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("drafts", { keyPath: "id" });
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => failed(asked.error);
  });
  const run = async (mode, act) => {
    const db = await opened();
    try {
      return await new Promise((done, failed) => {
        const taken = db.transaction("drafts", mode), asked = act(taken.objectStore("drafts"));
        taken.oncomplete = () => done(asked.result);
        taken.onerror = taken.onabort = () => failed(taken.error);
      });
    } finally { db.close(); }
  };
  const remove = (id) => run("readwrite", (store) => store.delete(id));
  return {
    put: (draft) => run("readwrite", (store) => store.put(draft)),
    remove,
    clear: () => run("readwrite", (store) => store.clear()),
    all: async () => {
      const found = await run("readonly", (store) => store.getAll());
      const old = found.filter((draft) => draft.at < Date.now() - KEPT_MS);
      for (const draft of old) await remove(draft.id);
      return found.filter((draft) => !old.includes(draft)).sort((a, b) => a.at - b.at);
    },
  };
})();
