"""A click in MoySklad becomes a call on a real Asterisk: the employee's telephone rings, then the customer's (PRODUCT E5)."""
from pathlib import Path
import asyncio
import pytest
from adapters.lab.asterisk import SUITES
from adapters.lab.sip import answering
from tests.asterisk.stage import lab, ENTERPRISE
pytestmark = pytest.mark.slow
