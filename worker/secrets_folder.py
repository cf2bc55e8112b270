"""Settings out of a folder: a file each, named as the variable, holding its value. So secrets stay out of environments.

Beside the headline's journey. systemd (`LoadCredential=`), Kubernetes (a mounted Secret) and Compose (`secrets:`) all
hand secrets over in this form.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic_settings import BaseSettings, EnvSettingsSource

from kuaixun.worker.errors import SettingError

MOST_BYTES = 1_000_000  # a chain of certificates has thousands


def secrets_in(folder: Path, prefix: str) -> dict[str, str]:
    """Name and value of each file that begins with `prefix`, whatever its case, without the line's end.

    Others are left alone: Compose has one folder for all, Kubernetes keeps `..data` in it. Raises SettingError, which
    never repeats what a file holds.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.name.upper().startswith(prefix))
    except OSError as error:
        raise SettingError(
            f"{prefix}SECRETS_FOLDER: {folder} cannot be read ({error.strerror}). Name one that this user may read."
        ) from None
    return {path.name: _value_in(path) for path in files}


def _value_in(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise SettingError(f"{path} holds more than {MOST_BYTES} bytes, which no setting does. Remove it.")
        text = content.decode("utf-8")
    except OSError as error:
        raise SettingError(f"{path} cannot be read ({error.strerror}). Let this user read it, or remove it.") from None
    except UnicodeDecodeError:
        raise SettingError(f"{path} is no UTF-8 text. Write the setting's value into it, or remove it.") from None
    return text.removesuffix("\n").removesuffix("\r")


class SecretsSource(EnvSettingsSource):
    """The folder's files, taken as environment variables are: `KUAIXUN_KAFKA__SASL_PASSWORD` is a property."""

    def __init__(self, settings_cls: type[BaseSettings], secrets: Mapping[str, str]) -> None:
        self._secrets = secrets
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._secrets.items()}
