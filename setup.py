"""The configs that come with tljax travel in the wheel as `tljax.configs`; all else stands in pyproject.toml."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["tljax*"]), "tljax.configs"], package_dir={"tljax.configs": "configs"})
