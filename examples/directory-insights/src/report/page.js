"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const map = document.getElementById("map");
  const trail = document.getElementById("trail");
  const tip = document.getElementById("tip");
  const HUES = [205, 28, 145, 268, 350, 175, 48, 232, 95, 310];

  const size = (bytes) => {
    const units = ["B", "KB", "MB", "GB", "TB", "PB"];
    let unit = 0;
    while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
    return `${unit === 0 || bytes >= 10 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
  };
  const count = (n) => n.toLocaleString("en-US");

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // Directories come each after the one it lies in; some small ones were left out.
  const known = new Map();
  for (const [path, bytes, own, files] of data.directories) {
    const node = { path, bytes, own, files, children: [], parent: null, name: data.root };
    if (path !== ".") {
      let above = path;
      do {
        const cut = above.lastIndexOf("/");
        above = cut < 0 ? "." : above.slice(0, cut);
      } while (!known.has(above) && above !== ".");
      node.parent = known.get(above) || null;
      node.name = above === "." ? path : path.slice(above.length + 1);
      if (node.parent) node.parent.children.push(node);
    }
    known.set(path, node);
  }
  const root = known.get(".");
  if (!root) return;

  // A directory that holds one directory and nothing else is shown together with it: `src/main/java`.
  const collapse = (node) => {
    let name = node.name;
    let end = node;
    while (end.children.length === 1 && end.own === 0 && end.children[0].bytes === end.bytes) {
      end = end.children[0];
      name += `/${end.name}`;
    }
    return { node: end, name, bytes: end.bytes, files: end.files };
  };

  // What a directory consists of: its directories, its own files, and what was too small to list.
  const parts = (node) => {
    const listed = node.children.filter((child) => child.bytes > 0);
    const rest = node.bytes - node.own - listed.reduce((sum, child) => sum + child.bytes, 0);
    const all = listed.map(collapse);
    if (node.own > 0) all.push({ name: listed.length ? "files here" : "files", bytes: node.own, path: node.path });
    if (rest > 0) all.push({ name: "smaller directories", bytes: rest, path: node.path });
    return all.sort((a, b) => b.bytes - a.bytes);
  };

  // Squarified treemap (Bruls, Huizing, van Wijk): rows along the shorter side, closed when shapes get worse.
  const squarify = (items, x, y, width, height) => {
    const total = items.reduce((sum, item) => sum + item.bytes, 0);
    const placed = [];
    if (!(total > 0) || width <= 0 || height <= 0) return placed;
    const scale = (width * height) / total;
    let at = 0;
    while (at < items.length) {
      const side = Math.min(width, height);
      let area = 0, largest = 0, smallest = Infinity, end = at, worst = Infinity;
      while (end < items.length) {
        const next = items[end].bytes * scale;
        const sum = area + next, high = Math.max(largest, next), low = Math.min(smallest, next);
        const ratio = Math.max((side * side * high) / (sum * sum), (sum * sum) / (side * side * low));
        if (ratio > worst) break;
        area = sum; largest = high; smallest = low; worst = ratio; end += 1;
      }
      const thick = side > 0 ? area / side : 0;
      let offset = 0;
      for (; at < end; at += 1) {
        const long = thick > 0 ? (items[at].bytes * scale) / thick : 0;
        placed.push(width >= height
          ? { item: items[at], x, y: y + offset, width: thick, height: long }
          : { item: items[at], x: x + offset, y, width: long, height: thick });
        offset += long;
      }
      if (width >= height) { x += thick; width -= thick; } else { y += thick; height -= thick; }
    }
    return placed;
  };

  const describe = (element, item, whole) => {
    const path = item.node ? item.node.path : `${item.path === "." ? "" : item.path + "/"}(${item.name})`;
    const share = whole > 0 ? ` · ${((100 * item.bytes) / whole).toFixed(1)}% of what is shown` : "";
    const files = item.files === undefined ? "" : ` · ${count(item.files)} ${item.files === 1 ? "file" : "files"}`;
    element.setAttribute("aria-label", `${path}, ${size(item.bytes)}`);
    const show = (left, top) => {
      tip.replaceChildren(document.createTextNode(path), make("small", "", size(item.bytes) + files + share));
      tip.hidden = false;
      const box = tip.getBoundingClientRect();
      tip.style.left = `${Math.max(8, Math.min(left + 14, innerWidth - box.width - 8))}px`;
      tip.style.top = `${top + 18 + box.height > innerHeight ? top - box.height - 10 : top + 18}px`;
    };
    element.addEventListener("pointermove", (event) => { event.stopPropagation(); show(event.clientX, event.clientY); });
    element.addEventListener("pointerleave", () => { tip.hidden = true; });
  };

  const HEAD = 22, EDGE = 3, LEVELS = 4;

  // Draws one part, and what is inside it as long as there is room to see it.
  const place = (box, hue, level, whole) => {
    const { item, x, y, width, height } = box;
    const opens = item.node && item.node.children.length > 0;
    const inside = opens && level < LEVELS && width > 64 && height > 54;
    const element = make(item.node ? "button" : "div", `${item.node ? "cell" : "leaf"}${inside ? " group" : ""}`);
    if (item.node) {
      element.type = "button";
      element.addEventListener("click", () => open(item.node));
    }
    element.style.cssText =
      `left:${x}px;top:${y}px;width:${Math.max(0, width - 1)}px;height:${Math.max(0, height - 1)}px;--h:${hue};--level:${level}`;
    if (width < 16 || height < 10) element.classList.add("tiny");
    if (height > 19 && width > Math.min(46, 16 + 7 * item.name.length)) {
      const label = make("b", "", item.name);
      if (inside) label.append(make("i", "", size(item.bytes)));
      element.append(label);
    }
    if (!inside && width > 54 && height > 36) element.append(make("small", "", size(item.bytes)));
    describe(element, item, whole);
    map.append(element);
    if (!inside) return;
    const below = squarify(parts(item.node), x + EDGE, y + HEAD, width - 2 * EDGE - 1, height - HEAD - EDGE - 1);
    // Where one directory is most of the picture, colours tell apart what is inside it.
    const spread = level === 1 && item.bytes > 0.5 * whole;
    below.forEach((small, index) => {
      const own = spread ? HUES[(index + 1) % HUES.length] : hue;
      if (small.width > 3 && small.height > 3) place(small, own, level + 1, whole);
    });
  };

  let current = collapse(root).node;
  const draw = () => {
    map.replaceChildren();
    const items = parts(current);
    if (items.length === 0) map.append(make("p", "note", "Nothing here has a size."));
    squarify(items, 0, 0, map.clientWidth, map.clientHeight)
      .forEach((box, index) => place(box, HUES[index % HUES.length], 1, current.bytes));
    trail.replaceChildren();
    const steps = [];
    for (let node = current; node; node = node.parent) {
      // A directory shown together with the one inside it is no step of its own.
      if (node === current || collapse(node).node === node) steps.unshift({ node, name: node.name });
      else steps[0].name = `${node.name}/${steps[0].name}`;
    }
    steps.forEach(({ node, name }, index) => {
      if (index > 0) trail.append(make("span", "", "/"));
      if (node === current) { trail.append(make("b", "", `${name} · ${size(node.bytes)}`)); return; }
      const back = make("button", "", name);
      back.type = "button";
      back.addEventListener("click", () => open(node));
      trail.append(back);
    });
  };

  function open(node) {
    // A directory of nothing but files has no inside to show: stay where it can be compared.
    if (node.children.length === 0 && node !== root) return;
    current = collapse(node).node;
    tip.hidden = true;
    draw();
  }

  draw();
  let width = map.clientWidth;
  new ResizeObserver(() => {
    if (map.clientWidth !== width) { width = map.clientWidth; draw(); }
  }).observe(map);
})();
