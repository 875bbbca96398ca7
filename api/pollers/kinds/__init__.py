"""What each kind of target says, as records."""

from __future__ import annotations

from collections.abc import Mapping

from api.pollers.kinds import litellm, model_server, status_page
from api.pollers.poll import Read
from models import PollerKind

READERS: Mapping[PollerKind, Read] = {
    PollerKind.STATUS_PAGE: status_page.read,
    PollerKind.MODEL_SERVER: model_server.read,
    PollerKind.LITELLM: litellm.read,
}
"""How polls of each kind are read."""
