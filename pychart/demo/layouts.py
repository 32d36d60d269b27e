"""The layouts that lines can be written in, and which line gets which."""

from dataclasses import dataclass

import numpy as np

from pychart.demo.arrays import Ints

# in the order in which a site upgraded its scheduler would have met them; a JSON object has none
JSON_90, JSON_91 = 90, 91
ERAS = (43, 44, 45, 46, 52, 53, 54, 55, 74, JSON_90, JSON_91)
EXACT_TIMES = (
    52  # from as many fields on, times are in ms and a colon within a field is the byte FF
)
DEFAULT = "45"
NAMED = {
    **{str(fields): (fields,) for fields in ERAS if fields < JSON_90},
    "json": (JSON_90, JSON_91),
    "mixed": ERAS,
    "shuffled": ERAS,
}
VERSIONS = {
    **{43: "6.0u8", 44: "6.1_AR_snapshot3", 45: "8.1.9", 46: "8.1.7", 52: "8.2.1", 53: "8.3.1p9"},
    **{54: "8.4.4", 55: "8.6.7", 74: "2022.1.0"},
}


@dataclass(frozen=True)
class Layouts:
    """Chooses the layout of each line of a file that spans `begin` to `end` in s since 1970."""

    name: str
    begin: int
    end: int

    @property
    def header(self) -> bytes:
        """The comment that the scheduler begins a new file with; OCS 9 writes none to its JSON."""
        first = NAMED[self.name][0]
        if first == JSON_90:
            return b""
        version = VERSIONS[first].encode()
        return b"# Version: " + version + b"\n# \n# DO NOT MODIFY THIS FILE MANUALLY!\n# \n"

    def choose(self, logged: Ints, rng: np.random.Generator) -> Ints:
        """Layout of each line: by when it was written, or by chance where `shuffled`."""
        kinds = np.array(NAMED[self.name])
        if self.name == "shuffled":
            return kinds[rng.integers(0, len(kinds), len(logged))]
        era = (logged - self.begin) * len(kinds) // max(self.end - self.begin, 1)
        return kinds[np.clip(era, 0, len(kinds) - 1)]
