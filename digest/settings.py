"""Settings of a newsletter, read once, frozen, and safe to print.

``config/digest.toml`` < ``.env`` < environment (``DIGEST_<SECTION>__<KEY>``) < option. The layers are kept
apart until every value is checked, so that each problem names the file and line or the variable it comes
from. An empty variable counts as not set. Only this module imports pydantic-settings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from digest.errors import InputError, Place, Problem, nearest
from digest.sections import (
    AssetsSection,
    Author,
    BouncesSection,
    DeliverySection,
    DkimSection,
    Domain,
    NewsletterSection,
    NotifySection,
    PaceSection,
    PrivacySection,
    ScheduleSection,
    SignupSection,
    SmtpSection,
    UnsubscribeSection,
    WarmUpSection,
    WebSection,
    check_database,
)
from digest.toml import Toml, read_toml

SETTINGS_FILE = "config/digest.toml"
ENV_FILE = ".env"
PREFIX = "DIGEST_"
_SECRETS = (("smtp", "password"), ("bounces", "password"), ("dkim", "key"))

Keys = tuple[str, ...]


class Settings(BaseSettings):
    """All settings, checked. Made by `load_settings`; by itself it reads neither file nor environment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    database: Annotated[str, AfterValidator(check_database)] = "sqlite:///subscribers/digest.db"
    newsletter: NewsletterSection
    unsubscribe: UnsubscribeSection = UnsubscribeSection()
    bounces: BouncesSection = BouncesSection()
    smtp: SmtpSection = SmtpSection()
    relays: dict[str, SmtpSection] = Field(default_factory=dict)
    assets: AssetsSection = AssetsSection()
    delivery: DeliverySection = DeliverySection()
    dkim: DkimSection = DkimSection()
    warm_up: WarmUpSection = WarmUpSection()
    pace: dict[Domain, PaceSection] = Field(default_factory=dict)
    schedule: ScheduleSection = ScheduleSection()
    notify: NotifySection = NotifySection()
    authors: dict[str, Author] = Field(default_factory=dict)
    web: WebSection = WebSection()
    signup: SignupSection = SignupSection()
    privacy: PrivacySection = PrivacySection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what it is given: `load_settings` reads the layers, and knows which value came from where."""
        del settings_cls
        return (init_settings,)

    def secrets(self) -> tuple[str, ...]:
        """The secret values, to keep them out of whatever is printed."""
        relays = (relay.password for relay in self.relays.values())
        values = (self.smtp.password, *relays, self.bounces.password, self.dkim.key)
        return tuple(v.get_secret_value() for v in values if v is not None)

    def without_secrets(self, text: str) -> str:
        """`text` with “…” in the place of each secret value: for what is read by others than its reader."""
        for secret in filter(None, self.secrets()):
            text = text.replace(secret, "…")
        return text


def load_settings(root: Path, overrides: Mapping[str, object] | None = None) -> Settings:
    """The settings of the newsletter in `root`.

    `overrides` come from options: nested mappings, or dotted keys (``{"smtp.port": 2525}``).
    Raises `InputError` with every problem of every layer; no problem shows a secret.
    """
    file = root / SETTINGS_FILE
    if not file.is_file():
        raise InputError(
            Problem(
                Place(SETTINGS_FILE),
                f"there is no newsletter in {root}",
                "make one with: digest init DIR",
                code="no-newsletter",
            )
        )
    layers = (
        _Layer(_nested(overrides or {})),
        _variables_layer(_environment()),
        _variables_layer(_env_file(root / ENV_FILE)),
        _file_layer(read_toml(file, SETTINGS_FILE)),
    )
    problems = [problem for layer in layers for problem in layer.problems]
    values: dict[str, Any] = {}
    for layer in reversed(layers):
        values = _merged(values, layer.values)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        # `from None`: the library's own error holds the values it was given, secrets among them.
        problems += [_translated(e, layers) for e in error.errors(include_url=False)]
    if problems:
        raise InputError(sorted(problems, key=_order)) from None
    return settings


@dataclass(frozen=True, slots=True)
class _Layer:
    """The values of one source, where each stands (`places`), and what is wrong with its names."""

    values: Mapping[str, Any]
    places: Mapping[Keys, Place] = field(default_factory=dict)
    toml: Toml | None = None
    problems: tuple[Problem, ...] = ()

    def holds(self, keys: Keys) -> bool:
        value: Any = self.values
        for key in keys:
            if not isinstance(value, Mapping) or key not in value:
                return False
            value = value[key]
        return True

    def place(self, keys: Keys) -> Place | None:
        if self.toml is not None:
            return self.toml.place(*keys)
        return next((place for known, place in self.places.items() if known[: len(keys)] == keys), None)


@dataclass(frozen=True, slots=True)
class _Variable:
    """One ``DIGEST_…`` variable: its name as written, its value, and where it was set."""

    name: str
    value: str
    place: Place

    @property
    def keys(self) -> Keys:
        return tuple(self.name[len(PREFIX) :].lower().split("__"))


class _VariablesSource(EnvSettingsSource):
    """pydantic-settings' reading of variables, from the given ones rather than from the process."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._variables.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """JSON, where it is: a rate such as ``5/h`` has a type of its own, and is read from text like in the file."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def _environment() -> Iterator[_Variable]:
    for name, value in os.environ.items():
        if name.upper().startswith(PREFIX):
            yield _Variable(name, value, Place(name))


def _env_file(file: Path) -> Iterator[_Variable]:
    """Variables of ``.env``, unexpanded: a ``$`` in a password is a ``$``. Foreign names are left alone."""
    from dotenv.parser import parse_stream

    if not file.is_file():
        return
    with file.open(encoding="utf-8-sig") as stream:
        for binding in parse_stream(stream):
            if binding.key and binding.key.upper().startswith(PREFIX):
                blank = binding.original.string.split(binding.key)[0].count("\n")
                place = Place(ENV_FILE, binding.original.line + blank)
                yield _Variable(binding.key, binding.value or "", place)


def _variables_layer(variables: Iterable[_Variable]) -> _Layer:
    known: dict[str, str] = {}
    places: dict[Keys, Place] = {}
    problems: list[Problem] = []
    for variable in variables:
        if problem := _variable_problem(variable):
            problems.append(problem)
        elif variable.value:
            known[variable.name] = variable.value
            places[variable.keys] = variable.place
    return _Layer(_VariablesSource(known)(), places, problems=tuple(problems))


def _variable_problem(variable: _Variable) -> Problem | None:
    kind = _annotation(variable.keys)
    if kind is None or _is_section(kind):
        names = [PREFIX + "__".join(keys).upper() for keys in _all_keys()]
        return Problem(
            variable.place,
            f"unknown setting {variable.name}",
            nearest(variable.name.upper(), names),
            code="unknown-setting",
        )
    if get_origin(kind) in (dict, tuple) and variable.value:
        shape, opening = ("a JSON object", dict) if get_origin(kind) is dict else ("a JSON list", list)
        try:
            fits = isinstance(json.loads(variable.value), opening)
        except ValueError:
            fits = False
        if not fits:
            return Problem(variable.place, f"{variable.name} is not {shape}", code="invalid-setting")
    return None


def _file_layer(toml: Toml) -> _Layer:
    problems = [
        Problem(
            toml.place(*keys),
            f"{'.'.join(keys)} is a secret and has no place in a file that is shared",
            f"set {PREFIX}{'__'.join(keys).upper()} in the environment or in {ENV_FILE}",
            code="secret-in-file",
        )
        for keys in (*_SECRETS, *(("relays", name, "password") for name in _tables(toml.data, "relays")))
        if _Layer(toml.data).holds(keys)
    ]
    return _Layer(toml.data, toml=toml, problems=tuple(problems))


def _tables(data: Mapping[str, Any], name: str) -> Iterable[str]:
    tables = data.get(name)
    return tables if isinstance(tables, Mapping) else ()


def _nested(overrides: Mapping[str, object]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for dotted, value in overrides.items():
        *outer, last = dotted.split(".")
        layer: dict[str, Any] = {last: value}
        for key in reversed(outer):
            layer = {key: layer}
        nested = _merged(nested, layer)
    return nested


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Sections merge key by key; everything else is replaced."""
    merged = dict(low)
    for key, value in high.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _unwrapped(annotation: Any) -> Any:
    """`X` for ``Annotated[X, …]`` and ``X | None``."""
    if get_origin(annotation) is Annotated:
        return _unwrapped(get_args(annotation)[0])
    some = [a for a in get_args(annotation) if a is not type(None)]
    return _unwrapped(some[0]) if type(None) in get_args(annotation) else annotation


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _annotation(keys: Keys) -> Any:
    """The type of the setting at `keys`, or None when there is no such setting."""
    kind: Any = Settings
    for key in keys:
        if _is_section(kind) and key in kind.model_fields:
            kind = _unwrapped(kind.model_fields[key].annotation)
        elif get_origin(kind) is dict:
            kind = _unwrapped(get_args(kind)[1])
        else:
            return None
    return kind


def _all_keys() -> Iterator[Keys]:
    for section, info in Settings.model_fields.items():
        kind = _unwrapped(info.annotation)
        if _is_section(kind):
            yield from ((section, key) for key in kind.model_fields)
        else:
            yield (section,)


def _translated(error: Any, layers: Iterable[_Layer]) -> Problem:
    """One error of pydantic as a problem: the layer that decided, the place there, our words."""
    keys = tuple(str(part) for part in error["loc"])
    unknown = error["type"] == "extra_forbidden"
    while not unknown and _annotation(keys) is None:
        keys = keys[:-1]  # an index in a list
    holding = [layer for layer in layers if layer.holds(keys)]
    if _is_section(_annotation(keys)) or not holding:
        # What is wrong with a section as a whole, or missing, is best mended in the file.
        holding = [layer for layer in layers if layer.toml is not None]
    place = holding[0].place(keys)
    if unknown:
        return _unknown_key(keys, place)
    message, cure = _words(error, keys)
    return Problem(place, f"{'.'.join(keys)}: {message}", cure, code="invalid-setting")


def _unknown_key(keys: Keys, place: Place | None) -> Problem:
    *outer, key = keys
    kind: Any = _annotation(tuple(outer))
    where = f" in [{'.'.join(outer)}]" if outer else ""
    return Problem(place, f"unknown setting “{key}”{where}", nearest(key, kind.model_fields), code="unknown-setting")


def _words(error: Any, keys: Keys) -> tuple[str, str]:
    kind = _annotation(keys)
    match error["type"]:
        case "missing":
            return "is missing", _missing_cure(keys)
        case "value_error":
            message, _, cure = str(error["ctx"]["error"]).partition("; ")
            return message, cure
        case "literal_error":
            return f"“{error['input']}” is not possible", nearest(str(error["input"]), get_args(kind))
        case _:
            # Only the expectation, never the input: a whole section may stand there, secrets and all.
            expected = error["msg"].removeprefix("Input ")
            return expected.replace("a valid integer", "an integer").replace("a valid ", "a "), ""


def _missing_cure(keys: Keys) -> str:
    *section, key = keys
    if not section:
        return f"write a section [{key}]"
    kind: Any = _annotation(tuple(section))
    examples = kind.model_fields[key].examples or [""]
    return f"write {key} = {json.dumps(examples[0], ensure_ascii=False)} under [{'.'.join(section)}]"


def _order(problem: Problem) -> tuple[str, int]:
    return (problem.place.file, problem.place.line) if problem.place else ("", 0)
