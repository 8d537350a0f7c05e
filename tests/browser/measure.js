// What is wrong with a page as it is shown, a line each. Names of colours are those of report.css.
(() => {
  const wrong = [];
  const text = (it) => it.textContent.trim();
  const inside = (inner, outer) =>
    inner.left >= outer.left - 0.5 && inner.right <= outer.right + 0.5 &&
    inner.top >= outer.top - 0.5 && inner.bottom <= outer.bottom + 0.5;
  const overlap = (a, b) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const shown = (selector) =>
    [...document.querySelectorAll(selector)].filter((it) => it.getClientRects().length);

  if (document.documentElement.scrollWidth > document.documentElement.clientWidth)
    wrong.push(`the page is ${document.documentElement.scrollWidth} pixels wide`);

  // Axes: letters can be read, and no label is cut off or covers another.
  for (const plot of shown("svg.plot")) {
    const card = plot.closest("section").getBoundingClientRect();
    const labels = [...plot.querySelectorAll("text")].filter((it) => it.getClientRects().length);
    const places = labels.map((it) => it.getBoundingClientRect());
    if (labels.length < 3) wrong.push(`${plot.ariaLabel}: only ${labels.length} labels`);
    labels.forEach((label, number) => {
      if (parseFloat(getComputedStyle(label).fontSize) * label.getScreenCTM().a < 10)
        wrong.push(`${plot.ariaLabel}: small: ${text(label)}`);
      if (!inside(places[number], card)) wrong.push(`${plot.ariaLabel}: cut off: ${text(label)}`);
      for (let other = number + 1; other < labels.length; other++)
        if (overlap(places[number], places[other]))
          wrong.push(`${plot.ariaLabel}: ${text(label)} covers ${text(labels[other])}`);
    });
    for (const column of plot.querySelectorAll("rect"))
      if (!inside(column.getBoundingClientRect(), card))
        wrong.push(`${plot.ariaLabel}: outside: ${text(column)}`);
  }

  // Words: none is broken that fits on a line, and none leaves its cell.
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const cell = node.parentElement.closest("td, th, li, p, span, b, h1, h2");
    if (!cell || !cell.getClientRects().length || cell.closest("svg")) continue;
    const style = getComputedStyle(cell);
    const room = cell.getBoundingClientRect();
    for (const word of node.data.matchAll(/[^\s-]+-?/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const pieces = [...range.getClientRects()];
      const wide = pieces.reduce((sum, it) => sum + it.width, 0);
      const line = cell.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      const lines = new Set(pieces.map((it) => Math.round(it.top)));
      if (lines.size > 1 && wide <= line) wrong.push(`broken: ${word[0]}`);
      if (style.display !== "inline" && pieces.some((it) => it.right > room.right + 0.5))
        wrong.push(`too wide: ${word[0]}`);
    }
  }

  // Contrast (WCAG 2.2): 4.5 to 1 for text, 3 to 1 for what figures are drawn with.
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = channels(colour).map((it) => {
      const part = it / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  };
  const behind = (it) => {
    for (; it; it = it.parentElement) {
      const colour = getComputedStyle(it).backgroundColor;
      if ((channels(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  for (const it of shown("h1, h2, p, b, span, td, th, li, footer, text")) {
    const style = getComputedStyle(it);
    const ratio = contrast(it.tagName === "text" ? style.fill : style.color, behind(it));
    if (text(it) && ratio < 4.5) wrong.push(`contrast ${ratio.toFixed(1)}: ${text(it)}`);
  }
  for (const it of shown("rect:not(.track)")) {
    const ratio = contrast(getComputedStyle(it).fill, behind(it));
    if (ratio < 3) wrong.push(`contrast ${ratio.toFixed(1)}: a column of ${it.classList}`);
  }
  return [...new Set(wrong)];
})();
