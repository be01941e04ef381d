// The dialog that htmx fills: how it opens, waits for its preview, and keeps what was typed when a session ends.
(() => {
  "use strict";
  const dialog = document.getElementById("dialog");
  const body = document.body;
  const UNSENT = "ballast-unsent";
  const OPENING_AFTER_MS = 100;
  const find = (selector, within = dialog) => within?.querySelector(selector);
  const isPreview = (event) => event.detail.elt?.id === "preview";
  const isForm = (event) => event.detail.elt?.matches?.("form.dialog");

  // ---- open and close

  let opener = null;
  let opening = null; // The request that fills the dialog, while it is on its way.
  let shownAsOpening = 0;

  const show = () => {
    if (!dialog.open) {
      opener = document.activeElement;
      dialog.showModal();
    }
    const wanted = ["[aria-invalid=true]", "[autofocus]",
      ".dialog-body :is(input:not([type=hidden]), select, textarea)", "[data-dialog-close], button"];
    const first = wanted.map((selector) => find(selector)).find(Boolean);
    if (first) first.focus();
  };

  const showOpening = () => {
    const words = document.createElement("p");
    words.className = "dialog-body muted";
    words.setAttribute("role", "status");
    words.textContent = "Opening…";
    dialog.replaceChildren(words);
    show();
  };

  const notOpening = () => {
    clearTimeout(shownAsOpening);
    opening = null;
  };

  if (dialog) {
    const working = () => find("form.dialog.htmx-request");
    dialog.addEventListener("cancel", (event) => { if (working()) event.preventDefault(); });
    dialog.addEventListener("close", () => {
      opening?.abort();
      notOpening();
      // What was sent is done, so its answer must still be heard.
      const form = working();
      if (form) form.addEventListener("htmx:afterRequest", () => { if (!dialog.open) dialog.replaceChildren(); });
      else dialog.replaceChildren();
      if (opener && opener.isConnected) opener.focus();
      opener = null;
    });
    dialog.addEventListener("click", (event) => {
      if (!event.target.closest("[data-dialog-close]")) return;
      event.preventDefault();
      if (!working()) dialog.close();
    });
    body.addEventListener("htmx:beforeSend", (event) => {
      if (event.detail.target !== dialog || dialog.open || event.detail.requestConfig.verb !== "get") return;
      opening?.abort();
      notOpening();
      opening = event.detail.xhr;
      shownAsOpening = setTimeout(showOpening, OPENING_AFTER_MS);
    });
    body.addEventListener("htmx:afterSwap", (event) => {
      if (event.detail.target !== dialog) return;
      notOpening();
      if (dialog.childElementCount) show(); else dialog.close();
    });
    for (const failed of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
      body.addEventListener(failed, (event) => {
        if (event.detail.xhr !== opening) return;
        notOpening();
        if (dialog.open) dialog.close();
      });
    }
  }

  // ---- the button does what the preview shows: it is off until they agree

  const button = (form) => find("#dialog-submit", form);

  body.addEventListener("input", (event) => {
    const form = event.target.closest("form.dialog");
    if (!form || !button(form) || event.target.name === "rationale") return;
    htmx.trigger(find("#preview", form), "htmx:abort"); // The answer on its way is about other values.
    button(form).disabled = true;
    button(form).textContent = "Previewing…";
    find("#preview", form).setAttribute("aria-busy", "true");
  });
  body.addEventListener("htmx:afterRequest", (event) => {
    if (!isPreview(event)) return;
    const now = find("#preview", document);
    now?.removeAttribute("aria-busy");
  });
  const mayTryAgain = (form) => {
    if (!form || !button(form)) return;
    button(form).disabled = false; // What was not previewed is previewed by the server before it is done.
    button(form).textContent = "Try again";
  };
  body.addEventListener("ballast:refused", (event) => mayTryAgain(event.detail.closest("form.dialog")));
  for (const failed of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    body.addEventListener(failed, (event) => {
      if (isPreview(event) || isForm(event)) mayTryAgain(event.detail.elt.closest("form.dialog"));
    });
  }
  body.addEventListener("htmx:beforeRequest", (event) => {
    if (isPreview(event) && event.detail.elt.closest("form.htmx-request")) event.preventDefault();
  });
  body.addEventListener("htmx:beforeSend", (event) => {
    if (!isForm(event)) return;
    const preview = find("#preview", event.detail.elt);
    if (preview) htmx.trigger(preview, "htmx:abort"); // It would draw the button anew, and enabled.
    if (button(event.detail.elt)) button(event.detail.elt).textContent = "Working…";
  });

  // ---- what was typed outlives the session: it is kept in this tab, for the same person

  const OWN = new Set(["csrfmiddlewaretoken", "idempotency_key", "previewed"]);

  body.addEventListener("ballast:signed-out", () => {
    const form = dialog?.open && find("form.dialog");
    if (!form) return;
    const address = new URL(form.action);
    const typed = {};
    for (const field of form.elements) {
      if (!field.name || OWN.has(field.name) || field.type === "password") continue;
      if (field.type === "hidden") address.searchParams.set(field.name, field.value);
      else typed[field.name] = field.type === "checkbox" ? field.checked : field.value;
    }
    const unsent = { person: body.dataset.person, page: location.pathname, address: address.pathname + address.search, typed };
    try { sessionStorage.setItem(UNSENT, JSON.stringify(unsent)); } catch { /* Nothing to keep it in. */ }
  });

  const takeUp = async () => {
    let unsent = null;
    try { unsent = JSON.parse(sessionStorage.getItem(UNSENT)); } catch { /* Nothing was kept. */ }
    if (!unsent || !body.dataset.person) return; // Not signed in again yet.
    sessionStorage.removeItem(UNSENT);
    if (unsent.person !== body.dataset.person || unsent.page !== location.pathname) return;
    await htmx.ajax("GET", unsent.address, { target: "#dialog", swap: "innerHTML" });
    const form = find("form.dialog");
    if (!form) return;
    for (const [name, value] of Object.entries(unsent.typed)) {
      const field = form.elements.namedItem(name);
      if (!field) continue;
      if (field.type === "checkbox") field.checked = value; else field.value = value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  };
  if (dialog) takeUp();
})();
