"""Where the clients log to. Beside the headline's journey."""

from __future__ import annotations

import logging

LOG = logging.getLogger(__name__)
CLIENT_LOG = logging.getLogger("librdkafka")
# One line for each of many attempts to connect: `Connection.on_error` hears of them too, and says it once.
CLIENT_LOG.addFilter(
    lambda line: not line.getMessage().startswith(("FAIL ", "ERROR ")) or LOG.isEnabledFor(logging.DEBUG)
)
