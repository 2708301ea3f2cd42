"""Asterisk as a source of calls without a dispatcher: the AMI connection, who keeps it, and click-to-call by ``Originate``."""
