"""What a new run and its baseline may not differ in, unless the user says so."""

from __future__ import annotations

from collections.abc import Collection

from evalkit.analysis.pairing import ALLOWED as PAIRING
from evalkit.analysis.pairing import Overlap, Pair, pair
from evalkit.analysis.side import Side
from evalkit.errors import EvalkitError, one_line, unknown
from evalkit.runs.remote.address import shown

ALLOWED = (*PAIRING, "scorers", "judge", "options", "prompt", "images")
"""Words for `--allow-different`."""


def paired(old: Side, new: Side, allowed: Collection[str]) -> tuple[list[Pair], Overlap, tuple[str, ...]]:
    """Pair a new run with its baseline; pairs, what is in both, and what the user has allowed to differ.

    Raises:
        EvalkitError: they differ in what was asked or in how it was scored; a line for each.
    """
    for word in allowed:
        if word not in ALLOWED:
            raise unknown("difference to allow", word, ALLOWED, "evalkit gate --help")
    pairs, overlap = pair(old, new, allowed)
    found = _problems(old, new, overlap)
    refused = [(key, text) for key, text in found if key not in allowed]
    if refused:
        names = f"{new.label} ({shown(new.folder)}) cannot be compared with {old.label} ({shown(old.folder)})"
        raise EvalkitError(
            "\n".join(f"{names}: {text}; --allow-different {key} compares them all the same" for key, text in refused)
        )
    return pairs, overlap, (*overlap.overridden, *(f"{key}: {text}" for key, text in found))


def _problems(old: Side, new: Side, overlap: Overlap) -> list[tuple[str, str]]:
    found = []
    if old.scorers and new.scorers and old.scorers != new.scorers:
        found.append(("scorers", f"they were scored by different rules ({_list(new.scorers)}; {_list(old.scorers)})"))
    judges = [side.info.config.get("judge") for side in (new, old)]
    if judges[0] != judges[1]:
        found.append(("judge", f"the judges differ ({one_line(judges[0], 120)}; {one_line(judges[1], 120)})"))
    options = [side.task.get("options") or {} for side in (new, old)]
    if options[0] != options[1] and isinstance(options[0], dict) and isinstance(options[1], dict):
        keys = sorted(key for key in {*options[0], *options[1]} if options[0].get(key) != options[1].get(key))
        each = (" ".join(one_line(part, 40) for part in (key, *(o.get(key) for o in options))) for key in keys)
        found.append(("options", f"the task's options differ ({'; '.join(each)})"))
    systems = [(side.info.config.get("protocol") or {}).get("system_prompt") for side in (new, old)]
    if overlap.other_prompts:
        what = f"the first prompt has another text on {overlap.other_prompts} of {overlap.both} samples"
        found.append(("prompt", what))
    elif None not in systems and systems[0] != systems[1]:
        found.append(("prompt", "the system prompts differ"))
    if overlap.other_images:
        found.append(("images", f"the images have other bytes on {overlap.other_images} of {overlap.both} samples"))
    return found


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(one_line(name, 60) for name in names)
