/* Registers the service worker and asks it to send what could not be sent, now and when the network is back.
   Without this script every page and form works as ever, while there is a network. */
"use strict";
if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("/worker.js").catch(() => undefined);
  const send = () => navigator.serviceWorker.ready.then((ready) => ready.active.postMessage("send"));
  send();
  addEventListener("online", send);
}
