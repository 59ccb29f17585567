"""Everything that can be set, with its default; built once by the command line and handed down.

Sources, strongest first: the command line's ``--state``, environment variables (``SECOPS_WEB__PORT=9443``), the file
``secops.toml`` in the state folder (or the one named by ``--config``), the defaults below. Unknown keys are refused.
``docs/settings.md`` lists them; a test holds the two together.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from secops.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

ROOT_TENANT = "city"
CONFIG_NAME = "secops.toml"
ROLES = ("web", "ingest", "index", "detect", "jobs")

Port = int


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Web(Section):
    """Console, API, single sign-on."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(8443, ge=0, le=65535, description="console, API and single sign-on (HTTPS)")
    certificate_port: Port = Field(8444, ge=0, le=65535, description="login with a client certificate (mutual TLS)")
    pki_port: Port = Field(
        8447, ge=0, le=65535, description="CRL, OCSP and CA certificates over plain HTTP (RFC 5280, section 8)"
    )
    public_host: str = Field("localhost", description="host name in links, certificates and the OIDC issuer")
    dns_names: tuple[str, ...] = Field(("localhost",), description="names in the server certificate")
    ip_addresses: tuple[str, ...] = Field(("127.0.0.1", "::1"), description="addresses in the server certificate")
    certificate_file: Path | None = Field(
        None, description="own server certificate chain (PEM); else the built-in CA's"
    )
    key_file: Path | None = Field(None, description="its private key (PEM)")
    max_body_bytes: int = Field(16 * 2**20, gt=0, description="largest request body")


class Kafka(Section):
    """Where the event log lies when its engine is Kafka."""

    bootstrap: str = Field("", description="brokers, separated by commas, e.g. kafka1.example:9093")
    topic: str = Field(
        "secops-events",
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,149}$",
        description="topic of events; beside it `<topic>.positions`; several installations may share a cluster",
    )
    writer: str = Field(
        "",
        pattern=r"^[a-zA-Z0-9._-]{0,100}$",
        description="name of this machine among those that write; must stay the same and be no other's; empty: its host name",
    )
    replication: int = Field(
        3, ge=1, le=9, description="copies of each partition of topics made here; 1 on a single node"
    )
    retention_days: int = Field(
        200, ge=184, description="how long topics made here keep events; the law asks for six months"
    )
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        "plaintext", description="how brokers are talked to; plaintext only on a network of one's own"
    )
    ca_file: Path | None = Field(None, description="CA of the brokers' certificates (PEM); else the system's")
    certificate_file: Path | None = Field(None, description="own certificate for mutual TLS (PEM)")
    key_file: Path | None = Field(None, description="its private key (PEM)")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="how the password is proven"
    )
    sasl_username: str = Field("", description="account at the brokers")
    sasl_password_file: Path | None = Field(None, description="file with its password, readable by the service alone")
    sasl_password: SecretStr = Field(
        SecretStr(""), description="the password itself; meant for SECOPS_LOG__KAFKA__SASL_PASSWORD in the environment"
    )


class Log(Section):
    """The event log."""

    engine: Literal["files", "kafka"] = Field(
        "files", description="files: in the state folder; kafka: a cluster, for more machines"
    )
    kafka: Kafka = Kafka()
    partitions: int = Field(4, ge=1, le=256, description="partitions; fixed once events are stored")
    segment_bytes: int = Field(64 * 2**20, ge=2**16, description="a segment is sealed at this size")
    segment_hours: float = Field(24.0, gt=0, description="a segment is sealed at this age, however small it is")
    retention_days: int = Field(
        184,
        ge=184,
        le=36_500,
        description="how long events are kept; the law's minimum is six months",
    )
    reserve_bytes: int = Field(256 * 2**20, ge=0, description="below this much free disk nothing is acknowledged")


class Index(Section):
    """The search index."""

    engine: Literal["sqlite", "elasticsearch"] = Field(
        "sqlite", description="sqlite: files in the state folder; elasticsearch: a cluster, for more machines"
    )
    url: str = Field("", description="the cluster's nodes, separated by commas, e.g. https://es1.example:9200")
    ca_file: Path | None = Field(None, description="CA of the nodes' certificates (PEM); else the system's")
    credentials_file: Path | None = Field(
        None, description="file with one line, `user:password` or `ApiKey <base64>`, readable by the service alone"
    )
    credentials: SecretStr = Field(
        SecretStr(""), description="the same line itself; meant for SECOPS_INDEX__CREDENTIALS in the environment"
    )
    name: str = Field(
        "secops-events",
        pattern=r"^[a-z0-9][a-z0-9-]{0,79}$",
        description="beginning of the data stream's name; several installations may share a cluster",
    )
    shards: int = Field(1, ge=1, le=64, description="shards of each index of the data stream")
    replicas: int = Field(1, ge=0, le=8, description="copies of each shard; 0 on a single node")
    rollover_size: str = Field(
        "30gb", pattern=r"^[1-9]\d{0,8}(mb|gb)$", description="a new index is begun when a shard is this large"
    )
    rollover_age: str = Field("30d", pattern=r"^[1-9]\d{0,4}[hd]$", description="or when the index is this old")


class Ingest(Section):
    """Collectors and their batches."""

    batch_events: int = Field(2000, ge=1, description="most events in one durable write")
    queue_events: int = Field(50_000, ge=1, description="events waiting before their senders are slowed")
    queue_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        description="memory for waiting datagrams (200 bytes each and their text) before further ones are counted as lost: "
        "the default keeps 850,000 lines of 120 bytes, and ten seconds at 100,000 a second",
    )
    events_per_second: int = Field(
        0, ge=0, description="quota of every tenant that has none of its own (`secops source quota`); 0: no bound"
    )
    bytes_per_day: int = Field(0, ge=0, description="likewise; beyond it a tenant goes on at a tenth of its rate")
    collectors: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="collectors by name, each with `kind` and that kind's own settings; they stand beside the defaults",
    )
    pull_endpoints: tuple[str, ...] = Field(
        (),
        description="hosts (with `:port` where it is not 443) of own clouds that pulls may ask beside the public clouds",
    )
    timezone: str = Field(
        "", description="zone of times that name none (BSD syslog, log files); empty: this machine's own"
    )
    defaults: bool = Field(True, description="syslog on loopback, HTTP push, this machine's journal and log files")
    syslog_port: Port = Field(
        5514, ge=0, le=65535, description="UDP and TCP port of the default syslog collector (loopback)"
    )
    push_port: Port = Field(8446, ge=0, le=65535, description="port of the default HTTP push collector (loopback)")

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name or "Asia/Shanghai")
        except (ValueError, OSError, KeyError) as error:  # KeyError: ZoneInfoNotFoundError
            raise ValueError(f"unknown time zone {name!r} / 未知的时区，例如 Asia/Shanghai") from error
        return name

    def zone(self, now: datetime) -> tzinfo:
        """The zone in which times that name none are read."""
        own = now.astimezone().tzinfo
        return ZoneInfo(self.timezone) if self.timezone or own is None else own


class Uploads(Section):
    """Files that people bring."""

    max_file_bytes: int = Field(2 * 2**30, ge=1024, description="largest uploaded file, as sent")
    max_unpacked_bytes: int = Field(32 * 2**30, ge=1024, description="most that a gzip or zip file may unpack to")
    max_ratio: int = Field(
        200, ge=1, le=1032, description="most times its size that a gzip or zip file may unpack to; 64 MiB are free"
    )
    disk_bytes: int = Field(
        10 * 2**30,
        ge=1024,
        description="room in the state folder for files that wait to be read; half of it for one organisation",
    )
    at_once: int = Field(2, ge=1, le=32, description="tenants whose files are read at the same time")
    reader_memory_bytes: int = Field(
        1 * 2**30, ge=256 * 2**20, description="memory of the process that reads a file; one that needs more is refused"
    )


class Detect(Section):
    """Rules and matching."""

    rules: tuple[Path, ...] = Field((), description="rule folders beside the product's own")
    batch_events: int = Field(5000, ge=1, description="events read and matched at once")
    reload_seconds: float = Field(
        5.0, gt=0, description="how often rules, switches and exceptions are looked at for changes"
    )
    compile_seconds: float = Field(
        300.0,
        gt=0,
        description="a changed rule set that takes longer to compile is not used; the last one keeps running",
    )
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="matcher processes; 1: the detect role matches by itself; more: up to the spare cores",
    )
    lag_seconds: float = Field(
        60.0, gt=0, description="an alert is raised when the oldest unmatched event has waited this long"
    )
    placeholders: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="values of `%name%` in rules with the modifier `expand`, by name"
    )


class Alerts(Section):
    """Alerts."""

    storm_per_hour: int = Field(
        100,
        ge=0,
        description="alerts of one rule and tenant in an hour, beyond which all further ones join one storm alert; 0: never",
    )
    inhibition_file: Path | None = Field(
        None, description="own inhibition rules, in place of rules/alert/inhibition.yaml"
    )
    severity_file: Path | None = Field(
        None, description="own weights of assets and tenants, in place of rules/alert/severity.yaml"
    )


class Demo(Section):
    """The demonstration relying party that `make run` starts."""

    enabled: bool = Field(True, description="start it")
    host: str = Field("127.0.0.1", description="another host name than the console's, so that cookies stay apart")
    port: Port = Field(8445, ge=0, le=65535, description="its HTTPS port")


class Metrics(Section):
    """Prometheus exposition of all roles."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(9464, ge=0, le=65535, description="plain HTTP, /metrics; 0 switches it off")


class Probes(Section):
    """Probes of the service itself."""

    interval_seconds: float = Field(60.0, ge=1, description="between two rounds")


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix="SECOPS_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    state: Path = Field(Path("var"), description="folder of everything the service keeps")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in the state folder")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="of the processes' own logs")
    web: Web = Web()
    log: Log = Log()
    index: Index = Index()
    ingest: Ingest = Ingest()
    uploads: Uploads = Uploads()
    detect: Detect = Detect()
    alerts: Alerts = Alerts()
    demo: Demo = Demo()
    metrics: Metrics = Metrics()
    probes: Probes = Probes()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic passes it by name; no .env files here
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the TOML file named by ``model_config``."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))

    @property
    def url(self) -> str:
        """The state database's URL."""
        return self.database_url or f"sqlite:///{(self.state / 'state.db').resolve()}"

    @property
    def issuer(self) -> str:
        """The OIDC issuer and the console's own origin."""
        return f"https://{self.web.public_host}:{self.web.port}"

    @property
    def certificate_origin(self) -> str:
        """The origin of the certificate login."""
        return f"https://{self.web.public_host}:{self.web.certificate_port}"

    @property
    def demo_url(self) -> str:
        """The demonstration system's origin."""
        return f"https://{self.demo.host}:{self.demo.port}"


def load(state: Path | None = None, config: Path | None = None) -> Settings:
    """Read the settings.

    Raises:
        UserError: the file cannot be read, is not TOML, or holds an unknown or wrong value; the error names each.
    """
    base = state or Path(os.environ.get("SECOPS_STATE", "var"))
    path = config or base / CONFIG_NAME
    if config is not None and not config.is_file():
        raise UserError(
            "config.missing",
            f"找不到配置文件 {config}；请检查 --config。",
            f"No settings file {config}; check --config.",
        )

    class Configured(Settings):
        model_config = SettingsConfigDict(**{**Settings.model_config, "toml_file": path})

    arguments: dict[str, Any] = {"state": base} if state is not None else {}
    try:
        return Configured(**arguments)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors(include_url=False)]
        text = "; ".join(lines)
        raise UserError("config.invalid", f"配置 {path} 有误：{text}", f"Settings {path} are wrong: {text}") from None
    except ValueError as error:  # tomllib's decode error
        raise UserError(
            "config.toml", f"配置文件 {path} 不是有效的 TOML：{error}", f"{path} is not valid TOML: {error}"
        ) from None
