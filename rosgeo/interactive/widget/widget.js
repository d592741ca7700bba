// The browser's end of rosgeo.interactive.widget.SessionWidget: a canvas with the scene, boxes and clicks on it, and a table of what was committed.
// All coordinates are pixels of the raster as it is stored; `view` brings them to the canvas. No library, nothing from a network.

const STYLE = `
.rosgeo { font: 13px system-ui, sans-serif; max-width: 100%; }
.rosgeo canvas { width: 100%; display: block; background: #333; cursor: crosshair; touch-action: none; outline-offset: 1px; }
.rosgeo .bar { display: flex; flex-wrap: wrap; gap: 4px; align-items: center; margin: 4px 0; }
.rosgeo button { padding: 3px 9px; border: 1px solid #999; border-radius: 3px; background: #f4f4f4; color: #222; cursor: pointer; }
.rosgeo button.on { background: #2b6cb0; color: #fff; border-color: #2b6cb0; }
.rosgeo input { padding: 3px 6px; border: 1px solid #999; border-radius: 3px; width: 11em; }
.rosgeo .message { min-height: 1.4em; color: #a33; overflow-wrap: anywhere; }
.rosgeo .hint { color: #777; }
.rosgeo table { border-collapse: collapse; margin-top: 4px; }
.rosgeo td, .rosgeo th { padding: 1px 10px 1px 0; text-align: left; font-weight: normal; }
.rosgeo th { color: #777; }
.rosgeo td span { display: inline-block; width: 10px; height: 10px; margin-right: 5px; border: 1px solid #555; }
`;

const DRAFT = "#ff2f92", BOX = "#40c8ff", YES = "#2ee66b", NO = "#ff3b30";
const LEAST_DRAG = 4; // screen pixels; less is a click
const LOOK_AFTER = 250; // ms without a change of view before a closer picture is asked for

function element(tag, parent, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  parent.appendChild(made);
  return made;
}

function loadImage(model, key, images, redraw) {
  const { png, place } = model.get(key);
  if (!png) return;
  const image = new Image();
  image.onload = () => { images[key] = { image, place }; redraw(); };
  image.src = png;
}

function render({ model, el }) {
  const root = element("div", el, undefined, "rosgeo");
  element("style", root, STYLE);
  const bar = element("div", root, undefined, "bar");
  const canvas = element("canvas", root);
  canvas.tabIndex = 0;
  canvas.style.height = model.get("height") + "px";
  const message = element("div", root, "", "message");
  const table = element("table", root);
  const context = canvas.getContext("2d");
  const images = {};
  const view = { scale: 1, x: 0, y: 0 }; // canvas = (pixel - (x, y)) * scale, in CSS pixels
  let mode = "box", drag = null, looking = null;

  const send = (action, what = {}) => { message.textContent = ""; model.send({ action, ...what }); };
  const size = () => [canvas.clientWidth || 800, canvas.clientHeight || model.get("height")];
  const toPixel = (event) => {
    const at = canvas.getBoundingClientRect();
    return [(event.clientX - at.left) / view.scale + view.x, (event.clientY - at.top) / view.scale + view.y];
  };

  // ---- drawing
  function path(rings) {
    context.beginPath();
    for (const ring of rings) {
      ring.forEach(([x, y], i) => (i ? context.lineTo : context.moveTo).call(context, (x - view.x) * view.scale, (y - view.y) * view.scale));
      context.closePath();
    }
  }
  function stroke(rings, colour, width, dash = []) {
    path(rings);
    context.setLineDash(dash);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
  function redraw() {
    const [width, height] = size(), ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const key of ["scene", "detail"]) {
      if (!images[key]) continue;
      const { image, place } = images[key];
      context.imageSmoothingEnabled = view.scale * (place[2] - place[0]) / image.width < 2; // single pixels stay sharp
      context.drawImage(image, (place[0] - view.x) * view.scale, (place[1] - view.y) * view.scale, (place[2] - place[0]) * view.scale, (place[3] - place[1]) * view.scale);
    }
    for (const row of model.get("rows")) stroke(row.rings, row.colour, 1.5);
    const draft = model.get("draft");
    if (draft.box) stroke([draft.box], BOX, 1, [5, 4]);
    if (draft.rings && draft.rings.length) {
      stroke(draft.rings, DRAFT, 2);
      context.fillStyle = DRAFT + "26";
      context.fill("evenodd");
    }
    for (const [x, y, positive] of draft.points || []) {
      context.setLineDash([]);
      context.beginPath();
      context.arc((x - view.x) * view.scale, (y - view.y) * view.scale, 4.5, 0, 7);
      context.fillStyle = positive ? YES : NO;
      context.fill();
      context.strokeStyle = "#fff";
      context.lineWidth = 1.2;
      context.stroke();
    }
    if (drag && drag.kind === "box") {
      const [[x0, y0], [x1, y1]] = [drag.from, drag.to];
      stroke([[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]], BOX, 1.5, [5, 4]);
    }
  }

  // ---- the view
  function fit() {
    const [width, height] = size(), [columns, rows] = model.get("scene").size;
    view.scale = Math.min(width / columns, height / rows);
    view.x = (columns - width / view.scale) / 2;
    view.y = (rows - height / view.scale) / 2;
    redraw();
  }
  function look() {
    clearTimeout(looking);
    looking = setTimeout(() => {
      const scene = images.scene, [width, height] = size();
      if (!scene || view.scale * (scene.place[2] - scene.place[0]) / scene.image.width <= 1) return;
      if (scene.image.width >= scene.place[2] - scene.place[0]) return; // has every pixel already
      model.send({ action: "look", corners: [view.x, view.y, view.x + width / view.scale, view.y + height / view.scale] });
    }, LOOK_AFTER);
  }
  function zoom(factor, [x, y]) {
    view.x = x - (x - view.x) / factor;
    view.y = y - (y - view.y) / factor;
    view.scale *= factor;
    redraw();
    look();
  }

  // ---- buttons
  const modes = {};
  for (const [name, text, title] of [
    ["box", "▭ box", "drag a box round an object"],
    ["yes", "+ in", "click where the object is (or shift-click at any time)"],
    ["no", "− out", "click where the object is not (or ctrl-click at any time)"],
    ["pan", "✥ pan", "drag the picture; the wheel zooms"],
  ]) {
    modes[name] = element("button", bar, text);
    modes[name].title = title;
    modes[name].dataset.mode = name;
    modes[name].onclick = () => choose(name);
  }
  function choose(name) {
    mode = name;
    for (const [key, button] of Object.entries(modes)) button.classList.toggle("on", key === name);
    canvas.style.cursor = name === "pan" ? "grab" : "crosshair";
  }
  function button(text, title, action) {
    const made = element("button", bar, text);
    made.title = title;
    made.onclick = action;
    made.dataset.action = text;
  }
  function field(placeholder, value) {
    const made = element("input", bar);
    made.placeholder = placeholder;
    made.value = value;
    return made;
  }
  const commit = () => send("commit", { label: label.value.trim() });
  button("undo", "take back the last step (u)", () => send("undo"));
  button("clear", "give the box up (Esc)", () => send("clear"));
  button("fit", "show the whole scene", fit);
  const label = field("label", "");
  button("commit", "take the outline into the result (Enter)", commit);
  const file = field("file", model.get("path"));
  button("save", "write what was committed", () => {
    model.set("path", file.value);
    model.save_changes();
    send("save");
  });
  element("span", bar, "shift-click: in, ctrl-click: out, wheel: zoom", "hint");

  // ---- mouse and keys
  canvas.oncontextmenu = (event) => event.preventDefault(); // ctrl-click on a Mac
  canvas.onpointerdown = (event) => {
    canvas.focus();
    canvas.setPointerCapture?.(event.pointerId);
    const from = toPixel(event);
    const panning = mode === "pan" || event.button === 1;
    drag = { kind: panning ? "pan" : mode === "box" && !event.shiftKey && !event.ctrlKey ? "box" : "click", from, to: from, start: [event.clientX, event.clientY] };
  };
  canvas.onpointermove = (event) => {
    if (!drag) return;
    const at = toPixel(event);
    if (drag.kind === "pan") {
      view.x -= at[0] - drag.from[0];
      view.y -= at[1] - drag.from[1];
    }
    drag.to = at;
    redraw();
  };
  canvas.onpointerup = (event) => {
    if (!drag) return;
    const done = drag, far = Math.hypot(event.clientX - done.start[0], event.clientY - done.start[1]) >= LEAST_DRAG;
    done.to = toPixel(event);
    drag = null;
    if (done.kind === "box" && far) send("box", { corners: [...done.from, ...done.to] });
    if (done.kind === "pan") look();
    if (done.kind === "click" && !far) {
      const positive = event.ctrlKey ? false : event.shiftKey || mode === "yes";
      send("point", { at: done.to, positive });
    }
    redraw();
  };
  canvas.onwheel = (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), toPixel(event));
  };
  canvas.onkeydown = (event) => {
    const action = { u: "undo", z: event.ctrlKey || event.metaKey ? "undo" : null, Escape: "clear", Enter: "commit" }[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action === "commit" ? commit() : send(action);
  };

  // ---- what Python says
  function showRows() {
    table.replaceChildren();
    const rows = model.get("rows");
    if (rows.length) {
      const head = element("tr", table);
      for (const text of ["object", "status", "score", "area, m²", "label"]) element("th", head, text);
    }
    for (const row of rows) {
      const line = element("tr", table), first = element("td", line);
      element("span", first).style.background = row.colour;
      first.append(row.id);
      element("td", line, row.status);
      element("td", line, row.score === null ? "" : row.score.toFixed(3));
      element("td", line, row.area === null ? "" : row.area.toFixed(1));
      element("td", line, row.label);
    }
    redraw();
  }
  const changes = {
    "change:scene": () => loadImage(model, "scene", images, redraw),
    "change:detail": () => loadImage(model, "detail", images, redraw),
    "change:draft": redraw,
    "change:rows": showRows,
    "change:message": () => (message.textContent = model.get("message")),
  };
  for (const [name, react] of Object.entries(changes)) model.on(name, react);
  const watch = new ResizeObserver(() => redraw());
  watch.observe(canvas);
  choose("box");
  changes["change:scene"]();
  showRows();
  requestAnimationFrame(fit);
  return () => {
    watch.disconnect();
    for (const [name, react] of Object.entries(changes)) model.off(name, react);
  };
}

export default { render };
