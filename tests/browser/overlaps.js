// Pieces of text that are seen and lie over each other, each pair as "one | other".
() => {
  const hidden = ".unseen, title, script, option, select, textarea, [hidden], details:not([open]) > :not(summary)";
  const isShown = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.visibility === "hidden" || style.display === "none" || style.clipPath !== "none" || Number(style.opacity) === 0) return false;
    }
    return true;
  };
  const pieces = [];
  const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode, element = node.parentElement;
    if (!node.data.trim() || element.closest(hidden) || !isShown(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (box.width > 2 && box.height > 2) pieces.push({ element, box, text: node.data.trim().slice(0, 40) });
    }
  }
  const found = new Set();
  pieces.forEach((one, at) => {
    for (const other of pieces.slice(at + 1)) {
      if (one.element === other.element) continue;
      const width = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
      const height = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
      // A line's box is higher than its letters, so a third of it may be shared.
      if (width > 1.5 && height > Math.min(one.box.height, other.box.height) / 3) found.add(`${one.text} | ${other.text}`);
    }
  });
  return [...found];
}
