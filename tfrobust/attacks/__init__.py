"""Attacks: changes of an image that are searched with the help of the net."""

from tfrobust.attacks.base import Attack

__all__ = ["Attack"]
