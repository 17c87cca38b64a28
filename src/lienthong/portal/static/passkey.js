// Passkeys on our forms: asks the authenticator when the form is sent, puts its answer into the field "answer".
"use strict";
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const listed = (keys) => (keys || []).map((key) => ({ ...key, id: bytes(key.id) }));

  const asked = (options) => {
    const read = { ...options, challenge: bytes(options.challenge) };
    if (options.user) read.user = { ...options.user, id: bytes(options.user.id) };
    if (options.allowCredentials) read.allowCredentials = listed(options.allowCredentials);
    if (options.excludeCredentials) read.excludeCredentials = listed(options.excludeCredentials);
    return { publicKey: read };
  };

  const told = (made) => {
    const response = { clientDataJSON: text(made.response.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"])
      if (made.response[name]) response[name] = text(made.response[name]);
    return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response, clientExtensionResults: {} });
  };

  const show = (form, what) => {
    const line = form.querySelector(`[data-${what}]`);
    if (line) line.hidden = false;
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    if (form.dataset.origin && form.dataset.origin !== location.origin) show(form, "elsewhere");
    form.addEventListener("submit", async (event) => {
      const answer = form.elements.namedItem("answer");
      if (answer.value) return;
      event.preventDefault();
      try {
        const deed = form.dataset.passkey === "create" ? "create" : "get";
        answer.value = told(await navigator.credentials[deed](asked(JSON.parse(form.dataset.options))));
        form.submit();
      } catch {
        show(form, "failed");
      }
    });
  }
})();
