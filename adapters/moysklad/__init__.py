"""The clients of MoySklad's two APIs and the gateway that performs ``core.effects`` through them."""

from adapters.moysklad.accounts import Accounts
from adapters.moysklad.gateway import MoySkladGateway
from adapters.moysklad.json_api import MAIN_API_URL, JsonApi
from adapters.moysklad.phone_api import PHONE_API_URL, PhoneApi
from adapters.moysklad.wiring import MoySklad, build_moysklad

__all__ = [
    "MAIN_API_URL",
    "PHONE_API_URL",
    "Accounts",
    "JsonApi",
    "MoySklad",
    "MoySkladGateway",
    "PhoneApi",
    "build_moysklad",
]
