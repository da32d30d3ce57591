"use strict";
/* Under `evalkit view`: data of the newest reading of the runs, and a page that follows them without losing the place. */
(() => {
  const { evalkit } = window;
  const PAUSE = 1500;
  const KEPT = 40;
  let version = document.documentElement.dataset.version;
  let browser = null;

  // the cookie knows the token now, and nobody need see it in the address
  history.replaceState(history.state, "", location.pathname + location.hash);

  /* ---- data, by the run's name: its number changes when another run overtakes it ---- */

  const ENDED = "evalkit view has ended";

  async function ask(path, values = {}) {
    const answer = await fetch(`${path}?${new URLSearchParams(values)}`).catch(() => {
      throw new Error(ENDED);
    });
    if (!answer.ok) throw new Error((await answer.text()).trim().slice(0, 300) || String(answer.status));
    return answer.json();
  }

  const kept = new Map();

  function once(path, values) {
    const key = `${path} ${JSON.stringify(values)}`;
    if (!kept.has(key)) {
      const found = ask(path, values);
      found.catch(() => kept.delete(key));
      kept.set(key, found);
      if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    }
    return kept.get(key);
  }

  /** "boards", "rows/RUN", "details/RUN/ROW". */
  evalkit.load = (name) => {
    const [kind, number, row] = name.split("/");
    if (kind === "boards") return once("data/boards", {});
    const { run } = evalkit.runs[number];
    return kind === "rows" ? once("data/rows", { run }) : once("data/detail", { run, row });
  };

  const { mount } = evalkit.trajectories;
  evalkit.trajectories.mount = (section) => (browser = mount(section));

  /* ---- the place that the reader has on the page ---- */

  const replaced = () => [...document.getElementById("main").children].filter((part) => part.id !== "trajectories");
  const within = (node) => Boolean(node) && replaced().some((part) => part.contains(node));

  /** Whether the reader is in the middle of something that new figures would take away. */
  function busy() {
    if (document.querySelector(":popover-open, dialog[open]")) return true;
    const selection = getSelection();
    if (!selection.isCollapsed && within(selection.anchorNode)) return true;
    return within(document.activeElement) && document.activeElement.matches("input, select");
  }

  function pathOf(node) {
    const path = [];
    for (let one = node; one.parentElement && one.id !== "main"; one = one.parentElement) path.unshift([...one.parentElement.children].indexOf(one));
    return path;
  }

  const follow = (path) => path.reduce((one, place) => one?.children[place], document.getElementById("main"));

  function placeOf() {
    const seen = [...document.querySelectorAll("#main [id]")].filter((one) => one.getBoundingClientRect().height);
    const mark = seen.findLast((one) => one.getBoundingClientRect().top <= 1) ?? null;
    return {
      mark: mark && { id: mark.id, top: mark.getBoundingClientRect().top },
      open: replaced().flatMap((part) => [...part.querySelectorAll("details[open]")]).map(pathOf),
      across: replaced().flatMap((part) => [...part.querySelectorAll("*")]).filter((one) => one.scrollLeft).map((one) => [pathOf(one), one.scrollLeft]),
      focus: within(document.activeElement) ? pathOf(document.activeElement) : null,
    };
  }

  function restore({ mark, open, across, focus }) {
    for (const path of open) if (follow(path)?.matches("details")) follow(path).open = true;
    for (const [path, left] of across) if (follow(path)) follow(path).scrollLeft = left;
    if (focus) follow(focus)?.focus({ preventScroll: true });
    const again = mark && document.getElementById(mark.id);
    if (again) scrollBy({ top: again.getBoundingClientRect().top - mark.top, behavior: "instant" });
  }

  /** The run in the trajectory browser by its name, where it has none or is named by its number. */
  function pin() {
    const named = evalkit.state.get("run") ?? "";
    if (evalkit.runs.some((run) => run.run === named)) return;
    const shown = evalkit.runs[/^\d{1,6}$/.test(named) ? named : 0];
    if (shown && (named || evalkit.state.get("t.row"))) evalkit.state.set({ run: shown.run });
  }

  /* ---- following ---- */

  function fresh() {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("GET", location.pathname);
      // a document in which nothing runs
      request.responseType = "document";
      request.onload = () => (request.status === 200 && request.response ? resolve(request.response) : reject(new Error(`the page could not be made (${request.status})`)));
      request.onerror = () => reject(new Error(ENDED));
      request.send();
    });
  }

  /** Put the new figures in the place of the old ones. */
  function exchange(page) {
    const runs = evalkit.runsOf(page);
    if (Boolean(page.getElementById("trajectories")) !== Boolean(document.getElementById("trajectories"))) return location.reload();
    const place = placeOf();
    pin();
    for (const part of replaced()) part.remove();
    const parts = [...page.getElementById("main").children].filter((part) => part.id !== "trajectories");
    document.getElementById("main").prepend(...parts);
    for (const selector of ["#counts", "header nav", "footer"]) {
      const [old, now] = [document.querySelector(selector), page.querySelector(selector)];
      if (old && now) old.replaceWith(now);
    }
    document.title = page.title;
    evalkit.runs.splice(0, Infinity, ...runs);
    evalkit.boards?.enhance();
    restore(place);
    kept.clear();
    browser?.renew();
    version = page.documentElement.dataset.version;
    return undefined;
  }

  const light = document.createElement("span");
  light.className = "live";
  document.getElementById("page-tools")?.append(light);

  function say(text) {
    if (light.textContent === text) return;
    light.textContent = text;
    light.classList.toggle("live-lost", text !== "live");
  }

  async function look() {
    if (document.hidden) return;
    try {
      const now = await ask("version");
      say("live");
      if (now.version !== version && !busy()) exchange(await fresh());
    } catch (error) {
      say(error.message === ENDED ? ENDED : `not live: ${error.message}`);
    }
  }

  (async () => {
    for (;;) {
      await new Promise((done) => setTimeout(done, PAUSE));
      await look();
    }
  })();
})();
