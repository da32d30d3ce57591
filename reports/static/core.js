"use strict";
/* What the parts of a report's page share: its data by name, its runs, and the state in the URL's fragment. */
window.evalkit = (() => {
  const source = document.documentElement.dataset.source;
  const KEPT = 24;
  const CHUNK = 50;

  /* ---- data ---- */

  const loaded = new Map();
  const waiting = new Map();
  const policy = window.trustedTypes && source === "site"
    ? window.trustedTypes.createPolicy("evalkit-data", {
        createScriptURL: (place) => {
          if (/^data\/[a-z]+(\/\d+){0,2}\.js$/.test(place)) return place;
          throw new TypeError(`${place} is no data file of a report`);
        },
      })
    : { createScriptURL: (place) => place };

  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  function fromPage(name) {
    const holder = document.querySelector(`script[data-name="${CSS.escape(name)}"]`);
    if (!holder) throw new Error(`${name} is not in this report`);
    return unpacked(holder.textContent);
  }

  /* In a folder a run's trajectories are in several files. */
  function fileOf(name) {
    const [, number, row] = /^details\/(\d+)\/(\d+)$/.exec(name) ?? [];
    if (row === undefined) return name;
    const place = runs[number]?.details.indexOf(Number(row)) ?? -1;
    if (place < 0) throw new Error(`${name} is not in this report`);
    return `details/${number}/${Math.floor(place / CHUNK)}`;
  }

  function fromScript(name) {
    const delivered = new Promise((resolve, reject) => waiting.set(name, { resolve, reject }));
    const script = document.createElement("script");
    script.src = policy.createScriptURL(`data/${name}.js`);
    script.onerror = () => {
      waiting.get(name)?.reject(new Error(`data/${name}.js cannot be read: a report's folder belongs together`));
      waiting.delete(name);
    };
    script.onload = () => script.remove();
    document.head.append(script);
    return delivered.then(unpacked);
  }

  const ways = { inline: fromPage, site: fromScript };

  /* Rows of a run may leave columns to an earlier run of the same benchmark. */
  async function completed(data) {
    return data.like === undefined ? data : { ...(await load(`rows/${data.like}`)), ...data };
  }

  /** The object of this name: "boards", "rows/0", "pictures", "details/0", in a folder "details/0/17" (run and row). The last few are kept. */
  function load(wanted) {
    const name = source === "site" ? fileOf(wanted) : wanted;
    let found = loaded.get(name);
    if (found) {
      loaded.delete(name);
    } else {
      found = (async () => completed(await ways[source](name)))();
      found.catch(() => loaded.delete(name));
    }
    loaded.set(name, found);
    if (loaded.size > KEPT) loaded.delete(loaded.keys().next().value);
    return found;
  }

  /** Called by a data file of a report that is a folder. */
  function deliver(name, text) {
    waiting.get(name)?.resolve(text);
    waiting.delete(name);
  }

  /* ---- state ---- */

  const readable = (text) => encodeURIComponent(text).replace(/%(2C|3A|2F|20)/g, (code) => (code === "%20" ? "+" : decodeURIComponent(code)));
  const plain = (text) => {
    try {
      return decodeURIComponent(text.replaceAll("+", " "));
    } catch {
      return text;
    }
  };

  /* A part without "=" is a place on the page, as in a plain link. */
  function parsed() {
    const found = new Map();
    let place = "";
    for (const part of location.hash.slice(1).split("&")) {
      const cut = part.indexOf("=");
      if (cut > 0) found.set(plain(part.slice(0, cut)), plain(part.slice(cut + 1)));
      else if (part) place = plain(part);
    }
    return { found, place };
  }

  let { found: current, place: place_now } = parsed();
  let written = location.hash;
  const listeners = new Map();

  function tell(before) {
    for (const [key, callbacks] of listeners) {
      const value = current.get(key) ?? null;
      if ((before.get(key) ?? null) !== value) for (const callback of callbacks) callback(value);
    }
  }

  function write() {
    const parts = [...current].map(([key, value]) => `${readable(key)}=${readable(value)}`);
    if (place_now) parts.unshift(readable(place_now));
    const hash = parts.length ? `#${parts.join("&")}` : "#";
    if (hash !== (location.hash || "#")) history.replaceState(history.state, "", hash);
    written = location.hash;
  }

  const state = {
    /** The value of a key, or null. */
    get: (key) => current.get(key) ?? null,
    /** Set keys; null and "" take one away. Who listens is told of what changed. */
    set(values) {
      const before = new Map(current);
      for (const [key, value] of Object.entries(values)) {
        if (value === null || value === undefined || value === "") current.delete(key);
        else current.set(key, String(value));
      }
      write();
      tell(before);
    },
    /** Call back with the value, or null, whenever it changes; what is returned ends that. */
    on(key, callback) {
      if (!listeners.has(key)) listeners.set(key, new Set());
      listeners.get(key).add(callback);
      return () => listeners.get(key).delete(callback);
    },
  };

  /* The browser's own jump, which also moves where Tab goes on from; then the rest of the state again. */
  function go(place) {
    if (!document.getElementById(place)) return;
    location.replace(`#${place}`);
    write();
  }

  addEventListener("hashchange", () => {
    if (location.hash === written) return;
    const before = current;
    ({ found: current, place: place_now } = parsed());
    tell(before);
    if (place_now) go(place_now);
  });

  /* Links within the page keep the rest of the state. */
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    link.closest("[popover]")?.hidePopover();
    place_now = link.getAttribute("href").slice(1);
    const run = link.dataset.run;
    if (run === undefined) write();
    else state.set({ run, "t.row": null, "t.with": null, "t.side": null });
    go(place_now);
  });

  /* ---- theme ---- */

  const THEMES = { "": "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };

  function stored(value) {
    try {
      if (value === undefined) return localStorage.getItem("evalkit-theme") ?? "";
      localStorage.setItem("evalkit-theme", value);
    } catch {
      /* a page without storage forgets the choice */
    }
    return "";
  }

  function theme() {
    const names = Object.keys(THEMES);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet-button";
    const show = (name) => {
      if (name) document.documentElement.dataset.theme = name;
      else delete document.documentElement.dataset.theme;
      button.textContent = THEMES[name];
    };
    let chosen = names.includes(stored()) ? stored() : "";
    show(chosen);
    button.addEventListener("click", () => {
      chosen = names[(names.indexOf(chosen) + 1) % names.length];
      stored(chosen);
      show(chosen);
    });
    document.getElementById("page-tools")?.append(button);
  }

  theme();

  /** The runs that a page has; `details` are the rows whose turns are in reach. */
  function runsOf(page) {
    const found = JSON.parse(page.getElementById("evalkit-runs").textContent);
    for (const run of found) run.details ??= [...Array(run.rows).keys()];
    return found;
  }

  const runs = runsOf(document);

  document.addEventListener("DOMContentLoaded", () => {
    const section = document.getElementById("trajectories-mount");
    if (section && window.evalkit.trajectories) window.evalkit.trajectories.mount(section);
    if (place_now) go(place_now);
  });

  return { load, deliver, runs, runsOf, state };
})();
