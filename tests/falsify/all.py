"""All falsifications."""

from tests.falsify.before_and_after import BEFORE_AND_AFTER
from tests.falsify.insiders import INSIDERS
from tests.falsify.outsiders import OUTSIDERS

FALSIFICATIONS = (*OUTSIDERS, *INSIDERS, *BEFORE_AND_AFTER)
