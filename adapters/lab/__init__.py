"""A telephone exchange of our own, for ``./ms.sh pbx-demo`` and the tests: a real Asterisk and SIP telephones on loopback.

Like the sandbox it knows nothing of calls or of ``core``: it can prove the AMI client wrong.
"""
