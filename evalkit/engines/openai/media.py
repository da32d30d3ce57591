"""Images by reference: what a server holds already is named, not sent again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any

from evalkit.engines.openai.chat import by_data
from evalkit.engines.openai.files import SharedFolders
from evalkit.images import ImageFile

_MOST_IDS = 2**16
_TRIAL = 16


class Media:
    """What one server is known to hold, and in which ways it takes images.

    Ids are the SHA-256 of the images' bytes. A server may drop an image at any time: it then refuses the
    request, which is sent again with the data. Where that is the rule (several processes behind one URL,
    each with a cache of its own), ids are given up.

    Attributes:
        by_id: it keeps images under ids that a request gives them (`uuid`, as vLLM does).
        files: folders whose images it reads itself; None where it takes no `file://`.
        hits: references that it knew.
        misses: references that it did not know.
    """

    def __init__(self) -> None:
        self.by_id = False
        self.files: SharedFolders | None = None
        self.hits = 0
        self.misses = 0
        self._held: OrderedDict[str, None] = OrderedDict()

    @property
    def plain(self) -> bool:
        """Whether every image goes as data."""
        return not self.by_id and self.files is None

    @property
    def kind(self) -> str:
        """What a run records: "data", "id", "file" or "id+file"."""
        ways = (["id"] if self.by_id else []) + (["file"] if self.files is not None else [])
        return "+".join(ways) or "data"

    def needs_data(self, image: ImageFile) -> bool:
        """Whether the image's bytes have to be at hand for the next request with it."""
        if self.plain or (header := image.known) is None:
            return True
        if self.by_id and header.sha256 in self._held:
            return False
        return self.files is None or self.files.url(image) is None

    def forget(self, ids: Collection[str] | None = None) -> None:
        """These images, or all, are not there any more."""
        if ids is None:
            self._held.clear()
            return
        for id in ids:
            self._held.pop(id, None)

    def keep(self, ids: Collection[str]) -> None:
        """The server has answered a request with these images: it holds them."""
        for id in ids:
            self._held[id] = None
            self._held.move_to_end(id)
        while len(self._held) > _MOST_IDS:
            self._held.popitem(last=False)

    def holds(self, id: str) -> bool:
        """Whether the server should have this image."""
        return id in self._held

    def missed(self, count: int) -> None:
        """The server did not know `count` references."""
        self.misses += count
        if self.misses >= _TRIAL and self.misses > self.hits:
            self.by_id = False
            self.files = None
            self._held.clear()


class Sending:
    """How the images of one try go out.

    Args:
        media: what the server is known to hold.
        lost: images that the server did not know by reference when the request was tried with them; now
            the data of every image goes out.

    Attributes:
        borrowed: ids of the images that went without their data.
    """

    def __init__(self, media: Media, lost: int = 0) -> None:
        self._media = media
        self._lost = lost
        self._ids: list[str] = []
        self.borrowed: list[str] = []

    def part(self, image: ImageFile, url: str) -> dict[str, Any]:
        """The image's content part; `url` stands for its data."""
        media = self._media
        if media.plain:
            return by_data(image, url)
        id = image.header.sha256
        if media.by_id:
            self._ids.append(id)
            if not self._lost and media.holds(id):
                self.borrowed.append(id)
                return {"type": "image_url", "image_url": None, "uuid": id}
        if media.files is not None and not self._lost and (file := media.files.url(image)) is not None:
            self.borrowed.append(id)
            url = file
        part = by_data(image, url)
        if media.by_id:
            part["uuid"] = id
        return part

    def taken(self) -> None:
        """The server took the request: it has all its images now."""
        self._media.keep(self._ids)

    def in_full(self) -> Sending:
        """The next try of a request that was refused, perhaps for what was only named."""
        self._media.forget(self.borrowed)
        return Sending(self._media, len(self.borrowed))

    def settle(self) -> None:
        """The request was answered: count what the server knew, or what it turned out not to know."""
        self._media.hits += len(self.borrowed)
        if self._lost:
            self._media.missed(self._lost)
