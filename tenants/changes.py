"""Changes by a form whose page may show what is not so any more.

Only what somebody said otherwise than their page showed is stored. So two who change different things of one
row both have their way, and the second of two who change the same thing is told.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.choices import flatten_choices
from django.utils.translation import gettext as _


class ChangedMeanwhileError(Exception):
    """What was to be changed is not what the page showed any more. `present` has it by field."""

    def __init__(self, present: Mapping[str, str]) -> None:
        super().__init__(", ".join(present))
        self.present = present


def to_store(
    said: Mapping[str, str], *, seen: Mapping[str, str], present: Mapping[str, str]
) -> dict[str, str]:
    """Return what is to be stored of what a form says: what is neither as its page showed it nor stored.

    `present` is what is stored, of a row that is locked. ChangedMeanwhileError for what somebody else has
    changed to something else meanwhile.
    """
    changed = {name: value for name, value in said.items() if value not in (seen[name], present[name])}
    if moved := {name: present[name] for name in changed if present[name] != seen[name]}:
        raise ChangedMeanwhileError(moved)
    return changed


def remember_shown(form: forms.BaseForm, names: Iterable[str]) -> None:
    """Have a form bring along what its page shows."""
    for name in names:
        form.fields[name].show_hidden_initial = True


def shown(form: forms.BaseForm, names: Iterable[str]) -> dict[str, str]:
    """Return what its page showed; who sends a form without that is taken to have seen what there is now."""
    return {
        name: form.data.get(
            form.add_initial_prefix(name), form.get_initial_for_field(form.fields[name], name)
        )
        or ""
        for name in names
    }


def say_present(form: forms.BaseForm, present: Mapping[str, str]) -> None:
    """Say at its fields what somebody else changed, and take that for what the page showed from now on."""
    data: Any = form.data
    form.data = {**data.dict(), **{form.add_initial_prefix(name): value for name, value in present.items()}}
    for name, value in present.items():
        labels = dict(flatten_choices(getattr(form.fields[name], "choices", ())))
        text = _(
            "Somebody else has changed this in the meantime: it is “%(value)s” now. If yours is right "
            "all the same, please save it once more."
        )
        form.add_error(name, text % {"value": labels.get(value, value)})
