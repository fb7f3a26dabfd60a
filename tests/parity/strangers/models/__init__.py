"""All strangers, library by library."""

from ..stranger import Stranger
from . import of_people, of_smp, of_timm, of_transformers, of_ultralytics

STRANGERS: list[Stranger] = [
    stranger
    for module in (of_timm, of_smp, of_transformers, of_ultralytics, of_people)
    for stranger in module.STRANGERS
]
