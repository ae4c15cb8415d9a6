"""For plugins: `from swiftkit.formats import pair`; the formats themselves are in `swiftkit.data.formats`."""

from swiftkit.data.formats import pair as pair
