/* Fills the page /unsent with what this browser keeps. */
"use strict";
(() => {
  const list = document.querySelector("[data-drafts]"), words = list.dataset, none = document.querySelector("[data-none]");
  const ours = (name) => name === "token" || name === "form_key";
  const made = (kind, text, name) => {
    const element = document.createElement(kind);
    element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const button = (label, act) => {
    const one = made("button", label, "button");
    one.type = "button";
    one.addEventListener("click", act);
    return one;
  };
  /* The page answers with what was typed in its form: its writer looks at it and sends it there. */
  const again = (draft) => {
    const form = document.createElement("form");
    form.method = "post"; form.action = draft.path; form.hidden = true;
    for (const [name, value] of draft.fields) {
      const field = document.createElement("textarea");
      field.name = name; field.value = ours(name) ? "" : value;
      form.append(field);
    }
    document.body.append(form);
    drafts.remove(draft.id).then(() => form.submit());
  };
  const fill = async () => {
    const found = await drafts.all();
    list.replaceChildren(...found.map((draft) => {
      const item = document.createElement("li"), buttons = made("p", "");
      item.dataset.state = draft.state;
      const at = new Date(draft.at).toLocaleString(document.documentElement.lang);
      item.append(made("p", `${words[draft.state]} · ${at}`));
      item.append(made("p", draft.fields.filter(([name, value]) => value && !ours(name)).map(([, value]) => value).join(" · "), "soft lines"));
      if (draft.state === "look") buttons.append(button(words.again, () => again(draft)), " ");
      buttons.append(button(words.drop, async () => { await drafts.remove(draft.id); await fill(); }));
      item.append(buttons);
      return item;
    }));
    none.hidden = found.length > 0;
  };
  navigator.serviceWorker.addEventListener("message", fill);
  fill();
})();
