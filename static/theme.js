// Runs before the first paint: the reader's theme, and that scripts work at all.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const theme = localStorage.getItem("ballast-theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch { /* Storage may be blocked: the system's theme holds. */ }
})();
