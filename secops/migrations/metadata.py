"""Every table of the service, whichever package owns it."""

from __future__ import annotations

import secops.alert.tables
import secops.audit
import secops.lease
import secops.outbox
import secops.progress
import secops.rulebook.tables
import secops.searches
import secops.source_health
import secops.source_quotas
import secops.sources
import secops.store.retention_rules
import secops.ticket.tables
import secops.uploads  # noqa: F401 - importing a module registers its tables
from ca.tables import CaBase
from identity.oidc import tables as oidc_tables  # noqa: F401 - likewise
from identity.tables import Base as IdentityBase
from secops.db import Base

METADATAS = (Base.metadata, IdentityBase.metadata, CaBase.metadata)
