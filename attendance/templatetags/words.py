from django import template

from attendance import words

register = template.Library()
register.filter(words.hours_and_minutes)
register.filter(words.short_day)
register.filter(words.moment)


@register.filter
def iso_duration(minutes: int) -> str:
    """Write whole minutes as the `datetime` of a <time> element: PT8H5M."""
    hours, rest = divmod(minutes, 60)
    return f"PT{hours}H{rest}M"
