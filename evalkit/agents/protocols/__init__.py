"""Protocols: how a model family is asked, how it calls tools, how it is shown results.

One file a family; `PROTOCOLS` is the list, by the name that model cards and `--protocol` use.
"""

from __future__ import annotations

from collections.abc import Collection

from evalkit.agents.protocols.after import After, Step, TurnEnd
from evalkit.agents.protocols.base import Protocol, Reply
from evalkit.agents.protocols.deepeyes import DeepEyes
from evalkit.agents.protocols.deepeyes_v2 import DeepEyesV2, DeepEyesV2Search
from evalkit.agents.protocols.direct import Direct
from evalkit.agents.protocols.direct_cot import DirectCot
from evalkit.agents.protocols.metis import Metis
from evalkit.agents.protocols.mini_o3 import MiniO3
from evalkit.agents.protocols.pixel_reasoner import PixelReasoner
from evalkit.agents.protocols.qwen_tools import QwenTools
from evalkit.agents.protocols.sensenova_mars import SenseNovaMars
from evalkit.agents.protocols.skywork_r1v4 import SkyworkR1V4
from evalkit.agents.protocols.thyme import Thyme
from evalkit.errors import unknown

PROTOCOLS: dict[str, type[Protocol]] = {
    kind.name: kind
    for kind in (
        Metis,
        DeepEyes,
        DeepEyesV2,
        DeepEyesV2Search,
        Thyme,
        MiniO3,
        PixelReasoner,
        SenseNovaMars,
        SkyworkR1V4,
        QwenTools,
        Direct,
        DirectCot,
    )
}


def protocol(name: str, quirks: Collection[str] = ()) -> Protocol:
    """The protocol called `name`, following those `quirks` of its authors' code.

    Raises:
        EvalkitError: there is none, or it has no such quirk; the message has the nearest names.
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS, "evalkit models")
    return PROTOCOLS[name](quirks)


__all__ = [
    "PROTOCOLS",
    "After",
    "DeepEyes",
    "DeepEyesV2",
    "DeepEyesV2Search",
    "Direct",
    "DirectCot",
    "Metis",
    "MiniO3",
    "PixelReasoner",
    "Protocol",
    "QwenTools",
    "Reply",
    "SenseNovaMars",
    "SkyworkR1V4",
    "Step",
    "Thyme",
    "TurnEnd",
    "protocol",
]
