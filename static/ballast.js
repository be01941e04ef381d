// Keyboard, dialog, theme, announcements. Every page works without it.
(() => {
  "use strict";
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

  // ---- what is said to a screen reader, and shown for a while

  const announce = (text) => {
    const live = $("#live");
    if (!live || !text) return;
    live.textContent = "";
    requestAnimationFrame(() => { live.textContent = text; });
  };

  const toast = (text, level = "info", undo = null) => {
    const shelf = $("#toasts");
    if (!shelf || !text) return;
    const one = document.createElement("div");
    one.className = `toast ${level}`;
    const words = document.createElement("span");
    words.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn quiet";
    close.textContent = "Dismiss";
    close.addEventListener("click", () => one.remove());
    one.append(words);
    if (undo) {
      const back = document.createElement("button");
      back.type = "button";
      back.className = "btn";
      back.textContent = "Undo";
      back.addEventListener("click", () => {
        one.remove();
        htmx.ajax("POST", undo.url, { target: "#dialog", swap: "innerHTML", values: { ...undo.values, next: location.pathname } });
      });
      one.append(back);
    }
    one.append(close);
    shelf.append(one);
    if (level !== "bad") setTimeout(() => one.remove(), undo ? 30000 : 8000);
  };

  const dialog = $("#dialog");

  // ---- rows: j, k, Enter

  const rows = () => $$("table[data-rows] tbody tr").filter((row) => row.offsetParent !== null);
  const rowTarget = (row) => $("a[href]", row);

  const step = (by) => {
    const all = rows();
    if (!all.length) return;
    const at = all.indexOf(document.activeElement?.closest("tr"));
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
    const target = rowTarget(next) || next;
    if (target === next) next.tabIndex = -1;
    target.focus();
    next.scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    if (dialog?.open) return;
    if (event.key === "/") {
      const search = $("[data-search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      step(event.key === "j" ? 1 : -1);
    } else if (event.key === "Enter" && event.target.matches("tr[data-href]")) {
      location.assign(event.target.dataset.href);
    } else if (event.key === "Escape") {
      for (const menu of $$("details[data-menu][open]")) {
        menu.open = false;
        $("summary", menu).focus();
      }
    }
  });

  document.addEventListener("click", (event) => {
    for (const menu of $$("details[data-menu][open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  // ---- a strip of past windows: the arrow keys walk over it, its words say which window one is at

  const sayWindow = (bar) => {
    const words = $("[data-strip-words]", bar.closest("[data-strip]"));
    if (!words) return;
    words.dataset.usual ??= words.textContent;
    words.textContent = $("title", bar).textContent;
  };
  const sayUsual = (strip) => {
    const words = $("[data-strip-words]", strip);
    if (words?.dataset.usual) words.textContent = words.dataset.usual;
  };
  for (const kind of ["pointerover", "focusin"]) {
    document.addEventListener(kind, (event) => {
      const bar = event.target.closest?.("[data-strip] .window");
      if (bar) sayWindow(bar);
    });
  }
  for (const kind of ["pointerout", "focusout"]) {
    document.addEventListener(kind, (event) => {
      const strip = event.target.closest?.("[data-strip]");
      if (strip && !strip.contains(event.relatedTarget)) sayUsual(strip);
    });
  }
  document.addEventListener("keydown", (event) => {
    const bar = event.target.closest?.("[data-strip] .window");
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!bar || by === undefined) return;
    event.preventDefault();
    const all = $$(".window", bar.closest("[data-strip]"));
    const next = all[Math.min(all.length - 1, Math.max(0, all.indexOf(bar) + by))];
    for (const one of all) one.setAttribute("tabindex", one === next ? "0" : "-1");
    next.focus();
  });

  // ---- theme

  const root = document.documentElement;
  const showTheme = () => {
    const now = root.dataset.theme || "auto";
    for (const button of $$("[data-theme-set]")) button.setAttribute("aria-pressed", String(button.dataset.themeSet === now));
  };
  for (const choice of $$("[data-theme-choice]")) choice.hidden = false;
  for (const button of $$("[data-theme-set]")) {
    button.addEventListener("click", () => {
      const wanted = button.dataset.themeSet;
      if (wanted === "auto") delete root.dataset.theme; else root.dataset.theme = wanted;
      try { localStorage.setItem("ballast-theme", wanted); } catch { /* Holds for this page only. */ }
      showTheme();
    });
  }
  showTheme();

  // ---- a secret that is shown once: selected with a click, copied with a button

  const showCopy = (within = document) => {
    if (!navigator.clipboard) return; // Only where the page is trusted: over TLS or on this machine.
    for (const button of $$("[data-copy]", within)) button.hidden = false;
  };
  showCopy();
  document.addEventListener("click", async (event) => {
    const field = event.target.closest("[data-select]");
    if (field) field.select();
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const secret = $(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(secret.value);
      toast("Copied.", "ok");
    } catch {
      secret.select();
      toast("The browser does not allow copying here: the key is selected, copy it with the keyboard.", "info");
    }
  });

  // ---- the reader's own time, on hover

  const localTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  document.addEventListener("pointerover", (event) => {
    const time = event.target.closest?.("time[datetime]");
    if (!time || time.title) return;
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.getTime())) time.title = `${localTime.format(moment)} where you are · ${time.dateTime}`;
  });

  // ---- a region is a tab stop only while there is something to scroll

  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const scrolls = target.scrollWidth > target.clientWidth + 1 || target.scrollHeight > target.clientHeight + 1;
      if (scrolls) target.tabIndex = 0; else target.removeAttribute("tabindex");
    }
  });
  const watchScrollers = (within) => {
    for (const one of $$("[data-scroller]", within)) {
      watch.observe(one);
      if ($(".course", one)) one.scrollLeft = one.scrollWidth; // A course too wide for the screen opens at now.
      const focus = $(".node.focus", one); // A map wider than the screen opens at the service it is about.
      if (focus && one.scrollWidth > one.clientWidth) {
        const box = focus.getBoundingClientRect(), frame = one.getBoundingClientRect();
        one.scrollLeft += box.left + box.width / 2 - frame.left - frame.width / 2;
      }
    }
  };
  watchScrollers(document);

  // ---- htmx

  const body = document.body;

  body.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target } = event.detail;
    const text = xhr.responseText;
    if (text.includes('data-page="sign-in"')) { // The session ended: go and sign in, then come back.
      event.detail.shouldSwap = false;
      body.dispatchEvent(new Event("ballast:signed-out"));
      location.reload();
    } else if (xhr.status >= 400 && event.detail.requestConfig.elt.closest("form.dialog") && text.includes("data-problem")) {
      event.detail.shouldSwap = false; // A passing error never takes the place of what somebody has typed.
      const problem = new DOMParser().parseFromString(text, "text/html").querySelector("[data-problem]");
      if (problem.hasAttribute("data-form-expired")) { // Somebody signed in again in another tab: the token is another.
        body.dispatchEvent(new Event("ballast:signed-out"));
        location.reload();
        return;
      }
      const words = $$("h1, .state-title, li, .state-text > p", problem).map((one) => one.textContent.trim());
      toast([...new Set(words.filter(Boolean))].join(" · "), "bad");
      body.dispatchEvent(new CustomEvent("ballast:refused", { detail: event.detail.requestConfig.elt }));
    } else if (xhr.status >= 400 && target?.id !== "dialog" && text.includes("data-problem")) {
      event.detail.target = dialog; // An error never takes the place of what the page shows.
      event.detail.swapOverride = "innerHTML";
      event.detail.selectOverride = "unset";
    }
  });

  // An SLO that was not there before a decision is brought into sight, wherever the page was.
  let held = null;
  const slosShown = (within = document) => new Set($$("[data-holds]", within).map((one) => one.dataset.holds));
  const showNewSlo = () => {
    if (!held) return;
    const fresh = $$("[data-holds]").find((one) => !held.has(one.dataset.holds));
    if (!fresh) return;
    held = null;
    fresh.tabIndex = -1;
    fresh.focus({ preventScroll: true });
    fresh.scrollIntoView({ block: "center" });
  };
  body.addEventListener("ballast:changed", () => { held = slosShown(); }, true);

  // A page that draws itself anew stays where it is: the browser would follow the old content to the bottom.
  let place = null;
  body.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.detail.target?.matches?.("[data-keeps-place]")) return;
    place = { top: scrollY, slo: document.activeElement?.dataset.holds };
  });
  body.addEventListener("htmx:afterSwap", () => {
    if (!place) return;
    const { top, slo } = place;
    place = null;
    scrollTo({ top, behavior: "instant" });
    const again = slo && $$("[data-holds]").find((one) => one.dataset.holds === slo);
    if (!again) return;
    again.tabIndex = -1;
    again.focus({ preventScroll: true });
  });

  // A file of what is shown follows the filter that htmx has put into the address.
  body.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-follows-filter]");
    if (link) link.search = location.search;
  }, true);

  body.addEventListener("htmx:afterSettle", (event) => {
    const now = event.detail.elt?.isConnected ? event.detail.elt : document;
    watchScrollers(now);
    showCopy(now);
    announce($("[data-announce]", now)?.textContent.trim());
    showNewSlo();
  });

  // A response that did what was asked says so: HX-Trigger: {"ballast:done": {"message": "…"}}
  body.addEventListener("ballast:done", (event) => {
    const { message, undo, next } = event.detail ?? {};
    if (dialog?.open) dialog.close();
    if (next && new URL(next, location).pathname !== location.pathname) leaveFor(next, message, undo); // The page was about what is gone.
    else if (!document.querySelector("[hx-trigger^='ballast:changed']:not([data-frame])")) leaveFor(location.href, message, undo);
    else toast(message, "ok", undo);
  });

  // ---- what was done is said on the next page, where the page itself does not draw itself anew

  const SAID = "ballast-said";
  function leaveFor(address, message, undo) {
    try { sessionStorage.setItem(SAID, JSON.stringify({ person: body.dataset.person, message, undo })); } catch { /* Unsaid. */ }
    if (address === location.href) location.reload(); else location.assign(address);
  }
  try {
    const said = JSON.parse(sessionStorage.getItem(SAID));
    sessionStorage.removeItem(SAID);
    if (said?.message && said.person === body.dataset.person) toast(said.message, "ok", said.undo);
  } catch { /* Nothing was said. */ }

  body.addEventListener("htmx:responseError", (event) => {
    const { xhr } = event.detail;
    const id = xhr.getResponseHeader("X-Request-ID");
    toast(`The server answered ${xhr.status}. Nothing was changed.${id ? ` Id ${id}.` : ""}`, "bad");
  });
  body.addEventListener("htmx:sendError", () => toast("The server cannot be reached. Nothing was changed; try again.", "bad"));
  body.addEventListener("htmx:timeout", () =>
    toast("The server took too long. Load the page to see whether the change was saved.", "bad"));
})();
