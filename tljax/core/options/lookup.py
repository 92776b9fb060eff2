"""The option that a name means; where there is none, what is near."""

from ml_collections import ConfigDict

from tljax.core import config_tables, near_names, options, plugins
from tljax.core.config_tables import is_table
from tljax.core.errors import ConfigError


def hint(config: ConfigDict, key: str) -> str:
    """ " Did you mean ...?" for a key that does not exist, with the most likely key of any plugin; else ""."""
    names = {section: [*options.declared(config, section), *options.shipped(section)] for section in options.SECTIONS}
    keys = [f"{section}.{name}" for section in names for name in names[section]]
    meant = near_names.near(key, dict.fromkeys([*config_tables.flat(config), *keys]))
    section, _, name = meant.partition(".")
    owned = section in names and not options.is_shared(section, name)
    whose = options.shipped(section).get(name, {}) if owned else {}
    of = "" if not whose or name in options.declared(config, section) else f" It is an option of {', '.join(whose)}."
    return f" Did you mean 'config.{meant}'?{of}" if meant else ""


def find(config: ConfigDict, section: str, name: str) -> tuple[str, options.Option]:
    """(name, option) for a key of a section; a key in an open table belongs to the table's option.

    Raises:
      ConfigError: the plugins that the config chooses have no such option.
    """
    for key, option in options.declared(config, section).items():
        if name in (key, option.was) or (is_table(option.default) and name.startswith(f"{key}.")):
            return key, option
    raise unknown(config, section, name)


def unknown(config: ConfigDict, section: str, name: str) -> ConfigError:
    """The error for an option that none of the chosen plugins has."""
    declares = options.declared(config, section)
    names = [plugins.name(plugin) for plugin in options.chosen(config, section)]
    whose = " and ".join(f"'{plugin}'" for plugin in names) or "nothing"
    others = [plugin for plugin in options.shipped(section).get(name, {}) if plugin not in names]
    meant = f" It is an option of {', '.join(others)}." if others else hint(config, f"{section}.{name}")
    has = ", ".join(f"config.{section}.{key}" for key in declares) or "none"
    return ConfigError(
        f"config.{section}.{name} is no option of {whose}, which the config chooses.{meant} Its options: {has}."
    )
