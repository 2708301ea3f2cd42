"""A MoySklad of our own: both APIs as CONTRACT-MOYSKLAD.md tells them, for the demo and for tests.

Used as a process of its own (``serve_sandbox``) or inside a test (``build_sandbox``). It shares no code with the
clients it judges, so that one misunderstanding cannot hide in both.
"""

from adapters.sandbox.app import SANDBOX, Sandbox, build_sandbox, serve_sandbox
from adapters.sandbox.options import SandboxOptions, Switches
from adapters.sandbox.seed import (
    SANDBOX_API_TOKEN,
    SANDBOX_LOGIN,
    SANDBOX_PASSWORD,
    SANDBOX_PHONE_KEY,
    AccountSeed,
    CounterpartySeed,
    EmployeeSeed,
    demo_account,
)

__all__ = [
    "SANDBOX",
    "SANDBOX_API_TOKEN",
    "SANDBOX_LOGIN",
    "SANDBOX_PASSWORD",
    "SANDBOX_PHONE_KEY",
    "AccountSeed",
    "CounterpartySeed",
    "EmployeeSeed",
    "Sandbox",
    "SandboxOptions",
    "Switches",
    "build_sandbox",
    "demo_account",
    "serve_sandbox",
]
