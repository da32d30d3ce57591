"""Prompts with images that can be used at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.curation.images import Flaw, Look, Progress, Viewer, quiet
from evalkit.curation.prompts import Prompt
from evalkit.curation.source import Sifted
from evalkit.errors import DataError

NAME = "usable images"
EXPLAINED = (
    "Every image is read, verified and decoded to its last pixel; a prompt is dropped when one of its images is "
    "truncated, cannot be decoded, or claims so many pixels that decoding would exhaust the memory. A file that is "
    "gone, or is not the one that was recorded, is an error."
)


def look_at_all(prompts: Sequence[Prompt], viewer: Viewer, progress: Progress = quiet) -> dict[str, Look]:
    """The looks of all images, by the sha256 that the runs recorded.

    Args:
        prompts: of the runs.
        viewer: looks at them.
        progress: see `Progress`.

    Raises:
        DataError: there are images, and none of their files.
    """
    images = {image.header.sha256: image for prompt in prompts for image in prompt.sample.images}
    done = progress("looking at images", len(images))
    looks = dict(zip(images, viewer.look(images.values(), done), strict=True))
    gone = [look for look in looks.values() if look.flaw is Flaw.MISSING]
    if looks and len(gone) == len(looks):
        raise DataError(
            f"none of the {len(looks)} images of the runs is there ({gone[0].detail}): "
            "put the runs' images/ folders back beside their samples.jsonl"
        )
    return looks


def usable(prompts: Sequence[Prompt], looks: Mapping[str, Look]) -> Sifted[Prompt]:
    """Drop prompts with an image that cannot be used; see `Flaw`."""
    sifted = Sifted[Prompt]([], [])
    for prompt in prompts:
        flawed = next((look for look in looks_of(prompt, looks) if look.flaw is not None), None)
        if flawed is None or flawed.flaw is None:
            sifted.kept.append(prompt)
        else:
            gone = flawed.flaw in (Flaw.MISSING, Flaw.CHANGED)
            sifted.out.append(prompt.fate(NAME, flawed.flaw.value, flawed.detail, error=gone))
    return sifted


def looks_of(prompt: Prompt, looks: Mapping[str, Look]) -> list[Look]:
    """The looks of a prompt's images, in order."""
    return [looks[image.header.sha256] for image in prompt.sample.images]
