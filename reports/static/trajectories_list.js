"use strict";
// The rows of a run: filters, and a list that draws only what is seen of it.
(() => {
  const evalkit = (globalThis.evalkit ??= {});
  const parts = ((evalkit.trajectories ??= {}).parts ??= {});
  const { el, data, inert, linkable, count, seconds } = parts;
  const ROW = 44;
  const BEYOND = 8;
  const WORDS = {
    __proto__: null,
    correct: ["✓", "good", "right"],
    incorrect: ["✗", "bad", "wrong"],
    unparsed: ["∅", "warn", "unparsed"],
    limit_turns: ["⌛", "warn", "turn limit"],
    limit_tokens: ["⌛", "warn", "token limit"],
    limit_time: ["⌛", "warn", "time limit"],
    judge_error: ["!", "warn", "judge error"],
    engine_error: ["!", "warn", "engine error"],
    sandbox_error: ["!", "warn", "sandbox error"],
    data_error: ["!", "warn", "data error"],
  };

  /** A verdict as a sign and words in its colour. */
  function badge(verdict) {
    const [sign, tone, words] = WORDS[verdict] ?? ["?", "muted", inert(verdict, 40)];
    return el("span", { class: `tj-badge tj-${tone}` }, el("span", { "aria-hidden": "true" }, `${sign} `), words);
  }

  /** What a row is called beside its verdict, by its answer without tools. */
  function marksOf(rows, row) {
    const marks = [];
    const without = rows.without[row];
    if (without === true && rows.calls[row] > 0) marks.push("redundant");
    if (without === true && rows.right[row] === false) marks.push("harm");
    if (without === false && rows.right[row] === true) marks.push("gain");
    return marks;
  }

  /** The verdict that the figures rest on, which under the benchmark's own rule may not be the strict one. */
  function outcomeOf(rows, row) {
    const [verdict, right] = [rows.verdicts[row], rows.right[row]];
    if (right === true) return "correct";
    return right === false && verdict === "correct" ? "incorrect" : verdict;
  }

  const places = new WeakMap();

  /** Where each sample of a run stands, by its `linkable` id. */
  function placesOf(rows) {
    if (!places.has(rows)) places.set(rows, new Map(rows.ids.map((id, row) => [linkable(id), row])));
    return places.get(rows);
  }

  /** -1 where this run alone has it right, 1 where the other alone has, 0 where they agree or one has no score. */
  function flipOf(rows, row, other) {
    const there = other?.places.get(linkable(rows.ids[row]));
    if (there === undefined) return 0;
    const [a, b] = [rows.right[row], other.rows.right[there]];
    return a === null || b === null || a === undefined || b === undefined ? 0 : Number(b) - Number(a);
  }

  /** Row numbers that fit the filters. */
  function matching(rows, wanted, other, here) {
    const find = (wanted.find ?? "").toLowerCase();
    const fits = (row) => {
      const right = rows.right[row];
      if (wanted.outcome === "right" && right !== true) return false;
      if (wanted.outcome === "not right" && right === true) return false;
      if (wanted.outcome?.startsWith("=") && linkable(rows.verdicts[row]) !== wanted.outcome.slice(1)) return false;
      if (wanted.category && linkable(rows.categories[row]) !== wanted.category.slice(1)) return false;
      // of a row whose calls are not known neither can be said
      if (wanted.called === "yes" && !(rows.calls[row] > 0)) return false;
      if (wanted.called === "no" && rows.calls[row] !== 0) return false;
      if (wanted.tools && !marksOf(rows, row).includes(wanted.tools)) return false;
      if (wanted.flip && other) {
        const flip = flipOf(rows, row, other);
        if (flip === 0 || (wanted.flip === "lost" && flip < 0) || (wanted.flip === "won" && flip > 0)) return false;
      }
      if (!wanted.all && here.size && !here.has(row)) return false;
      return !find || rows.ids[row].toLowerCase().includes(find);
    };
    const found = [];
    for (let row = 0; row < rows.ids.length; row += 1) if (fits(row)) found.push(row);
    return found;
  }

  /** Choices of a filter with how many rows each has. */
  function tally(values) {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1]);
  }

  /** A list of any length: a listbox whose options exist only where they are seen. */
  class RowList {
    constructor(onChoose) {
      this.onChoose = onChoose;
      this.found = [];
      this.active = -1;
      this.space = el("div", { class: "tj-space", role: "presentation" });
      this.element = el(
        "div",
        { class: "tj-list", role: "listbox", tabindex: "0", "aria-label": "Trajectories" },
        this.space,
      );
      this.element.addEventListener("scroll", () => this.draw(), { passive: true });
      this.element.addEventListener("focus", () => this.draw());
      new ResizeObserver(() => this.draw()).observe(this.element);
      this.drawn = new Map();
    }

    /** Shows these rows; `opened` is the row whose trajectory is shown, if any. */
    show(rows, found, { other, here, opened }) {
      Object.assign(this, { rows, found, other, here });
      this.opened = opened;
      const place = found.indexOf(opened);
      this.active = place >= 0 ? place : Math.min(Math.max(this.active, 0), found.length - 1);
      this.space.style.height = `${found.length * ROW}px`;
      this.space.replaceChildren();
      this.drawn.clear();
      if (place >= 0) this.reveal();
      this.draw();
    }

    /** Rows on a screen of the list. */
    get page() {
      return Math.max(Math.floor(this.element.clientHeight / ROW) - 1, 1);
    }

    get row() {
      return this.found[this.active];
    }

    /** Makes another row the active one; places beyond the ends are the ends. */
    move(place) {
      if (!this.found.length) return;
      this.active = Math.min(Math.max(place, 0), this.found.length - 1);
      this.reveal();
      this.draw();
    }

    reveal() {
      const top = this.active * ROW;
      const box = this.element;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
    }

    draw() {
      const first = Math.max(Math.floor(this.element.scrollTop / ROW) - BEYOND, 0);
      const seen = Math.ceil((this.element.clientHeight || 400) / ROW) + 2 * BEYOND;
      const last = Math.min(first + seen, this.found.length);
      for (const [place, option] of this.drawn) {
        // the active one stays, aria-activedescendant names it
        if ((place < first || place >= last) && place !== this.active) {
          option.remove();
          this.drawn.delete(place);
        }
      }
      const wanted = [...Array(Math.max(last - first, 0)).keys()].map((step) => first + step);
      if (this.active >= 0 && !wanted.includes(this.active)) wanted.push(this.active);
      for (const place of wanted) {
        if (!this.drawn.has(place)) {
          const option = this.option(place);
          this.drawn.set(place, option);
          this.space.append(option);
        }
      }
      for (const [place, option] of this.drawn) {
        option.setAttribute("aria-selected", String(this.found[place] === this.opened));
        option.classList.toggle("tj-active", place === this.active);
      }
      const active = this.drawn.get(this.active);
      if (active) this.element.setAttribute("aria-activedescendant", active.id);
      else this.element.removeAttribute("aria-activedescendant");
    }

    option(place) {
      const { rows } = this;
      const row = this.found[place];
      const calls = rows.calls[row];
      const flip = flipOf(rows, row, this.other);
      const marks = marksOf(rows, row);
      if (flip) marks.push(flip > 0 ? "only 2nd right" : "only 1st right");
      const there = this.here.has(row);
      if (!there) marks.push("figures only");
      const option = el(
        "div",
        {
          class: `tj-row${there ? "" : " tj-absent"}`,
          role: "option",
          id: `tj-row-${row}`,
          "aria-setsize": this.found.length,
          "aria-posinset": place + 1,
          title: there ? undefined : "its turns are not in this file",
        },
        badge(outcomeOf(rows, row)),
        data("span", { class: "tj-id" }, inert(rows.ids[row], 200)),
        el("span", { class: "tj-num" }, calls === null || calls === undefined ? "calls unknown" : count(calls, "call")),
        el("span", { class: "tj-marks" }, ...marks.map((mark) => el("span", { class: "tj-mark" }, mark))),
        el("span", { class: "tj-num" }, seconds(rows.seconds[row])),
      );
      option.style.top = `${place * ROW}px`;
      option.addEventListener("click", () => {
        this.active = place;
        this.onChoose(row);
      });
      return option;
    }
  }

  Object.assign(parts, { badge, outcomeOf, marksOf, placesOf, flipOf, matching, tally, RowList, WORDS });
})();
