"""The variables of the program itself. Secrets are read in `secrets`: files may hold them."""

from collections.abc import Mapping

from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource


class Environment(BaseSettings):
    """What the environment may say besides secrets; None where it says nothing.

    `registry_bot_config` is the path of the settings file, `slack_api_url` the base of the Web
    API for emulators.
    """

    registry_bot_config: str | None = None
    slack_api_url: str = ""


def read_environment(environ: Mapping[str, str]) -> Environment:
    """The variables in `environ`, which tests make up and the program takes from its process."""

    class Given(Environment):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic passes them by name
            init_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            if isinstance(env_settings, EnvSettingsSource):
                env_settings.env_vars = {name.lower(): value for name, value in environ.items()}
            return (env_settings,)

    return Given()
