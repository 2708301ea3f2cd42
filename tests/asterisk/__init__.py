"""A real Asterisk and real SIP calls through the service into the sandbox (``./ms.sh test --all``)."""
