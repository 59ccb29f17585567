from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field


class IdentitySettings(BaseModel):
    """What an operator may set about logins; durations are ISO 8601 or seconds. Defaults are safe for production.

    argon2id defaults are OWASP's second choice (m=19 MiB, t=2, p=1); raising them re-hashes each password at its
    owner's next login.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    city_name_zh: str = Field(default="市政府", min_length=1, max_length=100)
    city_name_en: str = Field(default="City Government", min_length=1, max_length=100)

    argon2_memory_kib: int = Field(default=19_456, ge=8, le=4_194_304)
    argon2_time_cost: int = Field(default=2, ge=1, le=100)
    argon2_parallelism: int = Field(default=1, ge=1, le=64)
    argon2_concurrent: int = Field(default=4, ge=1, le=256)  # hashes computed at once in one process; others wait

    password_minimum: int = Field(default=12, ge=8, le=64)  # characters
    password_maximum: int = Field(default=256, ge=64, le=1024)  # characters
    password_strength: int = Field(default=8, ge=1, le=32)  # characters left when words and walks count as one each

    totp_drift_steps: int = Field(default=1, ge=0, le=3)  # steps of 30 s accepted on either side

    session_idle: timedelta = timedelta(minutes=30)
    session_absolute: timedelta = timedelta(hours=10)
    session_touch: timedelta = timedelta(seconds=60)  # activity is written at most this often
    session_history: timedelta = timedelta(days=180)  # ended sessions are kept this long, as the law asks of logs
    invitation_lifetime: timedelta = timedelta(hours=72)

    known_place_lifetime: timedelta = timedelta(days=180)  # a network or device is forgotten when unused this long
    known_places: int = Field(default=50, ge=1, le=1000)  # networks and devices remembered for a person
    throttle_pair_free: int = Field(default=5, ge=1)  # failures of one account from one network before delays begin
    throttle_device_free: int = Field(default=5, ge=1)  # ... of one account from one known device
    throttle_account_free: int = Field(default=20, ge=1)  # ... of one account from all unknown networks together
    throttle_network_free: int = Field(default=50, ge=1)  # ... of one network over all accounts
    throttle_leak: timedelta = timedelta(minutes=30)  # one failure is forgotten each so long (pair, device, account)
    throttle_network_leak: timedelta = timedelta(seconds=30)  # ... of a network: whole offices share one address
    throttle_delay_maximum: timedelta = timedelta(minutes=15)
    ipv4_prefix: int = Field(default=24, ge=8, le=32)  # what counts as one source network
    ipv6_prefix: int = Field(default=56, ge=16, le=128)
