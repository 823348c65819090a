"""Jinja environments of HTML pages, all with the same settings."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(package: str) -> Environment:
    """Return the environment of the templates in a package's folder ``templates``.

    Whatever is inserted is escaped, and a name that is not defined is an error.

    Args:
        package: name of the package.
    """
    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
