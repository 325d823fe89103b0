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

  // What a directory consists of: its directories, its own files, and what was too small to list.
  const parts = (node) => {
    const listed = node.children.filter((child) => child.bytes > 0);
    const rest = node.bytes - node.own - listed.reduce((sum, child) => sum + child.bytes, 0);
    const all = listed.map((child) => ({ node: child, name: child.name, bytes: child.bytes, files: child.files }));
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

  const cell = (box, hue, whole, open) => {
    const { item } = box;
    const inside = item.node && (item.node.children.length > 0) && box.width > 70 && box.height > 60;
    const element = make(item.node ? "button" : "div", item.node ? (inside ? "group" : "") : "leaf");
    if (item.node) {
      element.type = "button";
      element.addEventListener("click", (event) => { event.stopPropagation(); open(item.node); });
    }
    element.style.cssText =
      `left:${box.x}px;top:${box.y}px;width:${Math.max(0, box.width - 2)}px;height:${Math.max(0, box.height - 2)}px;--h:${hue}`;
    if (box.width > 38 && box.height > 20) element.append(make("b", "", item.name));
    if (box.width > 52 && box.height > 38 && !inside) element.append(make("small", "", size(item.bytes)));
    describe(element, item, whole);
    return { element, inside };
  };

  let current = root;
  const draw = () => {
    map.replaceChildren();
    const items = parts(current);
    const whole = current.bytes;
    if (items.length === 0) {
      map.append(make("p", "note", "Nothing here has a size."));
    }
    squarify(items, 0, 0, map.clientWidth, map.clientHeight).forEach((box, index) => {
      const hue = HUES[index % HUES.length];
      const outer = cell(box, hue, whole, open);
      map.append(outer.element);
      if (!outer.inside) return;
      const head = 24;
      const below = squarify(parts(box.item.node), box.x + 4, box.y + head, box.width - 8, box.height - head - 5);
      for (const small of below) {
        if (small.width > 4 && small.height > 4) map.append(cell(small, hue, whole, open).element);
      }
    });
    trail.replaceChildren();
    const steps = [];
    for (let node = current; node; node = node.parent) steps.unshift(node);
    steps.forEach((node, index) => {
      if (index > 0) trail.append(make("span", "", "/"));
      if (node === current) { trail.append(make("b", "", `${node.name} · ${size(node.bytes)}`)); return; }
      const back = make("button", "", node.name);
      back.type = "button";
      back.addEventListener("click", () => open(node));
      trail.append(back);
    });
  };
  function open(node) {
    // A directory of nothing but files has no inside to show: stay where it can be compared.
    if (node.children.length === 0 && node !== root) return;
    current = node;
    tip.hidden = true;
    draw();
  }

  draw();
  let width = map.clientWidth;
  new ResizeObserver(() => {
    if (map.clientWidth !== width) { width = map.clientWidth; draw(); }
  }).observe(map);
})();
