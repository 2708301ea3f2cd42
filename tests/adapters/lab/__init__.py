"""The lab's Asterisk scripts and SIP agent, as far as they can be tried without a real exchange."""
