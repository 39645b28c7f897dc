"""Numbers on the platform's pages."""

from django import template
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def thousands(number: int) -> str:
    """Write a number with its thousands apart: 12,345."""
    return f"{number:,}"


@register.simple_tag
def counted(number: int, has_more: bool) -> str:
    """Write a number that was counted up to a limit: 12,345, or 10,000 or more."""
    return _("{number} or more").format(number=thousands(number)) if has_more else thousands(number)
