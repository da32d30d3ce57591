"use strict";
// The open trajectory: of one run, or of two side by side.
(() => {
  const evalkit = (globalThis.evalkit ??= {});
  const parts = ((evalkit.trajectories ??= {}).parts ??= {});
  const { el, data, inert, linkable, count, badge, outcomeOf, trajectory, question, note } = parts;

  /** In one file a run's trajectories are one part; else each is asked for by itself, as Details that hold it. */
  const inline = () => document.documentElement.dataset.source === "inline";

  /** Which rows of a run have their turns in reach. */
  function inReach(number) {
    return new Set(evalkit.runs[number].details);
  }

  /** A trajectory with its thumbnails, or why there is none. */
  async function detailOf({ number }, row) {
    if (row === undefined || !inReach(number).has(row)) return {};
    const details = await evalkit.load(inline() ? `details/${number}` : `details/${number}/${row}`);
    const detail = details.rows[row];
    if (!detail) return { why: details.unreadable?.[row] };
    const own = details.pictures ?? {};
    const elsewhere = inline() && (detail.images ?? []).some((image) => !Object.hasOwn(own, image.picture));
    // pictures that several runs show stand in a part of their own
    const shared = elsewhere ? await evalkit.load("pictures").catch(() => ({})) : {};
    const picture = (key) => [own, shared].find((some) => Object.hasOwn(some, key))?.[key];
    return { detail, picture };
  }

  class Pane {
    /** `actions`: open(row), close(), side(). */
    constructor(actions) {
      this.actions = actions;
      this.element = el("article", { class: "tj-pane", tabindex: "-1", "aria-label": "Trajectory" });
    }

    empty() {
      this.element.replaceChildren(note("Choose a row to read its trajectory. Press ? for the keys."));
    }

    /** Draws a row of `one`, beside the same sample in `beside`; `still` tells whether that is still wanted. */
    async show({ one, beside, others, found, row }, still) {
      const there = beside?.places.get(linkable(one.rows.ids[row]));
      const [mine, theirs] = await Promise.all([detailOf(one, row), beside ? detailOf(beside, there) : null]);
      if (!still()) return false;
      const body = el("div", { class: beside ? "tj-body tj-two" : "tj-body" });
      if (!beside) body.append(...single(one, mine, row));
      else {
        const [a, b] = [one.rows.questions?.[row], beside.rows.questions?.[there]];
        if (a !== undefined && b !== undefined && a !== b) {
          body.append(note("The two runs were asked different questions under this id."));
        }
        body.append(...two([one, mine, row], [beside, theirs, there]));
      }
      this.element.replaceChildren(this.head({ one, beside, others, found, row }), body);
      this.element.setAttribute("aria-labelledby", "tj-title");
      return true;
    }

    head({ one, beside, others, found, row }) {
      const { actions } = this;
      const place = found.indexOf(row);
      const category = one.rows.categories[row];
      const button = (attributes, words) => el("button", { type: "button", class: "tj-button", ...attributes }, words);
      const step = (by, words) => {
        const target = place < 0 ? undefined : found[place + by];
        const open = () => actions.open(target);
        return button({ disabled: target === undefined, onclick: open }, words);
      };
      const side = { "aria-pressed": String(Boolean(beside)), disabled: !others.length, onclick: actions.side };
      const counted = `${(place + 1).toLocaleString("en")} of ${found.length.toLocaleString("en")}`;
      return el(
        "header",
        { class: "tj-head" },
        button({ class: "tj-button tj-back", onclick: actions.close }, "← List"),
        data("h3", { class: "tj-title", id: "tj-title" }, inert(one.rows.ids[row], 300)),
        category ? data("span", { class: "tj-category" }, inert(category, 80)) : "",
        el("span", { class: "tj-muted" }, place < 0 ? "outside the filters" : counted),
        el(
          "span",
          { class: "tj-steps" },
          step(-1, "↑ Previous (k)"),
          step(1, "↓ Next (j)"),
          button(side, "Side by side (s)"),
        ),
      );
    }
  }

  /** One run: the question and the verdict beside the images, the turns below. */
  function single(one, found, row) {
    if (!found.detail) return [absent(one, found, row)];
    const { verdict, images, course } = trajectory(found.detail, found.picture);
    const asked = question(found.detail, [{ name: "answer", judgement: found.detail.judgement }]);
    return [el("div", { class: "tj-top" }, el("div", { class: "tj-asked" }, asked, verdict), images), course];
  }

  /** Two runs: the question once, and below it a column each. */
  function two(...sides) {
    const known = sides.filter(([, found]) => found.detail);
    const models = new Set(sides.map(([side]) => side.run.model));
    const judgements = known.map(([side, { detail }]) => {
      const name = models.size > 1 ? side.run.model : side.run.run;
      return { name: inert(name, 60), judgement: detail.judgement };
    });
    const columns = el("div", { class: "tj-columns" });
    for (const [side, found, row] of sides) {
      const column = el("div", { class: "tj-run" }, data("h4", { class: "tj-run-name" }, inert(side.run.run)));
      const made = found.detail && trajectory(found.detail, found.picture);
      column.append(...(made ? [made.verdict, made.images, made.course] : [absent(side, found, row)]));
      columns.append(column);
    }
    return known.length ? [question(known[0][1].detail, judgements), columns] : [columns];
  }

  /** What can be said of a row whose turns are not at hand. */
  function absent({ rows, run }, { why }, row) {
    if (row === undefined) return note("This run has no trajectory for this sample.");
    const calls = rows.calls[row];
    const known = calls === null || calls === undefined ? "calls unknown" : count(calls, "call");
    const box = el("div", {}, el("p", { class: "tj-line" }, badge(outcomeOf(rows, row)), ` ${known}`));
    if (why) box.append(data("p", { class: "tj-line tj-bad" }, inert(why, 600)));
    else {
      const words =
        "Its turns are not in this file. evalkit report with --trajectories all puts every trajectory into a folder; " +
        "on the machine that has the run, this prints it:";
      const command = `evalkit show ${quoted(rows.folder || run.run)} ${quoted(rows.ids[row])}`;
      box.append(note(words), data("pre", { class: "tj-code" }, inert(command, 600)));
    }
    return box;
  }

  /** A word as a shell takes it whole: an id may hold anything. */
  function quoted(word) {
    return /^[\w./:@+=,][\w./:@+=,-]*$/.test(word) ? word : `'${String(word).replaceAll("'", "'\\''")}'`;
  }

  Object.assign(parts, { Pane, inReach });
})();
