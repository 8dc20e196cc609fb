"""What can be set, with its default. Read once, at a door, from a mapping; nothing below reads the environment."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from imagery.errors import SettingsInvalid

PREFIX = "IMAGERY_"
EARTH_SEARCH_URL = "https://earth-search.aws.element84.com/v1"
PLANET_URL = "https://api.planet.com"
EARTH_SEARCH_TOPIC = "arn:aws:sns:us-west-2:608149789419:cirrus-es-prod-publish"


class Settings(BaseSettings):
    """One field an environment variable: `data_dir` is IMAGERY_DATA_DIR. Spans are ISO 8601 or seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    data_dir: Path = Path("imagery-data")
    """Everything the service remembers: databases, and objects unless `objects_url` says otherwise."""

    objects_url: str | None = None
    """Where clips go: `file:///path` or `s3://bucket/prefix`. None: the folder `objects` of `data_dir`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080

    public_url: str | None = None
    """The address callers use, when a proxy stands in front."""

    stac_providers: dict[str, str] = {"earth-search": EARTH_SEARCH_URL}
    """Name → root URL of a STAC API whose assets are readable COGs. JSON in the environment."""

    public_catalog: bool = False
    """Whether the STAC API may be read without a key. Writing always needs one."""

    concurrency: Annotated[int, Field(ge=1, le=1000)] = 8
    """Executions at once; one that waits for a callback does not count."""

    max_executions_per_minute: Annotated[int, Field(ge=1)] = 6000
    """Started in any span of a minute, over restarts too."""

    max_bytes_per_day: Annotated[int, Field(ge=1)] = 1_000_000_000_000
    """Read from providers and written to the object store in a day of UTC; an estimate."""

    max_subscriptions_per_owner: Annotated[int, Field(ge=1)] = 100_000
    """Active and paused ones."""

    metrics_public: bool = False
    """Whether /metrics may be read without an operator's key."""

    update_check_every: timedelta = timedelta(minutes=5)
    delete_check_every: timedelta = timedelta(hours=12)

    feed_overlap: timedelta = timedelta(hours=1)
    """Read again with every check: how long after its `updated` an item may become visible at a provider."""

    reconcile_every: timedelta = timedelta(hours=24)
    reconcile_window: timedelta = timedelta(days=30)
    """How far back, by acquisition, the reconciliation compares what providers have with the ledger."""

    look_window: Annotated[timedelta, Field(ge=timedelta(days=1))] = timedelta(days=90)
    """Longest span searched in one piece when a subscription looks back; the newest comes first."""

    subscriptions_per_request: Annotated[int, Field(ge=1, le=200)] = 200
    """How many fields of one item are cut in one execution."""

    retention: timedelta = timedelta(days=182)
    """How long a deleted or ended subscription and its data are kept."""

    superseded_retention: Annotated[timedelta, Field(ge=timedelta())] = timedelta(days=30)
    """How long an item whose source was processed anew stays reachable beside its successor."""

    late_arrivals: timedelta = timedelta(days=3)
    """How long after its end a subscription still takes imagery acquired before it."""

    max_aoi_km2: Annotated[float, Field(gt=0)] = 2_500.0
    max_aoi_vertices: Annotated[int, Field(ge=4)] = 10_000
    max_clip_pixels: Annotated[int, Field(ge=1)] = 50_000_000
    """Pixels of one clipped asset: 50 million is 5 000 km² at 10 m (all cells of the AOI's box, all bands)."""

    webhook_allow_http: bool = False
    """Whether webhooks may be sent without TLS."""

    webhook_allow_private: bool = False
    """Whether webhooks may lead to this machine and to private networks. For trying things out, and for intranets."""

    event_retention: Annotated[timedelta, Field(ge=timedelta(days=2))] = timedelta(days=30)
    """How long events and their delivery logs are kept; longer than the day that delivering them may take."""

    requests_per_second: Annotated[float, Field(gt=0)] = 100.0
    """A key's sustained rate at the HTTP API; bursts of five seconds' worth pass."""

    replays_per_minute: Annotated[int, Field(ge=1)] = 600
    """Failures an owner may send again."""

    sns_topics: dict[str, tuple[str, ...]] = {"earth-search": (EARTH_SEARCH_TOPIC,)}
    """Provider → ARNs of the Amazon SNS topics it pushes on; others are refused. JSON in the environment."""

    planet_api_key: str | None = Field(default=None, repr=False)
    """None: no provider `planet`."""

    planet_url: str = PLANET_URL
    """Root of Planet's API."""

    planet_webhook_user: str | None = None
    planet_webhook_password: str | None = Field(default=None, repr=False)
    """What Planet is to send with its webhooks, over and above the key in each URL. None: nothing."""

    planet_max_hectares_per_day: Annotated[float, Field(gt=0)] | None = None
    """Ordered in a day of UTC, areas times items. None: no limit."""

    planet_max_cost_per_day: Annotated[float, Field(gt=0)] | None = None
    """In the currency of `planet_price_per_hectare`. None: no limit."""

    planet_price_per_hectare: Annotated[float, Field(ge=0)] = 0.0
    planet_harmonise: str = "Sentinel-2"
    """Sensor whose colours surface reflectance is fitted to by Planet; `off`: as it comes."""

    planet_reorder_finalized: bool = False
    """Whether what was bought while Planet called it `standard` is bought again when it is `finalized`."""

    provider_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    log_level: str = "INFO"

    @model_validator(mode="after")
    def _planet_belongs_together(self) -> Settings:
        if "planet" in self.stac_providers and self.planet_api_key is not None:
            raise ValueError(
                "the name `planet` is taken by planet_api_key; call the STAC API in stac_providers otherwise"
            )
        if (self.planet_webhook_user is None) is not (self.planet_webhook_password is None):
            raise ValueError("planet_webhook_user and planet_webhook_password go together; set both, or neither")
        if ":" in (self.planet_webhook_user or ""):
            raise ValueError("planet_webhook_user cannot hold a colon; choose another name")
        if self.planet_max_cost_per_day is not None and self.planet_price_per_hectare == 0:
            raise ValueError("planet_max_cost_per_day needs planet_price_per_hectare; set it as well")
        return self

    @classmethod
    def from_env(cls, env: Mapping[str, str], **overrides: Any) -> Settings:
        """Read `env` (as `os.environ`); `overrides` win. Raises SettingsInvalid naming the variable."""
        known = {PREFIX + name.upper(): name for name in cls.model_fields}
        strangers = sorted(key for key in env if key.startswith(PREFIX) and key not in known and key not in _OF_CLIENTS)
        if strangers:
            raise SettingsInvalid(
                f"unknown setting {strangers[0]}; known are {', '.join(sorted(known))}", field=strangers[0]
            )
        # A variable set to nothing is one that a script forgot to fill: it must not become the current folder.
        values = {name: env[key] for key, name in known.items() if env.get(key)}
        try:
            return cls(**{**_parsed(values), **{k: v for k, v in overrides.items() if v is not None}})
        except ValidationError as error:
            first = error.errors()[0]
            name = PREFIX + str(first["loc"][0]).upper() if first["loc"] else _named_in(first["msg"])
            hint = "; write seconds (300) or ISO 8601 (PT5M)" if first["type"].startswith("time_delta") else ""
            # The value is left out on purpose: it may be a secret.
            raise SettingsInvalid(f"{name}: {first['msg']}{hint}", field=name) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `from_env` passes: no hidden reading of the process environment."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def _named_in(message: str) -> str:
    """The variable of the first field that a sentence names."""
    found = re.search(r"\bplanet_\w+", message)
    return PREFIX + found[0].upper() if found else PREFIX


_OF_CLIENTS = {"IMAGERY_URL", "IMAGERY_API_KEY"}
"""Read by notebooks and scripts that call the API, not by the service."""


_SPANS = ("feed_overlap", "reconcile_every", "reconcile_window", "look_window", "superseded_retention")


def _parsed(values: dict[str, str]) -> dict[str, Any]:
    """JSON where the field is a mapping, seconds where a span is a bare number."""
    out: dict[str, Any] = dict(values)
    for name, form in (("stac_providers", '{"name": "https://…"}'), ("sns_topics", '{"name": ["arn:aws:sns:…"]}')):
        if name not in out:
            continue
        try:
            out[name] = json.loads(values[name])
        except json.JSONDecodeError as error:
            variable = PREFIX + name.upper()
            raise SettingsInvalid(f"{variable} is not JSON ({error}); write it as {form}", field=variable) from None
    for name in ("update_check_every", "delete_check_every", *_SPANS, "retention", "late_arrivals", "event_retention"):
        if name in out and values[name].replace(".", "", 1).isdigit():
            out[name] = timedelta(seconds=float(values[name]))
    return out
