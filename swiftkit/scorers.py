"""`Score` for plugin authors; the protocol is in `swiftkit.scoring.scorers`."""

from __future__ import annotations

from swiftkit.scoring.scorers import Score as Score
